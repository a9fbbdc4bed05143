"""Texts that go to ClickHouse, and texts that come from it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.rights import Assigned, Rights
from vantage_secrets.targets.clickhouse.servers import Version
from vantage_secrets.targets.clickhouse.shown_user import read_shown
from vantage_secrets.targets.clickhouse.statements import Method, alter_methods, quoted_name, quoted_text

_END = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "kinds", "ends"),
    [
        ("IDENTIFIED WITH sha256_password", ["sha256_password"], [None]),
        ("IDENTIFIED WITH sha256_password VALID UNTIL '2026-11-30 12:00:00'", ["sha256_password"], [_END]),
        (
            "IDENTIFIED WITH sha256_password VALID UNTIL '2026-11-30 12:00:00 UTC', bcrypt_password",
            ["sha256_password", "bcrypt_password"],
            [_END, None],
        ),
        ("IDENTIFIED WITH sha256_hash BY 'ab' SALT 'c, d' VALID UNTIL '2026-11-30 12:00:00'", ["sha256_hash"], [_END]),
        ("IDENTIFIED WITH no_password", ["no_password"], [None]),
        ("NOT IDENTIFIED", [], []),
        ("", [], []),
    ],
)
def test_methods_are_read_in_their_order_with_their_ends(
    shown: str, kinds: list[str], ends: list[datetime | None]
) -> None:
    user = read_shown(f"CREATE USER w {shown} HOST LOCAL SETTINGS max_threads = 2")
    assert [method.kind for method in user.methods] == kinds
    assert [method.until for method in user.methods] == ends
    assert user.clauses == {"HOST": "LOCAL", "SETTINGS": "max_threads = 2"}


@pytest.mark.parametrize(
    ("shown", "methods", "plain"),
    [
        ("ssh_key BY KEY 'a' TYPE 'ssh-rsa', KEY 'b' TYPE 'ssh-rsa', sha256_password", 2, [False, True]),
        ("ldap SERVER 'directory'", 1, [False]),
        ("ssl_certificate CN 'worker', 'other'", 2, [False, False]),
        ("sha256_password GRANTS (SELECT ON db.*)", 1, [False]),
    ],
)
def test_what_is_more_than_a_password_is_seen(shown: str, methods: int, plain: list[bool]) -> None:
    found = read_shown(f"CREATE USER w IDENTIFIED WITH {shown} HOST ANY").methods
    assert [method.is_plain for method in found] == plain
    assert len(found) == methods


def test_words_in_quotes_are_no_clauses() -> None:
    user = read_shown(
        "CREATE USER `HOST` IDENTIFIED WITH sha256_password HOST LIKE ' SETTINGS ''' "
        "DEFAULT ROLE `GRANTEES`, r DEFAULT DATABASE db SETTINGS PROFILE `HOST`, a = 'IN' CONST GRANTEES NONE"
    )
    assert user.clauses["DEFAULT ROLE"] == "`GRANTEES` , r"
    assert user.clauses["DEFAULT DATABASE"] == "db"
    assert user.clauses["SETTINGS"] == "PROFILE `HOST` , a = 'IN' CONST"
    assert user.clauses["GRANTEES"] == "NONE"


def test_an_end_that_cannot_be_read_is_an_error_and_not_no_end() -> None:
    with pytest.raises(RotationError, match="cannot be read"):
        read_shown("CREATE USER w IDENTIFIED WITH sha256_password VALID UNTIL 'next year' HOST LOCAL")


def test_a_password_is_stated_as_its_salted_hash_with_a_salt_of_its_own() -> None:
    password = SecretValue(canary())
    one, other = Method.of(password, _END), Method.of(password)
    raw = password.reveal_text().encode() + one.salt.encode()
    assert one.digest == hashlib.sha256(raw).hexdigest()
    assert one.salt != other.salt
    assert alter_methods("w", [one, other], on="ON CLUSTER `c`") == (
        f"ALTER USER `w` ON CLUSTER `c` IDENTIFIED WITH "
        f"sha256_hash BY '{one.digest}' SALT '{one.salt}' VALID UNTIL '2026-11-30 12:00:00 UTC', "
        f"sha256_hash BY '{other.digest}' SALT '{other.salt}' VALID UNTIL 'infinity'"
    )


def test_names_and_texts_cannot_leave_their_quotes() -> None:
    assert quoted_name("a`b\\") == "`a\\`b\\\\`"
    assert quoted_text("a'b\\") == "'a\\'b\\\\'"


def test_an_exception_from_a_grant_is_given_after_the_grant() -> None:
    rights = Rights({}, frozenset({"REVOKE SELECT(secret) ON db.t", "GRANT SELECT ON db.* WITH GRANT OPTION"}), ())
    assert rights.grant_statements("w_a", on="ON CLUSTER `c`") == [
        "GRANT ON CLUSTER `c` SELECT ON db.* TO `w_a` WITH GRANT OPTION",
        "REVOKE ON CLUSTER `c` SELECT(secret) ON db.t FROM `w_a`",
    ]


def test_a_policy_goes_on_naming_who_it_named() -> None:
    policy = Assigned("ROW POLICY", "`own` ON `db`.`t`", ("w", "x y"), is_exception=False)
    assert policy.statement("w_a", on="ON CLUSTER `c`") == (
        "ALTER ROW POLICY `own` ON CLUSTER `c` ON `db`.`t` TO `w`, `x y`, `w_a`"
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [("24.10.2.80", (24, 10, 2)), ("24.8.4.13.altinitystable", (24, 8, 4)), ("18.16", (18, 16, 0)), ("?", (0, 0, 0))],
)
def test_a_version_is_read_as_far_as_it_matters(text: str, version: tuple[int, int, int]) -> None:
    assert Version.of(text) == version


@pytest.mark.parametrize("url", ["ftp://x", "https://", "http://x:99999", "http://x:0", "http://[::1", "clickhouse"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(RotationError, match="not the HTTP address"):
        Server(url)


def test_only_a_network_carries_passwords_in_clear() -> None:
    urls = ("http://clickhouse:8123", "http://127.0.0.1:8123", "https://clickhouse", "http://[::1]:8123/path")
    assert [Server(url).sends_in_clear for url in urls] == [True, False, False, False]


def test_a_ca_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    server = Server("https://127.0.0.1:1", path)
    with pytest.raises(RotationError, match="no file of certificates"):
        _ = server._tls

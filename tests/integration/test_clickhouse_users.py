"""Users of SQL: what is chosen, what is refused, and what a run that dies leaves, on a front of ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.canary import canary, leaks_in, planted
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    ACCOUNT,
    CLICKHOUSE_GROUP,
    front_fixture,
    front_process_fixture,
    login_of,
    make_account,
    open_target,
    opener,
    replica_fixture,
    replica_process_fixture,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.targets import reading
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse import ClickHouseTarget, servers
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.contract import UNKNOWN_USE, Overlap

pytestmark = CLICKHOUSE_GROUP

_OLD = "24.8.14.39"
"""A release without an end for each method."""

_VERSION = count(1)


def next_of(target: ClickHouseTarget, current: SecretReading | None) -> SecretReading:
    """Return a version that is not installed yet."""
    return reading(target.generate(current), f"version-{next(_VERSION)}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for what will not come."""
    monkeypatch.setattr(servers, "SETTLE_SECONDS", 0.1)


# what is chosen


@pytest.mark.parametrize(
    ("version", "methods_max", "overlap"),
    [
        ("26.9.2.1", 100, Overlap.TWO_CREDENTIALS),
        ("24.10.1.2812", 100, Overlap.TWO_CREDENTIALS),
        ("24.10.1.2812", 1, Overlap.ALTERNATING_USERS),
        ("24.9.3.128", 100, Overlap.ALTERNATING_USERS),
        ("24.8.4.13.altinitystable", 100, Overlap.ALTERNATING_USERS),
        ("23.8.16.40", 100, Overlap.ALTERNATING_USERS),
    ],
)
def test_the_strategy_is_what_the_server_can(
    front: ClickHouseFront, version: str, methods_max: int, overlap: Overlap
) -> None:
    make_account(front)
    front.switch(version=version, methods_max=methods_max)
    assert open_target(front, ACCOUNT).probe().overlap is overlap


def test_users_that_alternate_already_go_on_after_an_update(front: ClickHouseFront) -> None:
    current = make_account(front)
    front.switch(version=_OLD)
    target = open_target(front, ACCOUNT)
    target.install(next_of(target, current), keep=current)
    front.switch(version="26.9.2.1")
    assert open_target(front, ACCOUNT).probe().overlap is Overlap.ALTERNATING_USERS


def test_servers_of_different_releases_have_no_two_credentials_and_are_told_of(
    front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    make_account(front)
    replica.switch(version=_OLD)
    probe = open_target(front, ACCOUNT, replicas=(replica.url,)).probe()
    assert probe.overlap is Overlap.ALTERNATING_USERS
    assert "different releases" in probe.warnings[0]
    assert "24.8.14" in probe.warnings[0]


@pytest.mark.parametrize("version", ["24.3.3.102", "24.5.3.5"])
def test_a_release_that_forgets_ends_is_told_of(front: ClickHouseFront, version: str) -> None:
    make_account(front)
    front.switch(version=version)
    said = " ".join(open_target(front, ACCOUNT).probe().warnings)
    assert "forgets VALID UNTIL" in said
    assert "ALTER USER holds for every user" in said


@pytest.mark.parametrize(
    ("switches", "settings", "message", "hint"),
    [
        ({"version": "18.16.1"}, {}, "no SQL users", "users_folder"),
        ({"version": "22.8.1.1"}, {"strategy": "two-credentials"}, "no SQL users", "23.8"),
        ({"version": _OLD}, {"strategy": "two-credentials"}, "runs 24.8.14", "alternating-users"),
        ({"methods_max": 1}, {"strategy": "two-credentials"}, "max_authentication_methods", "alternating-users"),
        ({}, {"strategy": "users-files"}, "does not say where", "users_file"),
        ({}, {"admin_user": "nobody", "url": "ftp://x"}, "not the HTTP address", "https://"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_fix(
    front: ClickHouseFront, switches: dict[str, Any], settings: dict[str, Any], message: str, hint: str
) -> None:
    make_account(front)
    front.switch(**switches)
    with pytest.raises(RotationError, match=message) as refused:
        open_target(front, ACCOUNT, **settings).probe()
    assert hint in refused.value.hint


@pytest.mark.parametrize("strategy", ["auto", "two-credentials", "alternating-users"])
def test_a_user_of_users_xml_is_refused_with_the_fix(front: ClickHouseFront, strategy: str) -> None:
    front.switch(storage="users_xml")
    make_account(front)
    with pytest.raises(RotationError, match="495") as refused:
        open_target(front, ACCOUNT, strategy=strategy).generate(None)
    assert "users_folder" in refused.value.hint


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_missing_account_is_refused_with_the_statement_that_makes_it(front: ClickHouseFront, version: str) -> None:
    front.switch(version=version)
    target = open_target(front, ACCOUNT)
    with pytest.raises(RotationError, match=f"no user '{ACCOUNT}'") as refused:
        target.install(next_of(target, None), keep=None)
    assert f"CREATE USER {ACCOUNT}" in refused.value.hint


# the administrator


def test_a_refused_administrator_is_no_refusal_of_the_credential(front: ClickHouseFront) -> None:
    current = make_account(front)
    front.admin_password, right = canary("wrong-admin"), front.admin_password
    try:
        target = open_target(front, ACCOUNT)
    finally:
        front.admin_password = right
    with pytest.raises(RotationError, match="refuses the administrator") as refused:
        target.probe()
    assert "admin_secret" in refused.value.hint
    target.verify(current)


def test_an_administrator_who_may_not_change_users_is_told_what_is_missing(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    front.switch(may_not_change=True)
    with pytest.raises(RotationError, match="code 497") as refused:
        target.install(pending, keep=current)
    assert "Grant the administrator" in refused.value.hint
    target.verify(current)


# what leaves


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_password_leaves_as_a_login_or_a_salted_hash_and_in_no_other_way(
    front: ClickHouseFront, version: str
) -> None:
    front.switch(version=version)
    current = make_account(front)
    front.forget_seen()  # the statement that a person made the account with
    target = open_target(front, ACCOUNT)
    used = [current]
    for _ in range(3):
        pending = next_of(target, current)
        target.install(pending, keep=current)
        target.verify(pending)
        target.limit(current, until=utc_now() + timedelta(hours=1))
        target.last_used(current)
        target.revoke(current, keep=pending)
        target.verify_refused(current)
        current = pending
        used.append(current)
    seen = "\n".join(front.seen)
    values = tuple(login_of(one)[1] for one in used)
    assert not leaks_in(seen.encode(), (*values, front.admin_password, *planted()))
    stated = [part for part in seen.split("IDENTIFIED WITH ")[1:] if not part.startswith("sha256_hash BY '")]
    assert not stated
    assert seen.count("sha256_hash BY '") == seen.count("' SALT '") > 6


# drift and strangers


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("GRANT SELECT ON secret.* TO {idle}", "only {idle} has GRANT SELECT ON secret.*"),
        ("GRANT ALTER ON vantage.* TO {used}", "only {used} has GRANT ALTER ON vantage.*"),
        ("REVOKE writer FROM {idle}", "only {used} has GRANT writer"),
        ("ALTER USER {idle} SETTINGS max_threads = 9", "only {idle} has SETTINGS max_threads = 9"),
        ("ALTER USER {idle} HOST ANY", "only {used} has HOST IP '10.0.0.0/8'"),
        ("CREATE QUOTA slow FOR INTERVAL 1 hour MAX queries = 1 TO {idle}", "only {idle} has QUOTA `slow`"),
        ("CREATE ROW POLICY own ON vantage.events USING 1 TO {used}", "only {used} has ROW POLICY `own` ON"),
        ("CREATE SETTINGS PROFILE calm SETTINGS max_threads = 1 TO {idle}", "only {idle} has SETTINGS PROFILE `calm`"),
    ],
)
def test_users_that_have_drifted_apart_are_refused_with_the_difference(
    front: ClickHouseFront, statement: str, difference: str
) -> None:
    front.switch(version=_OLD)
    first = make_account(front)
    target, opens = open_target(front, ACCOUNT), opener(front.query, ACCOUNT)
    second, third = (next_of(target, first) for _ in range(2))
    third = reading(Credential(f"{ACCOUNT}_b", Credential.of(third.value, account="").password).as_value(), "third")
    target.install(second, keep=first)
    target.revoke(first, keep=second)
    target.install(third, keep=second)
    target.revoke(second, keep=third)
    names = {"idle": f"{ACCOUNT}_a", "used": f"{ACCOUNT}_b"}
    front.query(statement.format(**names))
    pending = next_of(target, third)
    with pytest.raises(RotationError, match="unequal rights") as refused:
        target.install(pending, keep=third)
    assert difference.format(**names) in str(refused.value)
    assert "DROP USER" in refused.value.hint
    assert opens(third)
    assert not opens(pending)


def test_a_new_user_of_the_pair_has_every_right_of_the_account(front: ClickHouseFront) -> None:
    front.switch(version=_OLD)
    current = make_account(front)
    front.query(f"GRANT ALTER ON vantage.* TO {ACCOUNT} WITH GRANT OPTION")
    front.query(f"CREATE QUOTA fair FOR INTERVAL 1 hour MAX queries = 1000 TO {ACCOUNT}, other")
    front.query(f"CREATE ROW POLICY own ON vantage.events USING 1 TO ALL EXCEPT {ACCOUNT}")
    front.query(f"CREATE SETTINGS PROFILE calm SETTINGS max_threads = 1 TO {ACCOUNT}")
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    shown = [front.query(f"SHOW CREATE USER {user}").replace(f"{ACCOUNT}_a", ACCOUNT) for user in _pair()]
    assert shown[0] == shown[1]
    grants = [
        sorted(front.query(f"SHOW GRANTS FOR {user}").replace(f"{ACCOUNT}_a", ACCOUNT).splitlines()) for user in _pair()
    ]
    assert grants[0] == grants[1]
    assert f"GRANT ALTER ON vantage.* TO `{ACCOUNT}` WITH GRANT OPTION" in grants[1]
    quota = front.query("SELECT apply_to_list FROM system.quotas")
    assert quota == f"['{ACCOUNT}','other','{ACCOUNT}_a']\n"
    policy = front.query("SELECT apply_to_except FROM system.row_policies")
    assert policy == f"['{ACCOUNT}','{ACCOUNT}_a']\n"
    target.install(pending, keep=current)  # compared and found equal


def _pair() -> tuple[str, str]:
    return ACCOUNT, f"{ACCOUNT}_a"


@pytest.mark.parametrize(
    "method",
    ["ssh_key BY KEY 'AAAA' TYPE 'ssh-rsa'", "ssl_certificate CN 'worker'", "ldap SERVER 'directory'"],
)
def test_a_way_to_log_in_that_is_not_ours_is_not_taken_away(front: ClickHouseFront, method: str) -> None:
    current = make_account(front)
    front.query(f"ALTER USER {ACCOUNT} ADD IDENTIFIED WITH {method}")
    target = open_target(front, ACCOUNT)
    before = front.query(f"SHOW CREATE USER {ACCOUNT}")
    with pytest.raises(RotationError, match=method.split()[0]) as refused:
        target.install(next_of(target, current), keep=current)
    assert "a user of their own" in refused.value.hint
    assert front.query(f"SHOW CREATE USER {ACCOUNT}") == before


def test_a_third_password_is_not_taken_away(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    target.install(next_of(target, current), keep=current)
    front.query(f"ALTER USER {ACCOUNT} ADD IDENTIFIED WITH sha256_password BY '{canary('somebody')}'")
    with pytest.raises(RotationError, match="3 ways to log in"):
        target.install(next_of(target, current), keep=current)


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_value_for_another_user_is_refused(front: ClickHouseFront, version: str) -> None:
    front.switch(version=version)
    current = make_account(front)
    stranger = reading(Credential("admin", SecretValue(canary("stranger"))).as_value(), "stranger")
    with pytest.raises(RotationError, match="for user 'admin'"):
        open_target(front, ACCOUNT).install(stranger, keep=current)


def test_an_account_without_a_password_has_one_after_the_first_rotation(front: ClickHouseFront) -> None:
    front.query(f"CREATE USER {ACCOUNT} NOT IDENTIFIED")
    current = reading(SecretValue(canary("anything")), "anything")
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    target.revoke(current, keep=pending)
    target.verify(pending)
    target.verify_refused(current)


def test_named_fields_stay_named_where_one_user_has_two_passwords(front: ClickHouseFront) -> None:
    current = make_account(front)
    named = reading(Credential(ACCOUNT, current.value).as_value(), "named")
    target = open_target(front, ACCOUNT)
    pending = next_of(target, named)
    assert pending.value.field("username") == ACCOUNT
    target.install(pending, keep=named)
    target.verify(pending)
    target.verify(named)


# what a person brings


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_password_that_works_already_is_left_as_it_is(front: ClickHouseFront, version: str) -> None:
    front.switch(version=version)
    brought = make_account(front)
    front.query(f"ALTER USER {ACCOUNT} VALID UNTIL '2099-01-01 00:00:00 UTC'")
    front.forget_seen()
    target = open_target(front, ACCOUNT)
    target.install(brought, keep=None)
    target.verify(brought)
    assert not [text for text in front.seen if "ALTER" in text]
    assert "VALID UNTIL '2099-01-01 00:00:00'" in front.query(f"SHOW CREATE USER {ACCOUNT}")


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_password_that_is_new_is_installed_and_can_be_rotated(front: ClickHouseFront, version: str) -> None:
    front.switch(version=version)
    unknown = make_account(front)
    brought = reading(SecretValue(canary("brought")), "brought")
    target = open_target(front, ACCOUNT)
    target.install(brought, keep=None)
    target.verify(brought)
    target.verify_refused(unknown)
    pending = next_of(target, brought)
    target.install(pending, keep=brought)
    target.verify(pending)
    target.verify(brought)


def test_a_password_for_the_user_in_use_is_refused_where_two_alternate(front: ClickHouseFront) -> None:
    front.switch(version=_OLD)
    current = make_account(front)
    brought = reading(SecretValue(canary("brought")), "brought")
    with pytest.raises(RotationError, match="which has one password") as refused:
        open_target(front, ACCOUNT).install(brought, keep=current)
    assert "--abandon" in refused.value.hint


def test_a_strategy_can_be_changed_between_two_rotations(front: ClickHouseFront) -> None:
    current = make_account(front)
    for strategy in ("two-credentials", "alternating-users", "auto"):
        target = open_target(front, ACCOUNT, strategy=strategy)
        pending = next_of(target, current)
        target.install(pending, keep=current)
        target.verify(current)
        target.verify(pending)
        target.limit(current, until=utc_now() + timedelta(hours=1))
        target.revoke(current, keep=pending)
        target.verify_refused(current)
        current = pending
    assert current.value.field("username") == f"{ACCOUNT}_b"


# what must not come back, and what must not end


def test_an_end_that_somebody_gave_the_current_password_stays(front: ClickHouseFront) -> None:
    current = make_account(front)
    front.query(f"ALTER USER {ACCOUNT} VALID UNTIL '2099-01-01 00:00:00 UTC'")
    target = open_target(front, ACCOUNT)
    target.install(next_of(target, current), keep=current)
    target.install(next_of(target, current), keep=current)
    shown = front.query(f"SHOW CREATE USER {ACCOUNT}")
    assert "IDENTIFIED WITH sha256_password VALID UNTIL '2099-01-01 00:00:00', sha256_password HOST" in shown


def test_a_password_that_the_server_refuses_is_not_brought_back_by_the_next_rotation(front: ClickHouseFront) -> None:
    current = make_account(front)
    front.query(f"ALTER USER {ACCOUNT} IDENTIFIED WITH sha256_password BY '{canary('changed')}'")
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    target.verify(pending)
    target.verify_refused(current)


def test_nothing_is_revoked_for_the_sake_of_a_version_that_does_not_work(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    with pytest.raises(RotationError, match="nothing was revoked"):
        target.revoke(current, keep=next_of(target, current))
    target.verify(current)


def test_a_limit_of_a_process_that_did_not_install_tells_the_end_and_harms_nobody(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    until = utc_now().replace(microsecond=0) + timedelta(hours=1)
    assert open_target(front, ACCOUNT).limit(current, until=until) == until
    assert target.limit(current, until=until) == until
    assert open_target(front, ACCOUNT).limit(current, until=until + timedelta(hours=1)) == until
    for one in (current, pending):
        target.verify(one)


def test_a_late_install_of_the_users_name_gives_way_to_the_version_that_stays(front: ClickHouseFront) -> None:
    front.switch(version=_OLD)
    first = make_account(front)
    target = open_target(front, ACCOUNT)
    winner, loser = next_of(target, first), next_of(target, first)
    target.install(winner, keep=first)
    target.install(loser, keep=first)  # by a run that did not know yet
    target.revoke(loser, keep=winner)
    target.verify(winner)
    target.verify_refused(loser)
    assert target.limit(loser, until=utc_now()) <= utc_now()
    target.verify(winner)


def test_a_limit_is_for_the_password_and_not_for_whoever_has_its_user_now(front: ClickHouseFront) -> None:
    front.switch(version=_OLD)
    first = make_account(front)
    target = open_target(front, ACCOUNT)
    older, newer = next_of(target, first), next_of(target, first)
    target.install(older, keep=first)
    target.install(newer, keep=first)
    until = utc_now().replace(microsecond=0)
    assert open_target(front, ACCOUNT).limit(older, until=until) == until
    target.verify(newer)


# several servers


def test_each_server_is_changed_and_verified_where_there_is_no_cluster(
    front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    current = make_account(front)
    password = login_of(current)[1]
    replica.query(f"CREATE USER {ACCOUNT} IDENTIFIED WITH sha256_password BY '{password}'")
    _rotate_everywhere(open_target(front, ACCOUNT, replicas=(replica.url,)), current, front, replica)


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_cluster_is_changed_by_one_server_and_verified_on_all(
    front: ClickHouseFront, replica: ClickHouseFront, version: str
) -> None:
    current = _in_cluster(front, replica, version)
    target = open_target(front, ACCOUNT, replicas=(replica.url,), cluster="main-1")
    _rotate_everywhere(target, current, front, replica)
    changes = [text for text in front.seen if "ALTER USER" in text]
    assert changes
    assert all("ON CLUSTER `main-1`" in text for text in changes)


def _in_cluster(front: ClickHouseFront, replica: ClickHouseFront, version: str) -> SecretReading:
    current = make_account(front)
    password = login_of(current)[1]
    replica.query(f"CREATE USER {ACCOUNT} IDENTIFIED WITH sha256_password BY '{password}' HOST LOCAL")
    for server in (front, replica):
        server.switch(version=version)
    front.switch(peers=[replica.port])
    front.forget_seen()
    return current


def _rotate_everywhere(
    target: ClickHouseTarget, current: SecretReading, front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    both = [opener(server.query, ACCOUNT) for server in (front, replica)]
    for _ in range(2):
        pending = next_of(target, current)
        target.install(pending, keep=current)
        target.verify(pending)
        assert [opens(one) for opens in both for one in (current, pending)] == [True] * 4
        target.limit(current, until=utc_now() + timedelta(hours=1))
        target.revoke(current, keep=pending)
        target.verify_refused(current)
        assert [opens(one) for opens in both for one in (current, pending)] == [False, True] * 2
        current = pending


def test_a_replica_that_was_not_changed_is_found_out(
    front: ClickHouseFront, replica: ClickHouseFront, impatient: None
) -> None:
    current = _in_cluster(front, replica, "26.9.2.1")
    front.switch(peers=[])  # the cluster of that name does not have the replica
    target = open_target(front, ACCOUNT, replicas=(replica.url,), cluster="main")
    pending = next_of(target, current)
    target.install(pending, keep=current)
    with pytest.raises(CredentialRefusedError, match=str(replica.port)):
        target.verify(pending)
    target.revoke(current, keep=pending)
    with pytest.raises(CredentialAcceptedError, match=str(replica.port)):
        target.verify_refused(current)


def test_a_replica_that_is_away_proves_nothing(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT, replicas=("http://127.0.0.1:9",))
    dead = reading(SecretValue(canary("dead")), "dead")
    with pytest.raises(TargetUnavailableError, match=r"127\.0\.0\.1:9"):
        target.verify(current)
    with pytest.raises(TargetUnavailableError, match=r"127\.0\.0\.1:9"):
        target.verify_refused(dead)
    with pytest.raises(CredentialRefusedError):
        target.verify(dead)
    with pytest.raises(CredentialAcceptedError):
        target.verify_refused(current)


def test_a_cluster_that_cannot_tell_all_its_servers_is_unavailable(
    front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    current = _in_cluster(front, replica, "26.9.2.1")
    front.switch(peers=[9])
    target = open_target(front, ACCOUNT, cluster="main")
    with pytest.raises(TargetUnavailableError, match="159"):
        target.install(next_of(target, current), keep=current)


# servers that are not honest, or not servers


@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_server_that_says_yes_and_does_no_is_found_out(front: ClickHouseFront, version: str, impatient: None) -> None:
    front.switch(version=version)
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    installed = next_of(target, current)
    target.install(installed, keep=current)
    front.switch(changes_nothing=True)
    pending = next_of(target, installed)
    target.revoke(current, keep=installed)
    with pytest.raises(CredentialAcceptedError):
        target.verify_refused(current)
    target.install(pending, keep=installed)
    with pytest.raises(CredentialRefusedError):
        target.verify(pending)


@pytest.mark.parametrize(("status", "message"), [(403, "answered 403"), (200, "answered a login with something else")])
def test_a_proxys_page_is_neither_a_refusal_nor_acceptance(front: ClickHouseFront, status: int, message: str) -> None:
    current = make_account(front)
    front.switch(answers_html=status)
    target = open_target(front, ACCOUNT)
    for verb in (target.verify, target.verify_refused):
        with pytest.raises(TargetUnavailableError, match=message) as told:
            verb(current)
        assert "proxy" in told.value.hint
    with pytest.raises(TargetUnavailableError):
        target.probe()


# the vendor's own client


def test_the_vendors_client_works_with_old_and_new_and_is_refused_with_what_was_revoked(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    front.query("CREATE TABLE events (id UInt64, body String) ENGINE = MergeTree ORDER BY id")
    try:
        for number, one in enumerate((current, pending)):
            client = _client(front, one)
            client.insert("events", [[number, "x"]], column_names=["id", "body"])
            assert client.query("SELECT count() FROM events").result_rows == [(number + 1,)]
            client.close()
        target.revoke(current, keep=pending)
        with pytest.raises(DatabaseError, match="516"):
            _client(front, current)
    finally:
        front.query("DROP TABLE events")


def _client(front: ClickHouseFront, one: SecretReading) -> Any:
    name, password = login_of(one)
    return clickhouse_connect.get_client(host="127.0.0.1", port=front.port, username=name, password=password)


# last use


def test_a_consumers_query_is_told_and_ours_are_not_where_users_alternate(front: ClickHouseFront) -> None:
    front.switch(version=_OLD)
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    assert target.last_used(current) == UNKNOWN_USE  # its queries may be logged nowhere
    target.install(pending, keep=current)
    target.verify(pending)
    target.verify(current)
    assert target.last_used(current) == target.last_used(pending) == (True, None)
    before = utc_now().replace(microsecond=0)
    front.query("SELECT 1", *login_of(current))
    used = target.last_used(current)
    assert used.at is not None
    assert before <= used.at <= utc_now()
    assert target.last_used(pending) == (True, None)


def test_which_of_two_passwords_was_used_is_unknown(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    front.query("SELECT 1", *login_of(current))
    assert target.last_used(current) == UNKNOWN_USE


# runs that die


class _DiedError(Exception):
    """The process ended here."""


def _dying(monkeypatch: pytest.MonkeyPatch, after: int, *, done: bool) -> None:
    """Let the process die at its ``after``-th request, before or after the server has done it."""
    asked = count()
    ask = Server.ask

    def dying(self: Server, *args: Any, **more: Any) -> str:
        if next(asked) != after:
            return ask(self, *args, **more)
        if done:
            ask(self, *args, **more)
        raise _DiedError

    monkeypatch.setattr(Server, "ask", dying)


_Step = Callable[[ClickHouseTarget], object]


def _steps(current: SecretReading, pending: SecretReading) -> list[tuple[_Step, tuple[SecretReading, ...]]]:
    """Return the verbs of a rotation, each with what consumers use meanwhile."""
    until = utc_now() + timedelta(hours=1)
    return [
        (lambda target: target.install(pending, keep=current), (current,)),
        (lambda target: target.limit(current, until=until), (current, pending)),
        (lambda target: target.revoke(current, keep=pending), (pending,)),
    ]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("version", ["26.9.2.1", _OLD])
def test_a_run_that_dies_at_any_request_is_repaired_by_the_next_and_refuses_no_consumer(
    front: ClickHouseFront, version: str, done: bool
) -> None:
    opens = opener(front.query, ACCOUNT)
    for at in count():
        front.reset()
        front.switch(version=version)
        current = make_account(front)
        target = open_target(front, ACCOUNT)
        pending, has_died = next_of(target, current), False
        for step, in_use in _steps(current, pending):
            with pytest.MonkeyPatch.context() as patch:
                _dying(patch, at, done=done)
                try:
                    step(target)
                except _DiedError:
                    has_died, target = True, open_target(front, ACCOUNT)
            assert all(map(opens, in_use)), at
            step(target)
            assert all(map(opens, in_use)), at
        target.verify(pending)
        target.verify_refused(current)
        if not has_died:
            assert at > 3
            return

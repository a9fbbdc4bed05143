"""What PostgreSQL's target promises beyond the contract: equal rights, no password in SQL, outages that are none."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.canary import canary
from tests.servers.certificate import Certificate
from tests.servers.postgresql import PostgresqlServer, wait_until_followed
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    account_fixture,
    empty_database_fixture,
    open_target_fixture,
    postgresql_fixture,
    standby_fixture,
)
from tests.targets import context, reading
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    MissingExtraError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.contract import UNKNOWN_USE
from vantage_secrets.targets.postgresql import PostgresqlTarget, login, server
from vantage_secrets.testing.store_steps import race

pytestmark = POSTGRESQL_GROUP

OpenTarget = Callable[..., PostgresqlTarget]


@pytest.fixture
def target(open_target: OpenTarget) -> PostgresqlTarget:
    return open_target()


@pytest.fixture
def first(target: PostgresqlTarget) -> SecretReading:
    return _installed(target, None)


@pytest.fixture
def second(target: PostgresqlTarget, first: SecretReading) -> SecretReading:
    return _installed(target, first)


def _installed(target: PostgresqlTarget, keep: SecretReading | None) -> SecretReading:
    new = reading(target.generate(keep), secrets.token_hex(4))
    target.install(new, keep=keep)
    return new


def _session(postgresql: PostgresqlServer, value: SecretReading, **options: Any) -> psycopg.Connection[Any]:
    found = Credential.of(value.value, account="")
    return postgresql.connect(found.username, found.password.reveal_text(), **options)


def _is_alive(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _wait_until_ended(connection: psycopg.Connection[Any]) -> None:
    """Return when the server has ended a session that it was told to end."""
    deadline = time.monotonic() + 20
    while _is_alive(connection):
        assert time.monotonic() < deadline, "the session lives on"
        time.sleep(0.01)


# equal rights


def test_what_one_login_creates_belongs_to_the_account_and_the_other_may_change_it(
    postgresql: PostgresqlServer, account: str, first: SecretReading, second: SecretReading
) -> None:
    with _session(postgresql, first) as one, _session(postgresql, second) as other:
        one.execute(f'CREATE TABLE "{account}".events (id int)'.encode())
        other.execute(f'ALTER TABLE "{account}".events ADD kind text'.encode())
        other.execute(f'INSERT INTO "{account}".events VALUES (1, %s)'.encode(), ["x"])
        owner = one.execute(
            "SELECT tableowner FROM pg_tables WHERE tablename = 'events' AND schemaname = %s", [account]
        )
        assert owner.fetchone() == (account,)


def test_logins_begin_their_sessions_as_the_account_would(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget
) -> None:
    postgresql.execute(
        f'ALTER ROLE "{account}" SET search_path = "$user", public, "Some Schema"',
        f"ALTER ROLE \"{account}\" SET statement_timeout = '1234ms'",
        f"ALTER ROLE \"{account}\" SET my_app.tenant = 'it''s = one'",
        f"ALTER ROLE \"{account}\" IN DATABASE postgres SET work_mem = '7MB'",
        f'ALTER ROLE "{account}" CREATEDB CONNECTION LIMIT 9',
    )
    first = _installed(target, None)
    _installed(target, first)
    assert target.probe().warnings == ()
    with _session(postgresql, first) as session:
        names = ("search_path", "statement_timeout", "my_app.tenant", "work_mem", "role")
        found = [session.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
        assert found == [('"$user", public, "Some Schema"',), ("1234ms",), ("it's = one",), ("7MB",), (account,)]
        assert session.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user").fetchone() == (9,)
        session.execute(f'CREATE DATABASE "{account}"'.encode())


def test_an_account_that_itself_acts_as_another_role_is_followed(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget
) -> None:
    owner = f"{account}-owner"
    postgresql.execute(f'CREATE ROLE "{owner}"', f'GRANT "{owner}" TO "{account}"')
    postgresql.execute(f'ALTER ROLE "{account}" SET role = "{owner}"')
    with _session(postgresql, _installed(target, None)) as session:
        assert session.execute("SELECT current_user").fetchone() == (owner,)
    assert target.probe().warnings == ()


def test_resetting_the_role_stays_the_account_and_setting_none_does_not(
    postgresql: PostgresqlServer, account: str, first: SecretReading
) -> None:
    with _session(postgresql, first) as session:
        session.execute("RESET ROLE")
        assert session.execute("SELECT current_user").fetchone() == (account,)
        session.execute("SET ROLE NONE")
        assert session.execute("SELECT current_user").fetchone() == (first.value.field("username"),)


DRIFT = {
    "superusers are not rotated": 'ALTER ROLE "{account}_b" SUPERUSER',
    "is CREATEDB, not NOCREATEDB": 'ALTER ROLE "{account}_b" CREATEDB',
    "is NOINHERIT, not INHERIT": 'ALTER ROLE "{account}_b" NOINHERIT',
    "CONNECTION LIMIT 3, not -1": 'ALTER ROLE "{account}_b" CONNECTION LIMIT 3',
    "is a member of {account}, pg_monitor, not {account}": 'GRANT pg_monitor TO "{account}_b"',
    "is a member of nothing, not {account}": 'REVOKE "{account}" FROM "{account}_b"',
    "another search_path": 'ALTER ROLE "{account}_b" SET search_path = pg_catalog',
    "another role": 'ALTER ROLE "{account}_b" RESET role',
    "another work_mem": "ALTER ROLE \"{account}\" IN DATABASE postgres SET work_mem = '7MB'",
    "has rights of its own (1)": 'GRANT SELECT ON pg_authid TO "{account}_b"',
    "owns objects or": 'CREATE TABLE "{account}".own (); ALTER TABLE "{account}".own OWNER TO "{account}_b"',
}


@pytest.mark.parametrize("said", DRIFT)
def test_a_login_whose_rights_differ_is_refused_and_the_difference_is_named(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget, second: SecretReading, said: str
) -> None:
    try:
        postgresql.execute(*DRIFT[said].format(account=account).split("; "))
        with pytest.raises(RotationError) as caught:
            target.install(reading(target.generate(second), "third"), keep=second)
        assert said.format(account=account) in str(caught.value)
        assert f"{account}_b" in str(caught.value)
    finally:
        postgresql.execute(f'DROP OWNED BY "{account}_b"')


def test_drift_is_a_warning_of_the_probe(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget, second: SecretReading
) -> None:
    assert target.probe().warnings == ()
    postgresql.execute(f'ALTER ROLE "{account}_a" CREATEROLE')
    (warning,) = target.probe().warnings
    assert warning == f"'{account}_a' is CREATEROLE, not NOCREATEROLE; a rotation will be refused."


# whom it refuses to touch


def test_a_superuser_is_not_rotated(postgresql: PostgresqlServer, account: str, target: PostgresqlTarget) -> None:
    postgresql.execute(f'ALTER ROLE "{account}" SUPERUSER')
    for verb in (target.probe, lambda: _installed(target, None)):
        with pytest.raises(RotationError, match="superusers are not rotated"):
            verb()


def test_an_account_that_is_not_there_is_not_made_up(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget
) -> None:
    postgresql.execute(f'DROP OWNED BY "{account}"', f'DROP ROLE "{account}"')
    with pytest.raises(RotationError, match=f"no role '{account}'") as caught:
        target.probe()
    assert caught.value.hint.endswith(f'CREATE ROLE "{account}" NOLOGIN')


@pytest.mark.parametrize("end", ["", "_a", "_b"])
def test_the_administrator_does_not_rotate_itself(account: str, open_target: OpenTarget, end: str) -> None:
    with pytest.raises(RotationError, match="cannot rotate itself"):
        open_target(admin_user=account + end)


def test_a_value_for_somebody_elses_role_is_refused(target: PostgresqlTarget, first: SecretReading) -> None:
    foreign = reading(Credential("postgres", SecretValue(canary())).as_value(), "foreign")
    for verb in (
        lambda: target.install(foreign, keep=first),
        lambda: target.revoke(foreign, keep=first),
        lambda: target.limit(foreign, until=utc_now(), keep=None),
    ):
        with pytest.raises(RotationError, match="is for the role 'postgres'"):
            verb()


def test_the_accounts_own_login_is_shut_when_it_is_neither_the_new_nor_the_kept_one(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget, first: SecretReading
) -> None:
    forgotten = reading(SecretValue(canary()), "forgotten")
    postgresql.execute(f"ALTER ROLE \"{account}\" LOGIN PASSWORD '{forgotten.value.reveal_text()}'")
    target.verify(forgotten)
    with postgresql.connect(account, forgotten.value.reveal_text()) as session:
        target.install(reading(target.generate(first), "second"), keep=first)
        _wait_until_ended(session)
    target.verify_refused(forgotten)
    target.verify(first)


def test_runs_at_once_create_a_role_once(
    target: PostgresqlTarget, open_target: OpenTarget, first: SecretReading
) -> None:
    pending = reading(target.generate(first), "pending")
    runs = [open_target() for _ in range(4)]
    results = race(*(partial(run.install, pending, keep=first) for run in runs))
    assert results == [None] * 4
    target.verify(pending)
    target.verify(first)
    assert target.probe().accepted_count == 2


def test_two_passwords_of_one_role_have_no_overlap_and_are_refused(
    target: PostgresqlTarget, first: SecretReading
) -> None:
    username = first.value.field("username")
    other = reading(Credential(username, SecretValue(canary())).as_value(), "other")
    with pytest.raises(RotationError, match="which has only one"):
        target.install(other, keep=first)
    target.verify(first)


# the password


@pytest.mark.parametrize("piece", ["\0", "\udc80"])
def test_what_postgresql_would_cut_or_cannot_hold_is_refused(
    account: str, target: PostgresqlTarget, first: SecretReading, piece: str
) -> None:
    value = Credential(f"{account}_b", SecretValue(canary() + piece + "rest")).as_value()
    with pytest.raises(RotationError, match="not a text that PostgreSQL takes"):
        target.install(reading(value, "odd"), keep=first)


@pytest.mark.parametrize("piece", ["pässwörd \N{SNOWMAN}", " ' \" \\ $$ %s {} ", "\N{ROMAN NUMERAL NINE}\u00a0x"])
def test_a_password_of_any_characters_opens_the_door(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget, first: SecretReading, piece: str
) -> None:
    value = Credential(f"{account}_b", SecretValue(canary() + piece)).as_value()
    second = reading(value, "odd")
    target.install(second, keep=first)
    target.verify(second)
    with _session(postgresql, second) as session:
        assert _is_alive(session)


def test_no_password_stands_in_the_servers_log_though_it_logs_all_statements(
    postgresql: PostgresqlServer, target: PostgresqlTarget
) -> None:
    postgresql.execute("ALTER ROLE postgres SET log_statement = 'all'")
    try:
        first = _installed(target, None)
        second = _installed(target, first)
        target.revoke(first, keep=second)
    finally:
        postgresql.execute("ALTER ROLE postgres RESET log_statement")
    log = postgresql.log.read_text()
    assert f'ALTER ROLE "{second.value.field("username")}" WITH LOGIN PASSWORD \'SCRAM-SHA-256$4096:' in log
    assert not [one for one in (first, second) if one.value.field("password") in log]


def test_a_revoked_role_is_shut_in_three_ways(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading, second: SecretReading
) -> None:
    query = "SELECT rolcanlogin, rolvaliduntil < now(), rolpassword FROM pg_authid WHERE rolname = %s"
    username = first.value.field("username")
    with postgresql.connect() as superuser:
        before = superuser.execute(query, [username]).fetchone()
        target.revoke(first, keep=second)
        after = superuser.execute(query, [username]).fetchone()
    assert before is not None
    assert after is not None
    assert after[:2] == (False, True)
    assert after[2] != before[2]


def test_the_limit_is_the_servers_own_and_a_new_password_begins_without_one(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading, second: SecretReading
) -> None:
    until = utc_now() + timedelta(hours=1)
    target.limit(first, until=until, keep=None)
    query = "SELECT rolvaliduntil, isfinite(rolvaliduntil) FROM pg_roles WHERE rolname = %s"
    with postgresql.connect() as superuser:
        assert superuser.execute(query, [first.value.field("username")]).fetchone() == (until, True)
        target.revoke(first, keep=second)
        third = _installed(target, second)
        assert third.value.field("username") == first.value.field("username")
        found = superuser.execute(query.replace("rolvaliduntil,", "1,"), [third.value.field("username")]).fetchone()
        assert found == (1, False)


def test_a_late_limit_does_not_touch_the_roles_next_password(
    target: PostgresqlTarget, first: SecretReading, second: SecretReading
) -> None:
    target.revoke(first, keep=second)
    third = _installed(target, second)
    assert target.limit(first, until=utc_now() + timedelta(seconds=1), keep=None) <= utc_now()
    ends_at = target.limit(third, until=utc_now() + timedelta(days=300), keep=None)
    assert ends_at > utc_now() + timedelta(days=299)


# sessions


def test_revoking_ends_the_roles_sessions_on_every_server_and_no_others(
    postgresql: PostgresqlServer, standby: PostgresqlServer, open_target: OpenTarget
) -> None:
    target = open_target(replicas=(standby.url(),))
    first = _installed(target, None)
    second = _installed(target, first)
    target.verify(first)  # waits for the standby
    target.verify(second)
    servers = (postgresql, standby)
    old, new = [_session(one, first) for one in servers], [_session(one, second) for one in servers]
    assert all(map(_is_alive, old + new))
    target.revoke(first, keep=second)
    for session in old:
        _wait_until_ended(session)
    assert all(map(_is_alive, new))
    for session in new:
        session.close()


def test_use_is_known_while_a_session_is_open_and_our_own_logins_are_none(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading, second: SecretReading
) -> None:
    target.verify(first)
    assert target.last_used(first) == UNKNOWN_USE
    with _session(postgresql, first):
        used = target.last_used(first)
        assert used.is_known
        assert used.at is not None
        assert abs(utc_now() - used.at) < timedelta(minutes=1)
        assert target.last_used(second) == UNKNOWN_USE


# refusals, and what is none


def test_a_host_that_is_not_let_in_proves_nothing(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading
) -> None:
    with postgresql.first_rule(f"host all {first.value.field('username')} all reject"):
        for verb in (target.verify, target.verify_refused):
            with pytest.raises(TargetUnavailableError, match=r"\(28000\): see pg_hba.conf"):
                verb(first)


def test_a_server_that_asks_for_no_password_proves_nothing_about_one(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading
) -> None:
    with postgresql.first_rule(f"host all {first.value.field('username')} all trust"):
        with pytest.raises(RotationError, match="asks for no password"):
            target.verify(first)
        with pytest.raises(CredentialAcceptedError):
            target.verify_refused(first)


def test_a_server_that_asks_for_the_password_in_the_clear_does_not_get_it(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading
) -> None:
    with (
        postgresql.first_rule(f"host all {first.value.field('username')} all password"),
        pytest.raises(TargetUnavailableError, match="not as PostgreSQL does"),
    ):
        target.verify(first)


def test_a_role_that_may_not_log_in_is_refused_though_its_password_is_right(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading
) -> None:
    postgresql.execute(f'ALTER ROLE "{first.value.field("username")}" NOLOGIN')
    target.verify_refused(first)
    with pytest.raises(CredentialRefusedError, match=r"refused it \(28000\)"):
        target.verify(first)


def test_a_server_that_is_full_proves_nothing(
    postgresql: PostgresqlServer, account: str, target: PostgresqlTarget
) -> None:
    postgresql.execute(f'ALTER ROLE "{account}" CONNECTION LIMIT 0')
    first = _installed(target, None)
    for verb in (target.verify, target.verify_refused):
        with pytest.raises(TargetUnavailableError, match=r"\(53300\)"):
            verb(first)


def test_a_standby_that_stays_behind_proves_nothing_and_is_waited_for(
    postgresql: PostgresqlServer,
    standby: PostgresqlServer,
    open_target: OpenTarget,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = open_target(replicas=(standby.url(),))
    monkeypatch.setattr(server, "REPLAY_SECONDS_MAX", 0.1)
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        first = _installed(target, None)
        for verb in (target.verify, target.verify_refused):
            with pytest.raises(TargetUnavailableError, match="behind its primary"):
                verb(first)
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    monkeypatch.undo()
    target.verify(first)


def test_every_server_is_asked_and_one_that_differs_is_named(
    standby: PostgresqlServer, open_target: OpenTarget
) -> None:
    target = open_target(replicas=(standby.url(),))
    first = _installed(target, None)
    second = _installed(target, first)
    target.limit(first, until=utc_now() - timedelta(hours=1), keep=None)
    with standby.first_rule(f"host all {first.value.field('username')} all trust"):
        with pytest.raises(CredentialAcceptedError, match=f"127.0.0.1:{standby.port} still accepts"):
            target.verify_refused(first)
        with pytest.raises(CredentialRefusedError):
            target.verify(first)
    with (
        standby.first_rule(f"host all {second.value.field('username')} all reject"),
        pytest.raises(TargetUnavailableError, match=f"127.0.0.1:{standby.port} lets nobody"),
    ):
        target.verify(second)


def test_a_server_that_was_away_is_used_again_when_it_is_back(
    postgresql: PostgresqlServer, target: PostgresqlTarget, first: SecretReading
) -> None:
    postgresql.stop()
    try:
        for verb in (target.verify, target.verify_refused):
            with pytest.raises(TargetUnavailableError):
                verb(first)
    finally:
        postgresql.start()
    target.verify(first)


def test_a_role_that_may_not_connect_to_the_database_proves_nothing(
    postgresql: PostgresqlServer, empty_database: str, open_target: OpenTarget
) -> None:
    postgresql.execute(f"REVOKE CONNECT ON DATABASE {empty_database} FROM PUBLIC")
    target = open_target(url=postgresql.url(empty_database))
    first = _installed(target, None)
    for verb in (target.verify, target.verify_refused):
        with pytest.raises(TargetUnavailableError, match=r"\(42501\)"):
            verb(first)


def test_over_tls_refusals_are_told_from_outages_too(
    postgresql: PostgresqlServer, open_target: OpenTarget, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").mkdir()
    mine, other = Certificate.make(tmp_path / "mine"), Certificate.make(tmp_path / "other")
    with postgresql.encrypted(mine):
        target = open_target(url=f"{postgresql.url()}?sslmode=verify-full&sslrootcert={mine.ca_file}")
        first = _installed(target, None)
        target.verify(first)
        second = _installed(target, first)
        target.revoke(first, keep=second)
        target.verify_refused(first)
        with pytest.raises(CredentialRefusedError):
            target.verify(first)
        stranger = open_target(url=f"{postgresql.url()}?sslmode=verify-full&sslrootcert={other.ca_file}")
        for verb in (stranger.verify, stranger.verify_refused):
            with pytest.raises(TargetUnavailableError):
                verb(second)


def test_a_way_that_is_not_encrypted_is_a_warning_unless_it_stays_on_this_machine(
    postgresql: PostgresqlServer, open_target: OpenTarget, target: PostgresqlTarget
) -> None:
    assert target.probe().warnings == ()
    elsewhere = open_target(url=postgresql.url().replace("127.0.0.1", "0.0.0.0"))  # leads to this machine all the same
    (warning,) = elsewhere.probe().warnings
    assert "is not encrypted: write ?sslmode=verify-full" in warning


# the administrator


def test_an_administrator_needs_createrole_and_pg_signal_backend_and_no_more(
    postgresql: PostgresqlServer, account: str, open_target: OpenTarget
) -> None:
    administrator = Credential(f"{account}-rotator", SecretValue(canary()))
    postgresql.execute(
        f'CREATE ROLE "{administrator.username}" LOGIN CREATEROLE IN ROLE pg_signal_backend '
        f"PASSWORD '{administrator.password.reveal_text()}'"
    )
    target = open_target(administrator)
    first = _installed(target, None)
    second = _installed(target, first)
    target.limit(first, until=utc_now() + timedelta(hours=1), keep=None)
    with _session(postgresql, first) as session:
        target.revoke(first, keep=second)
        _wait_until_ended(session)
    target.verify_refused(first)
    target.verify(second)


def test_what_the_administrator_may_not_do_is_said(
    postgresql: PostgresqlServer, account: str, open_target: OpenTarget
) -> None:
    administrator = Credential(f"{account}-nobody", SecretValue(canary()))
    postgresql.execute(
        f"CREATE ROLE \"{administrator.username}\" LOGIN PASSWORD '{administrator.password.reveal_text()}'"
    )
    with pytest.raises(RotationError, match=r"permission denied to create role \(42501\)"):
        _installed(open_target(administrator), None)


def test_an_administrator_who_may_not_end_sessions_is_told_how(
    postgresql: PostgresqlServer, account: str, open_target: OpenTarget
) -> None:
    administrator = Credential(f"{account}-rotator", SecretValue(canary()))
    postgresql.execute(
        f"CREATE ROLE \"{administrator.username}\" LOGIN CREATEROLE PASSWORD '{administrator.password.reveal_text()}'"
    )
    target = open_target(administrator)
    first = _installed(target, None)
    second = _installed(target, first)
    with _session(postgresql, first), pytest.raises(RotationError, match=r"pg_signal_backend \(42501\)"):
        target.revoke(first, keep=second)
    target.verify_refused(first)  # it is dead all the same; only its sessions live on


def test_an_administrator_who_is_refused_is_told_from_an_outage(open_target: OpenTarget) -> None:
    with pytest.raises(RotationError, match="refuses the administrator 'postgres'"):
        open_target(Credential("postgres", SecretValue(canary()))).probe()


def test_without_a_secret_the_administrators_password_is_found_as_postgresqls_tools_find_it(
    postgresql: PostgresqlServer, open_target: OpenTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = open_target(admin_secret=None)
    with pytest.raises(TargetUnavailableError, match="does not let the administrator in"):
        target.probe()
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    assert target.probe().accepted_count == 0


# settings


def test_a_standby_takes_no_writes_and_says_so(
    postgresql: PostgresqlServer, standby: PostgresqlServer, open_target: OpenTarget
) -> None:
    wait_until_followed(postgresql, standby)
    with pytest.raises(RotationError, match="read-only") as caught:
        _installed(open_target(url=standby.url()), None)
    assert "name the server that takes writes" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["postgresql://a,b/vantage", "postgresql://a:5432", "https://a/b", "postgresql://a:b:c/"]
)
def test_an_address_that_is_not_one_servers_is_refused(open_target: OpenTarget, url: str) -> None:
    with pytest.raises(RotationError, match="not one server's"):
        open_target(url=url)


def test_the_package_is_imported_without_psycopg_and_says_what_is_missing_when_it_is_opened(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys, vantage_secrets.targets.postgresql; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match="'psycopg' is not installed"):
        PostgresqlTarget(context("postgresql-password", account=account, url="postgresql://a/b"))


def test_a_client_library_that_cannot_tell_refusal_from_outage_is_refused(
    open_target: OpenTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_LIBPQ_VERSION_MIN", 10_000_000)
    with pytest.raises(RotationError, match="does not tell a refused login from an outage"):
        open_target()

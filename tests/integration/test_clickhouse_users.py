"""SQL users of ClickHouse: drift, strangers, what must not come back and what must not end, on a front of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.canary import canary, leaks_in, planted
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    ACCOUNT,
    CLICKHOUSE_GROUP,
    NO_METHOD_ENDS,
    front_fixture,
    front_process_fixture,
    login_of,
    make_account,
    next_of,
    open_target,
    opener,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.targets import reading
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    RotationError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse.statements import quoted_name, quoted_text
from vantage_secrets.targets.contract import UNKNOWN_USE

pytestmark = CLICKHOUSE_GROUP


# what leaves


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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
        target.limit(current, until=utc_now() + timedelta(hours=1), keep=pending)
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


@pytest.mark.parametrize(
    "nasty", ["a'b", "a`b", "a\\", "\\'; DROP USER admin; --", "ä\t\n{x:String}", "HOST NONE", '"']
)
def test_the_engine_reads_what_is_quoted_as_it_was(front: ClickHouseFront, nasty: str) -> None:
    target = open_target(front, ACCOUNT)._servers
    assert target.rows(f"SELECT {quoted_text(nasty)} AS text, 1 AS {quoted_name(nasty)}", target.all[0]) == [
        {"text": nasty, nasty: 1}
    ]


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
    front.switch(version=NO_METHOD_ENDS)
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
    front.switch(version=NO_METHOD_ENDS)
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


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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
    front.switch(version=NO_METHOD_ENDS)
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
        target.limit(current, until=utc_now() + timedelta(hours=1), keep=pending)
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


def test_any_process_can_have_the_server_end_the_old_one_and_none_lengthens_it(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    until = utc_now().replace(microsecond=0) + timedelta(hours=1)
    front.forget_seen()
    assert open_target(front, ACCOUNT).limit(current, until=until, keep=pending) == until
    assert any("VALID UNTIL" in statement for statement in front.seen)
    longer = until + timedelta(hours=1)
    assert open_target(front, ACCOUNT).limit(current, until=longer, keep=pending) == until
    for one in (current, pending):
        target.verify(one)


def test_without_what_stays_a_limit_tells_the_end_and_changes_nothing(front: ClickHouseFront) -> None:
    current = make_account(front)
    target = open_target(front, ACCOUNT)
    pending = next_of(target, current)
    target.install(pending, keep=current)
    until = utc_now().replace(microsecond=0) + timedelta(hours=1)
    front.forget_seen()
    assert target.limit(current, until=until, keep=None) == until
    assert not any("ALTER USER" in statement for statement in front.seen)


def test_a_process_that_has_slept_through_a_rotation_brings_nothing_back(front: ClickHouseFront) -> None:
    first = make_account(front)
    sleeper, awake = open_target(front, ACCOUNT), open_target(front, ACCOUNT)
    second = next_of(sleeper, first)
    sleeper.install(second, keep=first)
    awake.revoke(first, keep=second)
    third = next_of(awake, second)
    awake.install(third, keep=second)
    awake.revoke(second, keep=third)
    fourth = next_of(awake, third)
    awake.install(fourth, keep=third)
    sleeper.limit(third, until=utc_now() + timedelta(hours=1), keep=second)
    for one in (third, fourth):
        sleeper.verify(one)
    for one in (first, second):
        sleeper.verify_refused(one)


def test_a_late_install_of_the_users_name_gives_way_to_the_version_that_stays(front: ClickHouseFront) -> None:
    front.switch(version=NO_METHOD_ENDS)
    first = make_account(front)
    target = open_target(front, ACCOUNT)
    winner, loser = next_of(target, first), next_of(target, first)
    target.install(winner, keep=first)
    target.install(loser, keep=first)  # by a run that did not know yet
    target.revoke(loser, keep=winner)
    target.verify(winner)
    target.verify_refused(loser)
    assert target.limit(loser, until=utc_now(), keep=winner) <= utc_now()
    target.verify(winner)


def test_a_limit_is_for_the_password_and_not_for_whoever_has_its_user_now(front: ClickHouseFront) -> None:
    front.switch(version=NO_METHOD_ENDS)
    first = make_account(front)
    target = open_target(front, ACCOUNT)
    older, newer = next_of(target, first), next_of(target, first)
    target.install(older, keep=first)
    target.install(newer, keep=first)
    until = utc_now().replace(microsecond=0)
    assert open_target(front, ACCOUNT).limit(older, until=until, keep=newer) == until
    target.verify(newer)


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
    front.switch(version=NO_METHOD_ENDS)
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

"""Which strategy a ClickHouse gets, and which set-up is refused with the fix, on a front of ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.canary import canary
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    ACCOUNT,
    CLICKHOUSE_GROUP,
    NO_METHOD_ENDS,
    front_fixture,
    front_process_fixture,
    make_account,
    next_of,
    open_target,
    replica_fixture,
    replica_process_fixture,
)
from tests.servers.clickhouse_front import ClickHouseFront
from vantage_secrets.errors import (
    RotationError,
)
from vantage_secrets.targets.contract import Overlap

pytestmark = CLICKHOUSE_GROUP


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
    front.switch(version=NO_METHOD_ENDS)
    target = open_target(front, ACCOUNT)
    target.install(next_of(target, current), keep=current)
    front.switch(version="26.9.2.1")
    assert open_target(front, ACCOUNT).probe().overlap is Overlap.ALTERNATING_USERS


def test_servers_of_different_releases_have_no_two_credentials_and_are_told_of(
    front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    make_account(front)
    replica.switch(version=NO_METHOD_ENDS)
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
        ({"version": NO_METHOD_ENDS}, {"strategy": "two-credentials"}, "runs 24.8.14", "alternating-users"),
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


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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

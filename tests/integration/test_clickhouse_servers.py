"""Several ClickHouse servers, servers that are not honest, and runs that die, on fronts of ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    ACCOUNT,
    CLICKHOUSE_GROUP,
    NO_METHOD_ENDS,
    front_fixture,
    front_process_fixture,
    impatient_fixture,
    login_of,
    make_account,
    next_of,
    open_target,
    opener,
    replica_fixture,
    replica_process_fixture,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.targets import reading
from vantage_secrets.clock import utc_now
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse import ClickHouseTarget
from vantage_secrets.targets.clickhouse.connection import Server

pytestmark = CLICKHOUSE_GROUP


# several servers


def test_each_server_is_changed_and_verified_where_there_is_no_cluster(
    front: ClickHouseFront, replica: ClickHouseFront
) -> None:
    current = make_account(front)
    password = login_of(current)[1]
    replica.query(f"CREATE USER {ACCOUNT} IDENTIFIED WITH sha256_password BY '{password}'")
    _rotate_everywhere(open_target(front, ACCOUNT, replicas=(replica.url,)), current, front, replica)


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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
        target.limit(current, until=utc_now() + timedelta(hours=1), keep=pending)
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


@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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
        (lambda target: target.limit(current, until=until, keep=pending), (current, pending)),
        (lambda target: target.revoke(current, keep=pending), (pending,)),
    ]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("version", ["26.9.2.1", NO_METHOD_ENDS])
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

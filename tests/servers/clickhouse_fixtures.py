"""Targets of ClickHouse for tests, and the servers that they are opened on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.clickhouse import ClickHouseServer, running_clickhouse
from tests.servers.clickhouse_front import ClickHouseFront, running_front
from tests.targets import context, reading
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse import ClickHouseTarget, servers

CLICKHOUSE_GROUP = pytest.mark.xdist_group("clickhouse")
"""``pytestmark`` of every module that uses these servers, so that a parallel run starts each once."""

ACCOUNT = "vantage_worker"

NO_METHOD_ENDS = "24.8.14.39"
"""A release without an end for each method: two users alternate there."""

_SERIAL = count(1)


def open_target(server: ClickHouseServer | ClickHouseFront, account: str, **settings: Any) -> ClickHouseTarget:
    """Return a target as the manifest's table would describe it, with the server's own administrator."""
    login = Credential(server.admin, SecretValue(server.admin_password))
    return ClickHouseTarget(
        context(
            "clickhouse-password",
            account=account,
            administrator=lambda: login,
            **{"url": server.url, "admin_user": server.admin, **settings},
        )
    )


def make_account(front: ClickHouseFront, account: str = ACCOUNT) -> SecretReading:
    """Return the password of a user that was made by SQL, with rights, as an adopter has it."""
    password = canary("first")
    front.query(
        f"CREATE USER {account} IDENTIFIED WITH sha256_password BY '{password}' HOST IP '10.0.0.0/8' "
        "SETTINGS max_threads = 2"
    )
    front.query(f"GRANT SELECT, INSERT ON vantage.* TO {account}")
    front.query(f"GRANT writer TO {account}")
    return reading(SecretValue(password), "imported")


def next_of(target: ClickHouseTarget, current: SecretReading | None) -> SecretReading:
    """Return the version that follows; it is not installed yet."""
    return reading(target.generate(current), f"version-{next(_SERIAL)}")


def login_of(one: SecretReading, account: str = ACCOUNT) -> tuple[str, str]:
    """Return user and password of a version."""
    login = Credential.of(one.value, account=account)
    return login.username, login.password.reveal_text()


def opener(query: Callable[[str, str, str], str], account: str) -> Callable[[SecretReading], bool]:
    """Return a fresh login by another way than the target's own."""

    def opens(one: SecretReading) -> bool:
        try:
            return query("SELECT 1", *login_of(one, account)) == "1\n"
        except PermissionError as exc:
            if exc.args[0][:9] not in ("Code: 192", "Code: 193", "Code: 516"):
                raise
            return False

    return opens


@pytest.fixture(scope="session", name="clickhouse")
def clickhouse_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """Yield a running 18.16; a test makes the users that it needs by :meth:`ClickHouseServer.set_users`."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(scope="session", name="front_process")
def front_process_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseFront]:
    """Yield a running front, whatever tests have left in it."""
    with running_front(tmp_path_factory.mktemp("clickhouse-front")) as front:
        yield front


@pytest.fixture(scope="session", name="replica_process")
def replica_process_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseFront]:
    """Yield another front, whatever tests have left in it."""
    with running_front(tmp_path_factory.mktemp("clickhouse-replica")) as front:
        yield front


@pytest.fixture(name="front")
def front_fixture(front_process: ClickHouseFront) -> ClickHouseFront:
    """Return a front with the administrator as its only user, of the engine's own version."""
    front_process.reset()
    return front_process


@pytest.fixture(name="replica")
def replica_fixture(replica_process: ClickHouseFront, front: ClickHouseFront) -> ClickHouseFront:
    """Return another such front, with the same administrator."""
    replica_process.reset()
    replica_process.share_admin(front)
    return replica_process


@pytest.fixture(name="impatient")
def impatient_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for what will not come."""
    monkeypatch.setattr(servers, "SETTLE_SECONDS", 0.1)

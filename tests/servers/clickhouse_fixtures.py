"""Targets of ClickHouse for tests, and the servers that they are opened on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, NoReturn

import pytest

from tests.servers.clickhouse import ClickHouseServer, running_clickhouse
from tests.servers.clickhouse_front import ClickHouseFront, running_front
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.manifest.fields import CLICKHOUSE
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.clickhouse import ClickHouseTarget
from vantage_secrets.targets.contract import TargetContext

SECRET = SecretName("vantage/clickhouse-password")
_SERIAL = count(1)


def open_target(url: str, account: str, admin: tuple[str, str], **settings: Any) -> ClickHouseTarget:
    """Return a target as the manifest's table would describe it; what is not given has its default."""
    values = {field.name: field.default for field in CLICKHOUSE}
    spec = SecretSpec(
        key="VANTAGE_CLICKHOUSE_PASSWORD",
        name=SECRET,
        kind="clickhouse-password",
        purpose="Storage of events",
        owner="platform team",
        consumers=("worker",),
        max_age=timedelta(days=90),
        grace=timedelta(days=1),
        required=True,
        feature=None,
        target="clickhouse",
        account=account,
    )
    table = TargetSettings("clickhouse", "clickhouse", {**values, "url": url, **settings})
    login = Credential(admin[0], SecretValue(admin[1]))
    return ClickHouseTarget(TargetContext(spec, table, no_database, lambda: login, utc_now))


def no_database() -> NoReturn:
    """Fail: this target keeps nothing in the control database."""
    raise AssertionError("this target asked for the control database")


def reading(value: SecretValue | str) -> SecretReading:
    """Return a reading of a version that no other has."""
    version = SecretVersion(SECRET, f"version-{next(_SERIAL)}", Stage.PENDING, utc_now())
    return SecretReading(value if isinstance(value, SecretValue) else SecretValue(value), version)


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


@pytest.fixture(name="front")
def front_fixture(front_process: ClickHouseFront) -> ClickHouseFront:
    """Return a front with the administrator as its only user, of the engine's own version."""
    front_process.reset()
    return front_process

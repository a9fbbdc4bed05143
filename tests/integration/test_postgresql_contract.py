"""Passwords of PostgreSQL keep a target's contract, on a real server and on one with a standby."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.postgresql import PostgresqlServer, wait_until_followed
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    account_fixture,
    open_target_fixture,
    postgresql_fixture,
    standby_fixture,
)
from tests.targets import reading
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.contract import Target
from vantage_secrets.testing import TargetContract, TargetOutageContract
from vantage_secrets.testing.target_contract import Opens

pytestmark = POSTGRESQL_GROUP


class TestPostgresqlTarget(TargetContract):
    @pytest.fixture(autouse=True)
    def _named(self, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "account", account)

    @pytest.fixture
    def target(self, open_target: Callable[..., Target]) -> Target:
        return open_target()

    @pytest.fixture
    def opens(self, postgresql: PostgresqlServer, account: str) -> Opens:
        def opens(reading: SecretReading) -> bool:
            login = Credential.of(reading.value, account=account)
            return _opens(postgresql, login)

        return opens


class TestPostgresqlTargetOfAnApplicationThatIsThere(TestPostgresqlTarget):
    """The account logs in by itself, with a password that somebody wrote into a file long ago."""

    @pytest.fixture
    def first(self, postgresql: PostgresqlServer, account: str) -> SecretReading:
        password = canary()
        postgresql.execute(f"ALTER ROLE \"{account}\" LOGIN PASSWORD '{password}'")
        return reading(SecretValue(password), "imported")


class TestPostgresqlTargetWithAStandby(TestPostgresqlTarget):
    """Roles come to it by streaming, a little later."""

    @pytest.fixture
    def target(self, open_target: Callable[..., Target], standby: PostgresqlServer) -> Target:
        return open_target(replicas=(standby.url(),))

    @pytest.fixture
    def opens(self, postgresql: PostgresqlServer, standby: PostgresqlServer, account: str) -> Opens:
        def opens(reading: SecretReading) -> bool:
            login = Credential.of(reading.value, account=account)
            wait_until_followed(postgresql, standby)
            answers = {_opens(server, login) for server in (postgresql, standby)}
            assert len(answers) == 1
            return answers.pop()

        return opens


class TestPostgresqlTargetThatDoesNotAnswer(TargetOutageContract):
    """Connections to its port are refused."""

    @pytest.fixture
    def unreachable_target(self, open_target: Callable[..., Target]) -> Iterator[Target]:
        with CuttingProxy("127.0.0.1", 1) as proxy, proxy.refusing():
            yield open_target(url=f"postgresql://{proxy.address}/postgres")

    @pytest.fixture
    def readings(self, account: str) -> tuple[SecretReading, SecretReading]:
        one, two = (Credential(f"{account}_{end}", SecretValue(canary())).as_value() for end in "ab")
        return reading(one, "1"), reading(two, "2")


def _opens(server: PostgresqlServer, login: Credential) -> bool:
    try:
        with server.connect(login.username, login.password.reveal_text()) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as exc:
        if "password authentication failed" not in str(exc):  # this server speaks English
            raise
        return False
    return True

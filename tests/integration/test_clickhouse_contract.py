"""The contract of a target, through each strategy: files on a real 18.16, SQL users on a front of ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.canary import canary
from tests.servers.clickhouse import ClickHouseServer, free_ports
from tests.servers.clickhouse_fixtures import (  # noqa: F401  # Fixtures.
    CLICKHOUSE_GROUP,
    clickhouse_fixture,
    front_fixture,
    front_process_fixture,
    login_of,
    make_account,
    open_target,
    opener,
)
from tests.servers.clickhouse_front import ClickHouseFront
from tests.targets import context, reading
from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse import ClickHouseTarget
from vantage_secrets.testing.target_contract import Opens, TargetContract, TargetOutageContract

pytestmark = CLICKHOUSE_GROUP

_SERIAL = count(1)


class _OnTheFront(TargetContract):
    """An account that was made by SQL, with a password, as an adopter has it."""

    @pytest.fixture
    def imported(self, front: ClickHouseFront) -> SecretReading:
        """Return the password that the account has before anything rotates."""
        return make_account(front, self.account)

    @pytest.fixture
    def opens(self, front: ClickHouseFront) -> Opens:
        """Return a login by the front."""
        return opener(front.query, self.account)


class TestTwoCredentials(_OnTheFront):
    """One user with two passwords."""

    account = "vantage_worker"

    @pytest.fixture
    def target(self, front: ClickHouseFront, imported: SecretReading) -> Iterator[ClickHouseTarget]:
        """Yield a target that finds its strategy by itself."""
        target = open_target(front, self.account)
        yield target
        target.close()


class TestTwoCredentialsThatBeginWithAPasswordOfBefore(TestTwoCredentials):
    """The same, where the first version came out of a ``.env`` file."""

    @pytest.fixture
    def first(self, target: ClickHouseTarget, imported: SecretReading) -> SecretReading:
        """Return the password that the account had."""
        return imported


class TestAlternatingUsers(_OnTheFront):
    """Two users; nothing was rotated yet."""

    account = "vantage_query"

    @pytest.fixture
    def target(self, front: ClickHouseFront, imported: SecretReading) -> Iterator[ClickHouseTarget]:
        """Yield a target on the last release without an end for each method."""
        front.switch(version="24.8.14.39")
        target = open_target(front, self.account)
        yield target
        target.close()


class TestAlternatingUsersThatBeginWithAPasswordOfBefore(TestAlternatingUsers):
    """The same, where the first version is the account's own password."""

    @pytest.fixture
    def first(self, target: ClickHouseTarget, imported: SecretReading) -> SecretReading:
        """Return the password that the account had."""
        return imported


class TestUsersFiles(TargetContract):
    """Files of a real server. The first version is the password of a user of ``users.xml``."""

    ends_by_itself = False

    @pytest.fixture
    def target(self, clickhouse: ClickHouseServer) -> Iterator[ClickHouseTarget]:
        """Yield a target on a server with an account that no test had before: its log is not emptied."""
        self.account = f"worker_{next(_SERIAL)}"  # type: ignore[misc]
        self.password = canary("first")
        clickhouse.set_users({self.account: self.password})
        target = open_target(
            clickhouse,
            self.account,
            users_file=clickhouse.users_file,
            users_folder=clickhouse.users_folder,
        )
        yield target
        target.close()

    @pytest.fixture
    def first(self, target: ClickHouseTarget) -> SecretReading:
        """Return the password that the account had."""
        return reading(SecretValue(self.password), "imported")

    @pytest.fixture
    def opens(self, clickhouse: ClickHouseServer, target: ClickHouseTarget) -> Opens:
        """Return a login by HTTP and by the native protocol, which must agree."""
        by_http = opener(clickhouse.query, self.account)

        def opens(one: SecretReading) -> bool:
            answer = clickhouse.opens_natively(*login_of(one, self.account))
            assert answer == by_http(one), "HTTP and the native protocol do not agree"
            return answer

        return opens


@pytest.mark.parametrize("strategy", ["auto", "users-files"])
class TestOutage(TargetOutageContract):
    """Nobody listens."""

    @pytest.fixture
    def unreachable_target(self, strategy: str, tmp_path_factory: pytest.TempPathFactory) -> ClickHouseTarget:
        """Return a target at a port that nobody listens on."""
        folder = tmp_path_factory.mktemp("users.d")
        users_file = folder.parent / "users.xml"
        users_file.write_text("<yandex><users><worker/></users></yandex>")
        login = Credential("admin", SecretValue(canary("admin")))
        where = {"url": f"http://127.0.0.1:{free_ports(1)[0]}", "users_file": users_file, "users_folder": folder}
        return ClickHouseTarget(
            context("clickhouse-password", account="worker", administrator=lambda: login, strategy=strategy, **where)
        )

    @pytest.fixture
    def readings(self) -> tuple[SecretReading, SecretReading]:
        """Return an old and a new one."""
        new = Credential("worker_a", SecretValue(canary("new"))).as_value()
        return reading(SecretValue(canary("old")), "old"), reading(new, "new")

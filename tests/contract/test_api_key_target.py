"""API keys keep a target's contract, on a control database in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from tests.targets import context, reading
from vantage_secrets.clock import utc_now
from vantage_secrets.database import Database
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.api_key import ApiKeyTarget, ApiKeyVerifier
from vantage_secrets.targets.contract import Target
from vantage_secrets.testing import TargetContract, TargetOutageContract
from vantage_secrets.testing.target_contract import Opens


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/control.db")
    yield database
    database.close()


class TestApiKeyTarget(TargetContract):
    @pytest.fixture
    def target(self, database: Database) -> Target:
        return ApiKeyTarget(context("api-key", self.secret, database=database))

    @pytest.fixture
    def opens(self, database: Database) -> Opens:
        def opens(reading: SecretReading) -> bool:
            verifier = ApiKeyVerifier(database)
            found = verifier.verify(self.secret, reading.value.reveal_text())
            verifier.flush()
            return found is not None

        return opens

    def test_the_last_use_of_a_key_is_known(self, target: Target, first: SecretReading, opens: Opens) -> None:
        assert target.last_used(first) == (True, None)
        begun_at = utc_now()
        assert opens(first)
        used_at = target.last_used(first).at
        assert used_at is not None
        assert begun_at <= used_at <= utc_now()


class TestApiKeyTargetThatBeginsWithAnImportedKey(TestApiKeyTarget):
    """What came out of a ``.env`` file is taken in by the first rotation."""

    @pytest.fixture
    def first(self, target: Target) -> SecretReading:
        imported = reading(SecretValue(canary()), "imported", self.secret)
        target.install(imported, keep=None)
        return imported


class TestApiKeyTargetThatDoesNotAnswer(TargetOutageContract):
    """The control database was moved away, as by an unmounted disk."""

    @pytest.fixture
    def unreachable_target(self, tmp_path: Path) -> Iterator[Target]:
        database = Database(f"sqlite:///{tmp_path}/there/control.db")
        database.close()
        (tmp_path / "there").rename(tmp_path / "away")
        yield ApiKeyTarget(context("api-key", TargetContract.secret, database=database))
        database.close()

    @pytest.fixture
    def readings(self) -> tuple[SecretReading, SecretReading]:
        return reading(SecretValue(canary()), "1"), reading(SecretValue(canary()), "2")

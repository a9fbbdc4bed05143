"""What is particular to the embedded store; the contract's own tests are in tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import InvalidInputError, StoreUnavailableError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.embedded import create_embedded, open_embedded

NAME = SecretName("vantage/api-key")


def test_a_version_that_was_staged_and_promoted_is_read_after_reopening(tmp_path: Path) -> None:
    value = SecretValue(canary())
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
        pending = store.stage(NAME, value, "token")
        store.promote(NAME, pending.id, expect_current=None)
    options = {"key_file": str(tmp_path / "key")}
    with open_embedded(f"embedded://{tmp_path}/secrets.db", environment="test", options=options) as store:
        reading = store.read(NAME)
    assert reading.value.matches(value)
    assert (reading.version.id, reading.version.stage) == ("1", Stage.CURRENT)


def test_opening_a_path_that_does_not_exist_names_the_command_that_makes_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="no store") as caught:
        open_embedded(f"embedded://{tmp_path}/secrets.db", environment="test", options={})
    assert "vantage-secrets init" in caught.value.hint


def test_creating_over_an_existing_store_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    path, key_file = tmp_path / "secrets.db", tmp_path / "key"
    create_embedded(path, environment="test", key_file=key_file).close()
    before = path.read_bytes(), key_file.read_bytes()
    with pytest.raises(InvalidInputError, match="already"):
        create_embedded(path, environment="test", key_file=key_file)
    assert (path.read_bytes(), key_file.read_bytes()) == before

"""Secrets copied from store to store: read back, compared, and finished by running again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.rotation_bench import DyingAfter, Killed
from vantage_secrets.errors import PendingVersionExistsError, SecretNotFoundError, StoreIntegrityError
from vantage_secrets.migration.copying import CopyOutcome, copy_secrets
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded
from vantage_secrets.testing import MemoryStore

NAME, OTHER = SecretName("vantage/api-key"), SecretName("other")
Living = dict[Stage, SecretValue]


def _add(store: Store, name: SecretName, *, promote: bool = True) -> SecretValue:
    value = SecretValue(canary())
    version = store.stage(name, value, canary("token"))
    if promote:
        store.promote(name, version.id, expect_current=_current(store, name))
    return value


def _current(store: Store, name: SecretName) -> str | None:
    return next((v.id for v in store.describe(name) if v.stage is Stage.CURRENT), None)


def _living(store: Store, name: SecretName) -> Living:
    try:
        versions = store.describe(name)
    except SecretNotFoundError:
        return {}
    return {v.stage: store.read(name, version=v.id).value for v in versions if v.stage is not Stage.RETIRED}


@pytest.fixture
def source() -> MemoryStore:
    """A secret with all three stages, and one with a single version."""
    store = MemoryStore()
    for _ in range(3):  # the first of them is retired by the third
        _add(store, NAME)
    _add(store, NAME, promote=False)
    _add(store, OTHER)
    return store


def test_every_stage_is_copied_and_the_source_is_not_changed(source: MemoryStore) -> None:
    before = {name: source.describe(name) for name in source.list()}
    destination = MemoryStore()
    results = {result.name: result for result in copy_secrets(source, destination, source.list())}
    assert results[NAME].stages == (Stage.PREVIOUS, Stage.CURRENT, Stage.PENDING)
    assert results[OTHER].stages == (Stage.CURRENT,)
    assert {result.outcome for result in results.values()} == {CopyOutcome.COPIED}
    for name in (NAME, OTHER):
        assert _living(destination, name) == _living(source, name)
        assert source.describe(name) == before[name]


def test_a_copy_into_a_real_store_is_read_back_from_it(source: MemoryStore, tmp_path: Path) -> None:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as destination:
        list(copy_secrets(source, destination, source.list()))
        assert _living(destination, NAME) == _living(source, NAME)


def test_a_second_run_writes_nothing(source: MemoryStore) -> None:
    destination = MemoryStore()
    list(copy_secrets(source, destination, source.list()))
    calls = DyingAfter()
    results = list(copy_secrets(source, calls.wrap(destination), source.list()))
    assert {result.outcome for result in results} == {CopyOutcome.UNCHANGED}
    assert set(calls.calls) == {"describe", "read"}


def test_what_was_rotated_since_is_brought_over(source: MemoryStore) -> None:
    destination = MemoryStore()
    list(copy_secrets(source, destination, [NAME]))
    pending = next(v for v in source.describe(NAME) if v.stage is Stage.PENDING)
    source.promote(NAME, pending.id, expect_current=_current(source, NAME))
    [result] = copy_secrets(source, destination, [NAME])
    assert result.outcome is CopyOutcome.COPIED
    assert _living(destination, NAME) == _living(source, NAME)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_copy_killed_at_any_call_is_finished_by_running_again(source: MemoryStore, before: bool) -> None:
    counted = DyingAfter()
    list(copy_secrets(counted.wrap(source), counted.wrap(MemoryStore()), [NAME, OTHER]))
    assert len(counted.calls) > 15
    died = 0
    for number in range(1, len(counted.calls) + 1):
        destination = MemoryStore()
        death = DyingAfter(number, before)
        with suppress(Killed):  # a call that answers with an error has nothing after it to die at
            list(copy_secrets(death.wrap(source), death.wrap(destination), [NAME, OTHER]))
        died += len(death.calls) == number
        list(copy_secrets(source, destination, [NAME, OTHER]))
        for name in (NAME, OTHER):
            assert _living(destination, name) == _living(source, name), f"call {number}"
            assert len(destination.describe(name)) == len(_living(source, name)), f"call {number}: written twice"
    assert died >= len(counted.calls) - 2


def test_a_destination_in_the_middle_of_its_own_rotation_is_refused_and_not_changed(source: MemoryStore) -> None:
    destination = MemoryStore()
    _add(destination, NAME)
    _add(destination, NAME, promote=False)
    before = destination.describe(NAME)
    with pytest.raises(PendingVersionExistsError):
        list(copy_secrets(source, destination, [NAME]))
    assert destination.describe(NAME) == before


def test_another_value_at_the_destination_becomes_its_previous_one() -> None:
    source, destination = MemoryStore(), MemoryStore()
    old = _add(destination, OTHER)
    new = _add(source, OTHER)
    list(copy_secrets(source, destination, [OTHER]))
    assert _living(destination, OTHER) == {Stage.PREVIOUS: old, Stage.CURRENT: new}


def test_a_name_that_the_source_does_not_have_is_absent(source: MemoryStore) -> None:
    destination = MemoryStore()
    copying: Iterator[Any] = copy_secrets(source, destination, [OTHER, SecretName("absent")])
    assert next(copying).name == OTHER
    with pytest.raises(SecretNotFoundError):
        next(copying)
    assert list(destination.list()) == [OTHER]


def test_a_destination_that_gives_back_something_else_is_found_out(source: MemoryStore) -> None:
    class Forgetful(MemoryStore):
        def stage(self, name: SecretName, value: SecretValue, token: str, **named: Any) -> Any:
            return super().stage(name, SecretValue(canary("changed")), token, **named)

    with pytest.raises(StoreIntegrityError, match="not what was written"):
        list(copy_secrets(source, Forgetful(), [OTHER]))

"""What is particular to the embedded store; the contract's own tests are in tests/contract."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import InvalidInputError, StoreError, StoreUnavailableError, VersionNotFoundError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Health
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded
from vantage_secrets.stores.embedded.records import Header
from vantage_secrets.stores.registry import open_store
from vantage_secrets.testing import FakeClock

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


def test_of_many_processes_that_create_one_store_exactly_one_succeeds(tmp_path: Path) -> None:
    path, key_file = tmp_path / "secrets.db", tmp_path / "key"
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 2
            try:
                create_embedded(path, environment="test", key_file=key_file)
                code = 0
            except InvalidInputError:
                code = 1
            finally:
                os._exit(code)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0] + [1] * 7
    with _open(tmp_path) as store:
        store.stage(NAME, SecretValue(canary()), "token")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "secrets.db"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[EmbeddedStore]:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key", clock=clock) as store:
        yield store


def _open(folder: Path) -> EmbeddedStore:
    options = {"key_file": str(folder / "key")}
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def test_times_are_the_clocks_to_the_microsecond(store: EmbeddedStore, clock: FakeClock, tmp_path: Path) -> None:
    created_at = clock.advance(timedelta(microseconds=1))
    store.stage(NAME, SecretValue(canary()), "1")
    promoted_at = clock.advance(timedelta(days=1, microseconds=1))
    store.promote(NAME, "1", expect_current=None)
    store.stage(NAME, SecretValue(canary()), "2")
    store.promote(NAME, "2", expect_current="1")
    retired_at = clock.advance(timedelta(days=-400))
    store.retire(NAME, "1")
    expected = SecretVersion(NAME, "1", Stage.RETIRED, created_at, promoted_at, retired_at)
    assert store.describe(NAME)[1] == expected
    with _open(tmp_path) as again:
        assert again.describe(NAME)[1] == expected


def test_ids_count_from_1_within_each_secret_and_go_on_after_a_deletion(store: EmbeddedStore) -> None:
    other = SecretName("vantage/other")
    ids = [store.stage(NAME, SecretValue(canary()), "1").id, store.stage(other, SecretValue(canary()), "1").id]
    store.delete(NAME)
    ids.append(store.stage(NAME, SecretValue(canary()), "1").id)
    store.delete(NAME)
    store.delete(NAME)
    ids.append(store.stage(NAME, SecretValue(canary()), "1").id)
    assert ids == ["1", "1", "2", "3"]


@pytest.mark.parametrize(
    "version", ["", "0", "01", "-1", "+1", " 1", "1.0", "one", "\N{FULLWIDTH DIGIT ONE}", "9" * 40]
)
def test_what_is_not_an_id_is_a_version_that_is_not_there(store: EmbeddedStore, version: str) -> None:
    store.stage(NAME, SecretValue(canary()), "1")
    for call in (
        lambda: store.read(NAME, version=version),
        lambda: store.promote(NAME, version, expect_current=None),
        lambda: store.retire(NAME, version),
    ):
        with pytest.raises(VersionNotFoundError):
            call()


def test_the_id_of_a_deleted_version_is_not_there(store: EmbeddedStore) -> None:
    store.stage(NAME, SecretValue(canary()), "1")
    store.delete(NAME)
    store.stage(NAME, SecretValue(canary()), "1")
    with pytest.raises(VersionNotFoundError):
        store.read(NAME, version="1")


def test_many_names_are_listed_in_order_over_several_pages(store: EmbeddedStore, monkeypatch) -> None:
    monkeypatch.setattr("vantage_secrets.stores.embedded.store._PAGE_COUNT", 3)
    names = sorted(SecretName(f"list/{number}") for number in range(12))
    for name in names:
        store.stage(name, SecretValue("shown nowhere"), "1")
    store.delete(names[4])
    assert [*store.list("list/")] == names[:4] + names[5:]
    assert [*store.list("list/1")] == [name for name in names if str(name).startswith("list/1")]
    assert [*store.list("list/\ud800")] == []


def test_the_repr_tells_where_the_store_is_and_nothing_else(store: EmbeddedStore, tmp_path: Path) -> None:
    assert repr(store) == f"EmbeddedStore('embedded://{tmp_path}/secrets.db')"


def test_a_file_that_was_replaced_under_an_open_store_is_not_used(store: EmbeddedStore, tmp_path: Path) -> None:
    create_embedded(tmp_path / "b.db", environment="test", key_file=tmp_path / "key").close()
    (tmp_path / "b.db").replace(tmp_path / "secrets.db")
    with pytest.raises(StoreUnavailableError, match="was replaced while it was open"):
        [*store.list()]


def test_a_store_of_a_later_format_says_that_a_later_release_is_needed(tmp_path: Path, store: EmbeddedStore) -> None:
    store.close()
    with sqlite3.connect(tmp_path / "secrets.db") as connection:
        columns = list(connection.execute("SELECT * FROM store").fetchone())
        columns[0] = 2
        checksum = Header(*columns[:-2]).checksum()
        connection.execute("UPDATE store SET format = 2, checksum = ?", (checksum,))
    connection.close()
    with pytest.raises(StoreError, match="has format 2; this release reads format 1"):
        _open(tmp_path)


def test_the_registry_opens_it_by_its_url(store: EmbeddedStore, tmp_path: Path) -> None:
    options = {"key_file": str(tmp_path / "key")}
    with open_store(store.url, environment="test", options=options) as again:
        assert isinstance(again, EmbeddedStore)


def test_examining_names_the_key_and_says_whether_the_store_takes_writes(store: EmbeddedStore, tmp_path: Path) -> None:
    found = {one.part: one for one in store.examine()}
    key_id = store.rotate_key()
    assert {one.health for one in found.values()} == {Health.WORKS}
    assert f"key {key_id} (file)" in {one.part: one for one in store.examine()}["encryption key"].words
    rival = sqlite3.connect(tmp_path / "secrets.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    options = {"key_file": str(tmp_path / "key"), "busy_timeout": "0s"}
    with open_embedded(store.url, environment="test", options=options) as other:
        found = {one.part: one for one in other.examine()}
    rival.close()
    assert (found["listing names"].health, found["writing"].health) == (Health.WORKS, Health.BROKEN)

"""The embedded store is killed at every write, reopened, and found to be before or after the operation in flight."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from tests.crash.tracer import Run, run_traced
from vantage_secrets.errors import WrongEncryptionKeyError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded

A, B, C = (SecretName(text) for text in ("crash/a", "crash/b", "crash/c"))
READABLE = (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)

Step = Callable[[EmbeddedStore], object]
Seen = dict[str, list[tuple[str, str, object]]]


def _values() -> list[SecretValue]:
    return [SecretValue(canary()) for _ in range(8)]


def _series(values: list[SecretValue], folder: Path) -> dict[str, list[Step]]:
    """What the child does, by the name of the series; every step is safe to repeat."""
    return {
        "stage": [lambda store: store.stage(A, values[3], "a-4"), lambda store: store.stage(C, values[4], "c-1")],
        "promote": [
            lambda store: store.promote(B, "1", expect_current=None),
            lambda store: store.stage(A, values[3], "a-4"),
            lambda store: store.promote(A, "4", expect_current="3"),
        ],
        "roll back": [lambda store: store.promote(A, "2", expect_current="3")],
        "retire": [lambda store: store.retire(A, "2"), lambda store: store.retire(B, "1")],
        "delete": [lambda store: store.delete(A), lambda store: store.stage(A, values[5], "a-5")],
        "rotate key in place": [lambda store: store.rotate_key(), lambda store: store.rotate_key()],
        "rotate key to another file": [lambda store: store.rotate_key(key_file=folder / "other-key")],
    }


SERIES = tuple(_series([], Path()))


@pytest.fixture
def values() -> list[SecretValue]:
    return _values()


@pytest.fixture
def base(tmp_path: Path, values: list[SecretValue]) -> Path:
    """A store with a retired, a previous and a current version of one secret, and a pending one of another."""
    folder = tmp_path / "base"
    with create_embedded(folder / "secrets.db", environment="test", key_file=folder / "key") as store:
        for number in (1, 2, 3):
            store.stage(A, values[number - 1], f"a-{number}")
            store.promote(A, str(number), expect_current=str(number - 1) if number > 1 else None)
        store.stage(B, values[6], "b-1")
    return folder


def _open(folder: Path, key: str = "key") -> EmbeddedStore:
    options = {"key_file": str(folder / key)}
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def _seen(store: EmbeddedStore, values: list[SecretValue]) -> Seen:
    """All that the store tells: every version's id and stage, and which value it has if that can be read."""
    seen: Seen = {}
    for name in store.list():
        seen[str(name)] = []
        for version in store.describe(name):
            value = store.read(name, version=version.id).value if version.stage in READABLE else None
            which = None if value is None else [value == known for known in values].index(True)
            seen[str(name)].append((version.id, version.stage, which))
        for stage in READABLE:
            assert [version[1] for version in seen[str(name)]].count(stage) <= 1
    return seen


def _ciphertexts(folder: Path) -> dict[tuple[str, str], bytes]:
    with sqlite3.connect(folder / "secrets.db") as connection:
        rows = connection.execute("SELECT name, CAST(number AS TEXT), ciphertext FROM sealed_values").fetchall()
    connection.close()
    return {(name, number): ciphertext for name, number, ciphertext in rows}


def _assert_erased(folder: Path, ciphertexts: dict[tuple[str, str], bytes], seen: Seen) -> None:
    readable = {(name, version) for name, found in seen.items() for version, stage, _ in found if stage in READABLE}
    files = b"".join(path.read_bytes() for path in folder.glob("secrets.db*"))
    for key, ciphertext in ciphertexts.items():
        assert (key in readable) == (ciphertext in files), f"{key} stands where it should not, or not where it should"


def _fresh(base: Path) -> Path:
    folder = base.with_name("run")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def _runs(steps: Callable[[Callable[[], None]], None], fresh: Callable[[], object]) -> Iterator[Run]:
    """Yield one run for each write, killed there, and at last the one that nobody kills."""
    kill_at = 0
    while True:
        fresh()
        run = run_traced(steps, kill_at)
        yield run
        if not run.was_killed:
            return
        kill_at += 1


@pytest.mark.parametrize("name", SERIES)
def test_a_store_that_was_killed_at_any_write_is_before_or_after_the_step_in_flight(
    base: Path, values: list[SecretValue], name: str
) -> None:
    folder = base.with_name("run")
    steps = _series(values, folder)[name]
    _fresh(base)
    with _open(folder) as store:
        expected = [_seen(store, values)]
        for step in steps:
            step(store)
            expected.append(_seen(store, values))
    ciphertexts = _ciphertexts(base)

    def child(report: Callable[[], None]) -> None:
        with _open(folder) as store:
            for step in steps:
                step(store)
                report()

    writes: tuple[str, ...] = ()
    for run in _runs(child, lambda: _fresh(base)):
        with _open_with_either(folder) as store:
            seen = _seen(store, values)
            assert seen in expected[run.finished_count : run.finished_count + 2]
            if "key" not in name:
                _assert_erased(folder, ciphertexts, seen)
            for step in steps[run.finished_count :]:
                if "another file" not in name:
                    step(store)
            assert _seen(store, values) == expected[-1]
        writes = run.writes
    assert set(writes) > {"pwrite64", "fdatasync", "ftruncate"}, f"the tracer misses writes, it saw {set(writes)}"


def _open_with_either(folder: Path) -> EmbeddedStore:
    """Open with the key that the store had, or else with the one it was getting."""
    try:
        return _open(folder)
    except WrongEncryptionKeyError:
        return _open(folder, "other-key")


def test_a_store_that_was_killed_while_it_was_made_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "new"

    def child(report: Callable[[], None]) -> None:
        create_embedded(folder / "secrets.db", environment="test", key_file=folder / "key").close()
        report()

    for run in _runs(child, lambda: shutil.rmtree(folder, ignore_errors=True)):
        if (folder / "secrets.db").exists():
            _open(folder).close()
        else:
            assert run.finished_count == 0
            create_embedded(folder / "secrets.db", environment="test", key_file=folder / "key").close()

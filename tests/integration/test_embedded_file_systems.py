"""A full disk and a read-only file system, for real: tmpfs in a mount namespace of a child process (unshare(1))."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.canary import canary
from tests.own_mounts import in_own_mounts
from vantage_secrets.errors import StoreFullError, StoreReadOnlyError, VersionRetiredError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded

NAME = SecretName("disk/api-key")
ROOT = Path(__file__).parents[2]
MODULE = "tests.integration.test_embedded_file_systems"


def _run(scenario: str, folder: Path) -> None:
    """Run a scenario of this module in a namespace where ``folder`` is a small file system of its own."""
    steps = 'mount -t tmpfs -o size=4m,mode=700 tmpfs "$1" && exec "$2" -m "$3" "$4" "$1"'
    command = in_own_mounts("sh", "-c", steps, "sh", str(folder), sys.executable, MODULE, scenario)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _create(folder: Path) -> tuple[EmbeddedStore, SecretValue]:
    store = create_embedded(folder / "secrets.db", environment="test", key_file=folder / "key")
    value = SecretValue(canary())
    store.promote(NAME, store.stage(NAME, value, "first").id, expect_current=None)
    return store, value


def _open(folder: Path) -> EmbeddedStore:
    options = {"key_file": str(folder / "key")}
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def _fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


def _remount_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def _assert_raises(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def full(folder: Path) -> None:
    """A write that has no room raises StoreFullError, and nothing is lost; with room again it works."""
    store, value = _create(folder)
    ballast = _fill(folder)
    big = SecretValue(canary().ljust(25_000, "x"))
    _assert_raises(StoreFullError, lambda: store.stage(NAME, big, "second"))
    assert store.read(NAME).value == value
    assert len(store.describe(NAME)) == 1
    ballast.unlink()
    pending = store.stage(NAME, big, "second")
    assert pending.id == "2"
    ballast = _fill(folder)
    assert store.read(NAME, stage=Stage.PENDING).value == big
    ballast.unlink()
    store.retire(NAME, "2")
    store.close()
    with _open(folder) as again:
        assert again.read(NAME).value == value
        _assert_raises(VersionRetiredError, lambda: again.read(NAME, version="2"))


def full_when_opened(folder: Path) -> None:
    """Opening where SQLite has no room for its own files says so, or reads."""
    store, value = _create(folder)
    store.close()
    ballast = _fill(folder)
    with _open(folder) as full_store:
        assert full_store.read(NAME).value == value
        _assert_raises(StoreFullError, lambda: full_store.stage(NAME, SecretValue(canary()), "second"))
        assert len(full_store.describe(NAME)) == 1
        ballast.unlink()
        newest = SecretValue(canary())
        with _open(folder) as other:
            other.stage(NAME, newest, "second")
            assert full_store.read(NAME, stage=Stage.PENDING).value == newest
        assert full_store.promote(NAME, "2", expect_current="1").stage is Stage.CURRENT


def read_only(folder: Path) -> None:
    """On a read-only file system reading works, and each writing verb raises StoreReadOnlyError."""
    store, value = _create(folder)
    store.close()
    _remount_read_only(folder)
    before = (folder / "secrets.db").read_bytes()
    with _open(folder) as frozen:
        assert frozen.read(NAME).value == value
        assert [*frozen.list()] == [NAME]
        for call in (
            lambda: frozen.stage(NAME, SecretValue(canary()), "second"),
            lambda: frozen.promote(NAME, "1", expect_current=None),
            lambda: frozen.retire(NAME, "1"),
            lambda: frozen.delete(NAME),
            frozen.rotate_key,
        ):
            _assert_raises(StoreReadOnlyError, call)
    assert (folder / "secrets.db").read_bytes() == before
    _assert_raises(
        StoreReadOnlyError, lambda: create_embedded(folder / "b.db", environment="test", key_file=folder / "key")
    )


def read_only_with_log(folder: Path) -> None:
    """What a writer that was killed left in the log is read too."""
    store, _value = _create(folder)
    store.close()
    newest = SecretValue(canary())
    child = os.fork()
    if child == 0:
        killed = _open(folder)
        killed._database._settle = lambda connection: os._exit(0)  # type: ignore[method-assign]
        killed.stage(NAME, newest, "second")
    os.waitpid(child, 0)
    assert (folder / "secrets.db-wal").stat().st_size > 0
    _remount_read_only(folder)
    with _open(folder) as frozen:
        assert frozen.read(NAME, stage=Stage.PENDING).value == newest
        _assert_raises(StoreReadOnlyError, lambda: frozen.promote(NAME, "2", expect_current="1"))


SCENARIOS = {scenario.__name__: scenario for scenario in (full, full_when_opened, read_only, read_only_with_log)}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_store_survives(tmp_path: Path, scenario: str) -> None:
    _run(scenario, tmp_path)


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))

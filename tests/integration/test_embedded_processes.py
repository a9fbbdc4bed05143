"""Many processes, forks and threads use one embedded store at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import (
    PendingVersionExistsError,
    StoreAccessDeniedError,
    StoreBusyError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded, open_embedded
from vantage_secrets.testing.store_contract import VERBS

COUNTER = SecretName("many/counter")
PROCESS_COUNT = 16
ROUND_COUNT = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key").close()
    return tmp_path


def _open(folder: Path, **options: str) -> EmbeddedStore:
    options["key_file"] = str(folder / "key")
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


def _fork(work: Callable[[], object]) -> int:
    """Return the id of a child that does ``work``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _join(*children: int) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * len(children)


def _count_up(store: EmbeddedStore, token: str) -> None:
    """Replace the number in the counter by the next one, as often as a rival comes first."""
    attempt = 0
    while True:
        attempt += 1
        now = store.read(COUNTER)
        number = int(now.value.reveal_text()) + 1
        try:
            pending = store.stage(COUNTER, SecretValue(str(number)), f"{token}-{attempt}")
        except PendingVersionExistsError:
            continue
        try:
            store.promote(COUNTER, pending.id, expect_current=now.version.id)
            return
        except VersionConflictError:
            store.retire(COUNTER, pending.id)


def test_16_processes_that_write_at_once_lose_nothing_and_each_promotion_is_won_once(folder: Path) -> None:
    values = {SecretName(f"many/{index}"): SecretValue(canary()) for index in range(PROCESS_COUNT)}
    with _open(folder) as store:
        store.promote(COUNTER, store.stage(COUNTER, SecretValue("0"), "zero").id, expect_current=None)

    def work(index: int, name: SecretName) -> None:
        with _open(folder, busy_timeout="50s") as store:
            for round_ in range(ROUND_COUNT):
                _count_up(store, f"{index}-{round_}")
            store.promote(name, store.stage(name, values[name], "own").id, expect_current=None)

    _join(*[_fork(lambda pair=pair: work(*pair)) for pair in enumerate(values)])
    with _open(folder) as store:
        assert store.read(COUNTER).value.reveal_text() == str(PROCESS_COUNT * ROUND_COUNT)
        won = [version for version in store.describe(COUNTER) if version.promoted_at is not None]
        assert len(won) == PROCESS_COUNT * ROUND_COUNT + 1
        assert [*store.list("many/")] == sorted([COUNTER, *values])
        assert all(store.read(name).value == value for name, value in values.items())


def test_a_fork_opens_its_own_connection_even_while_another_thread_holds_the_lock(folder: Path) -> None:
    value = SecretValue(canary())
    with _open(folder) as store:
        store.promote(COUNTER, store.stage(COUNTER, value, "first").id, expect_current=None)
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with store._database.reading():
                held.set()
                free.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()

        def work() -> None:
            assert store.read(COUNTER).value == value
            store.stage(COUNTER, SecretValue(canary()), "from the child")

        try:
            _join(_fork(work))
        finally:
            free.set()
            holder.join()
        assert store.read(COUNTER, stage=Stage.PENDING).version.id == "2"


def test_a_store_that_stays_locked_raises_busy_and_nothing_is_lost(folder: Path) -> None:
    with _open(folder, busy_timeout="0s") as store:
        store.stage(COUNTER, SecretValue(canary()), "first")
        rival = sqlite3.connect(folder / "secrets.db", isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            store.promote(COUNTER, "1", expect_current=None)
        assert store.read(COUNTER, stage=Stage.PENDING).version.id == "1"
        rival.execute("ROLLBACK")
        rival.close()
        assert store.promote(COUNTER, "1", expect_current=None).stage is Stage.CURRENT


def test_a_retired_ciphertext_stands_in_no_file_even_though_another_process_has_the_store_open(folder: Path) -> None:
    with _open(folder) as store, _open(folder) as reader:
        store.stage(COUNTER, SecretValue(canary().ljust(9_000, "x")), "first")
        reader.describe(COUNTER)
        with sqlite3.connect(folder / "secrets.db") as connection:
            ciphertext, wrapped = connection.execute("SELECT ciphertext, wrapped_key FROM sealed_values").fetchone()
        connection.close()
        pieces = [ciphertext[start : start + 16] for start in range(0, len(ciphertext), 16)] + [wrapped]
        assert any(piece in _all_bytes(folder) for piece in pieces)
        store.retire(COUNTER, "1")
        assert not any(piece in _all_bytes(folder) for piece in pieces)


def test_an_erasure_that_a_long_reader_held_up_is_finished_by_the_next_opening(folder: Path) -> None:
    with _open(folder, busy_timeout="0s") as store:
        store.stage(COUNTER, SecretValue(canary()), "first")
        reader = sqlite3.connect(folder / "secrets.db", isolation_level=None)
        reader.execute("BEGIN")
        (ciphertext,) = reader.execute("SELECT ciphertext FROM sealed_values").fetchone()
        store.retire(COUNTER, "1")
        assert ciphertext in _all_bytes(folder)
        reader.close()
        with _open(folder):
            assert ciphertext not in _all_bytes(folder)


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("secrets.db*"))


def test_all_files_of_an_open_store_are_private(folder: Path) -> None:
    with _open(folder) as store:
        store.stage(COUNTER, SecretValue(canary()), "first")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(["key", "secrets.db", "secrets.db-shm", "secrets.db-wal"], 0o600)


def test_the_log_is_empty_after_every_write(folder: Path) -> None:
    with _open(folder) as store, _open(folder) as other:
        other.list()
        for step in (
            lambda: store.stage(COUNTER, SecretValue(canary()), "first"),
            lambda: store.promote(COUNTER, "1", expect_current=None),
            store.rotate_key,
            lambda: store.delete(COUNTER),
        ):
            step()
            assert (folder / "secrets.db-wal").stat().st_size == 0


@pytest.mark.parametrize("is_folder_closed", [True, False])
def test_another_user_is_refused_by_every_verb_and_when_opening(is_folder_closed: bool) -> None:
    # Not below pytest's folder, which another user cannot even enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with create_embedded(folder / "secrets.db", environment="test", key_file=folder / "key") as store:
            _join(_fork(lambda: _be_another_user_and_be_refused(store, folder, is_folder_closed)))
            folder.chmod(0o700)


def _be_another_user_and_be_refused(store: EmbeddedStore, folder: Path, is_folder_closed: bool) -> None:
    """Run in a child: it opens a connection of its own, so it is refused anew."""
    if os.geteuid() == 0:
        folder.chmod(0o700 if is_folder_closed else 0o755)
        os.setuid(65_534)
    else:
        (folder if is_folder_closed else folder / "secrets.db").chmod(0)
    for call in (*VERBS.values(), lambda _store: _open(folder)):
        with pytest.raises(StoreAccessDeniedError):
            call(store)

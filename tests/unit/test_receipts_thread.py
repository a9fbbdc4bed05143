"""The thread that writes receipts: when it begins, what wakes it, and how it ends."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from vantage_secrets.clock import utc_now
from vantage_secrets.database import Database
from vantage_secrets.errors import DatabaseError
from vantage_secrets.receipts import ReceiptBook, Receipts, book
from vantage_secrets.secret import SecretName

KEY = SecretName("vantage/api-key")
THREAD = "vantage-secrets-receipts"
PATIENCE = 20.0


def until(true: Callable[[], object]) -> None:
    ticks = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if true():
            return
        ticks.wait(0.005)
    raise AssertionError("it did not come true")


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/control.db"


@pytest.fixture
def receipts(url: str) -> Iterator[Receipts]:
    database = Database(url)
    yield Receipts(database)
    database.close()


def _versions(receipts: Receipts) -> list[str]:
    return [holder.version_id for holder in receipts.holders(KEY, now=utc_now())]


def _never() -> Database:
    raise AssertionError("the database was opened")


def test_there_is_no_thread_before_the_first_hand_out_and_one_after_it() -> None:
    held = ReceiptBook(_never, service="worker")
    assert _threads() == []
    held.hand_out(KEY, "1")
    held.hand_out(KEY, "2")
    assert len(_threads()) == 1
    assert _threads()[0].daemon
    held.close()
    assert _threads() == []


def test_a_book_that_is_closed_at_once_opens_no_database_and_does_not_wait() -> None:
    held = ReceiptBook(_never, service="worker")
    held.hand_out(KEY, "1")
    held.close()
    held.close()
    assert held.failure_count == 0


def test_after_its_beginning_each_change_is_written_at_once_and_the_end_is_told(
    url: str, receipts: Receipts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    held = ReceiptBook(lambda: Database(url), service="worker")
    held.hand_out(KEY, "1")
    until(lambda: _versions(receipts) == ["1"])
    held.hand_out(KEY, "2")
    until(lambda: _versions(receipts) == ["2"])
    held.let_go(KEY)
    until(lambda: _versions(receipts) == [])
    held.hand_out(KEY, "3")
    held.close()
    assert _versions(receipts) == []
    assert held.failure_count == 0


def test_the_heartbeats_come_without_a_change(url: str, receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    monkeypatch.setattr(book, "HEARTBEAT", timedelta(milliseconds=50))
    held = ReceiptBook(lambda: Database(url), service="worker")
    held.hand_out(KEY, "1")

    def last_seen() -> float:
        return max((holder.seen_at.timestamp() for holder in receipts.holders(KEY, now=utc_now())), default=0.0)

    until(last_seen)
    for _ in range(3):
        before = last_seen()
        until(lambda before=before: last_seen() > before)
    held.close()


def test_an_outage_is_waited_for(url: str, receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    monkeypatch.setattr(book, "RETRY_SECONDS", 0.01)
    away = threading.Event()

    def open_database() -> Database:
        if not away.is_set():
            raise DatabaseError("The control database failed: OperationalError.")
        return Database(url)

    held = ReceiptBook(open_database, service="worker")
    held.hand_out(KEY, "1")
    until(lambda: held.failure_count > 2)
    held.hand_out(KEY, "2")
    away.set()
    until(lambda: _versions(receipts) == ["2"])
    held.close()


def test_a_database_that_hangs_does_not_hold_the_end_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    monkeypatch.setattr(book, "CLOSE_WAIT_SECONDS", 0.05)
    inside, go_on = threading.Event(), threading.Event()

    def hang() -> Database:
        inside.set()
        assert go_on.wait(PATIENCE)
        raise DatabaseError("The control database failed: OperationalError.")

    held = ReceiptBook(hang, service="worker")
    held.hand_out(KEY, "1")
    assert inside.wait(PATIENCE)
    held.close()
    assert len(_threads()) == 1, "it was not waited for"
    held.hand_out(KEY, "2")
    go_on.set()
    until(lambda: _threads() == [])


def test_a_book_that_nobody_refers_to_ends_its_thread_and_says_nothing(
    url: str, receipts: Receipts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    held = ReceiptBook(lambda: Database(url), service="worker")
    held.hand_out(KEY, "1")
    until(lambda: _versions(receipts) == ["1"])
    with held._writing:  # the thread is done with it
        pass
    del held
    gc.collect()
    until(lambda: _threads() == [])
    assert _versions(receipts) == ["1"], "what it was handed may still be in use"


def test_no_connection_stays_open_between_two_writes(
    url: str, receipts: Receipts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "BEGIN_SECONDS", 0.01)
    opened: list[Database] = []

    def open_database() -> Database:
        opened.append(Database(url))
        return opened[-1]

    held = ReceiptBook(open_database, service="worker")
    for version in ("1", "2", "3"):
        held.hand_out(KEY, version)
        until(lambda version=version: _versions(receipts) == [version])
        until(lambda: not held._writing.locked())
        assert opened[0]._engine.pool.checkedin() == 0  # type: ignore[attr-defined]
    held.close()
    assert len(opened) == 1

"""What a book writes about hand-outs, and what is read of it: now, at past times, and of those who vanished."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from vantage_secrets.database import Database
from vantage_secrets.errors import DatabaseError
from vantage_secrets.receipts import (
    HEARTBEAT,
    UNHEARD,
    Holder,
    ReceiptBook,
    Receipts,
    as_word,
    book,
    instance_name,
    service_name,
)
from vantage_secrets.receipts.place import with_connection
from vantage_secrets.receipts.standing import Standing, standings
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import FakeClock

KEY = SecretName("vantage/api-key")
OTHER = SecretName("vantage/collector-token")
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/control.db")
    yield database
    database.close()


@pytest.fixture
def receipts(database: Database) -> Receipts:
    return Receipts(database)


@pytest.fixture
def open_book(database: Database, clock: FakeClock) -> Callable[..., ReceiptBook]:
    """Makes books of processes of any name, without a thread."""

    def make(name: str = "host/worker/7", service: str = "worker") -> ReceiptBook:
        made = ReceiptBook(
            lambda: Database(str(database._url)), service=service, instance=lambda: name, clock=clock, background=False
        )
        made.instance = name  # a second book of this one process would have a number behind its name
        return made

    return make


def _seen(holders: tuple[Holder, ...]) -> list[tuple[str, str, bool]]:
    return [(holder.instance, holder.version_id, holder.is_known) for holder in holders]


# Writing


def test_nothing_is_on_record_before_it_is_written(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1")
    assert receipts.holders(KEY, now=clock()) == ()
    assert held.flush()
    assert receipts.holders(KEY, now=clock()) == (
        Holder("worker", "host/worker/7", "1", clock(), clock(), is_known=True),
    )
    assert receipts.holders(OTHER, now=clock()) == ()


def test_the_times_are_those_of_the_hand_out_and_not_of_the_writing(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held, handed_at = open_book(), clock()
    held.hand_out(KEY, "1")
    written_at = clock.advance(20 * SECOND)
    held.flush()
    [holder] = receipts.holders(KEY, now=clock())
    assert (holder.since, holder.seen_at) == (handed_at, written_at)


def test_the_same_version_again_is_no_news(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held, handed_at = open_book(), clock()
    held.hand_out(KEY, "1")
    held.flush()
    clock.advance(SECOND)
    held.hand_out(KEY, "1")
    held.flush()
    assert [holder.since for holder in receipts.holders(KEY, now=clock())] == [handed_at]


def test_a_move_ends_the_old_receipt_and_begins_a_new_one_at_the_same_instant(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held, began_at = open_book(), clock()
    held.hand_out(KEY, "1")
    held.flush()
    moved_at = clock.advance(10 * SECOND)
    held.hand_out(KEY, "2")
    clock.advance(10 * SECOND)
    held.flush()
    [now] = receipts.holders(KEY, now=clock())
    [before] = receipts.holders(KEY, at=moved_at - SECOND, now=clock())
    assert (now.version_id, now.since, now.ended_by) == ("2", moved_at, "")
    assert (before.version_id, before.since) == ("1", began_at)
    assert (before.ended_by, before.ended_at) == ("moved", moved_at)


def test_every_version_is_in_the_past_though_several_came_between_two_writes(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    times = []
    for version in ("1", "2", "3"):
        times.append(clock())
        held.hand_out(KEY, version)
        clock.advance(10 * SECOND)
    held.flush()
    found = [receipts.holders(KEY, at=at, now=clock())[0].version_id for at in times]
    assert found == ["1", "2", "3"]
    assert receipts.holders(KEY, at=times[0] - SECOND, now=clock()) == ()


def test_each_connection_has_a_receipt_of_its_own_until_it_is_let_go(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1", "tcp-1")
    held.hand_out(KEY, "1", "tcp-2")
    held.flush()
    held.hand_out(KEY, "2", "tcp-2")
    clock.advance(SECOND)
    held.let_go(KEY, "tcp-1")
    held.let_go(KEY, "tcp-1")
    held.let_go(KEY, "never there")
    held.flush()
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7#tcp-2", "2", True)]
    before = receipts.holders(KEY, at=clock() - SECOND, now=clock())
    assert [(holder.instance, holder.ended_by) for holder in before] == [
        ("host/worker/7#tcp-1", "closed"),
        ("host/worker/7#tcp-2", ""),
    ]


def test_a_closed_book_says_goodbye_if_it_had_written_and_takes_no_more(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1")
    held.flush()
    clock.advance(SECOND)
    held.close()
    held.close()
    held.hand_out(KEY, "2")
    held.flush()
    assert receipts.holders(KEY, now=clock()) == ()
    [before] = receipts.holders(KEY, at=clock() - SECOND, now=clock())
    assert before.ended_by == "closed"
    assert receipts.services(KEY) == {"worker"}


def test_a_book_closed_before_it_wrote_leaves_nothing(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1")
    held.close()
    assert receipts.services(KEY) == frozenset()


# Heartbeats


def test_who_is_not_heard_of_for_three_heartbeats_is_unknown_and_has_not_moved(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    open_book().hand_out(KEY, "1")
    held = open_book()
    held.hand_out(KEY, "1")
    held.flush()
    clock.advance(3 * HEARTBEAT)
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "1", True)]
    clock.advance(SECOND)
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "1", False)]
    clock.advance(timedelta(days=400))
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "1", False)]


def test_a_heartbeat_keeps_a_receipt_known_and_brings_one_back(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held, handed_at = open_book(), clock()
    held.hand_out(KEY, "1")
    for _ in range(10):
        held.flush()
        clock.advance(HEARTBEAT)
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "1", True)]
    clock.advance(timedelta(hours=1))
    assert not receipts.holders(KEY, now=clock())[0].is_known
    held.flush()
    [holder] = receipts.holders(KEY, now=clock())
    assert (holder.is_known, holder.since, holder.seen_at) == (True, handed_at, clock())


def test_a_past_time_tells_who_was_heard_of_then(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held, handed_at = open_book(), clock()
    held.hand_out(KEY, "1")
    held.flush()
    later = clock.advance(timedelta(days=1))
    known = {at: receipts.holders(KEY, at=at, now=later)[0].is_known for at in (handed_at + HEARTBEAT, later)}
    assert list(known.values()) == [True, False]


def test_a_row_that_is_gone_or_was_ended_by_mistake_is_back_with_the_next_heartbeats(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1")
    held.flush()
    assert receipts.dismiss(KEY, "host/worker/7", now=clock()) == 1
    assert receipts.holders(KEY, now=clock()) == ()
    held.flush()
    held.flush()
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "1", True)]


def test_a_process_of_the_very_name_ends_what_its_killed_predecessor_left_but_not_what_nobody_speaks_for(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    killed = open_book()
    killed.hand_out(KEY, "1")
    killed.hand_out(KEY, "1", "tcp-1")
    killed.hand_out(OTHER, "1", UNHEARD)
    killed.flush()
    neighbour = open_book("host/worker/70")
    neighbour.hand_out(KEY, "1")
    neighbour.flush()
    clock.advance(timedelta(hours=1))
    successor = open_book()
    successor.hand_out(KEY, "2")
    successor.flush()
    assert _seen(receipts.holders(KEY, now=clock())) == [("host/worker/7", "2", True), ("host/worker/70", "1", False)]
    assert _seen(receipts.holders(OTHER, now=clock())) == [("host/worker/7#env", "1", False)]
    [ended, *_] = receipts.holders(KEY, at=clock() - SECOND, now=clock())
    assert (ended.is_known, ended.ended_by) == (False, "closed")


def test_a_predecessor_is_ended_when_it_is_overdue_and_not_before(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    first, second = open_book(), open_book()
    first.hand_out(KEY, "1")
    first.flush()
    clock.advance(HEARTBEAT)
    second.hand_out(KEY, "2")
    second.flush()
    assert [version for _, version, _ in _seen(receipts.holders(KEY, now=clock()))] == ["1", "2"]
    for _ in range(3):
        clock.advance(HEARTBEAT)
        second.flush()
    assert [version for _, version, _ in _seen(receipts.holders(KEY, now=clock()))] == ["2"]


def test_a_writers_clock_that_is_ahead_hides_nobody(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    held = open_book()
    held.hand_out(KEY, "1")
    held.flush()
    assert _seen(receipts.holders(KEY, now=clock() - timedelta(hours=1))) == [("host/worker/7", "1", True)]


# Dismissing


def test_a_process_is_dismissed_with_its_connections_and_no_other_is(
    open_book: Callable[..., ReceiptBook], receipts: Receipts, clock: FakeClock
) -> None:
    for name in ("host/worker/7", "host/worker/70", "host/work_r/7"):
        held = open_book(name)
        held.hand_out(KEY, "1")
        held.hand_out(KEY, "1", "tcp-1")
        held.hand_out(OTHER, "1")
        held.flush()
    assert receipts.dismiss(KEY, "host/work_r/7#tcp-1", now=clock()) == 1
    assert receipts.dismiss(KEY, "host/work_r/7", now=clock()) == 1
    assert receipts.dismiss(KEY, "host/work_r/7", now=clock()) == 0
    assert receipts.dismiss(KEY, "host/worker/7", now=clock()) == 2
    left = [holder.instance for holder in receipts.holders(KEY, now=clock())]
    assert left == ["host/worker/70", "host/worker/70#tcp-1"]
    assert len(receipts.holders(OTHER, now=clock())) == 3


# A database that is away


class Switch:
    """A database that is opened, and does what it is asked, unless it is away."""

    def __init__(self, database: Database) -> None:
        self.database, self.away = database, True

    def __call__(self) -> Any:
        self._answer()
        return self

    def transaction(self) -> AbstractContextManager[Connection]:
        self._answer()
        return self.database.transaction()

    def close(self) -> None:
        self.database.close()

    def _answer(self) -> None:
        if self.away:
            raise DatabaseError("The control database failed: OperationalError.")


def test_while_the_database_is_away_everything_is_kept_counted_and_logged_once_and_written_afterwards(
    database: Database, receipts: Receipts, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch(database)
    held = ReceiptBook(switch, service="worker", instance=lambda: "host/worker/7", clock=clock, background=False)
    began_at = clock()
    held.hand_out(KEY, "1")
    held.hand_out(KEY, "1", "tcp-1")
    assert not held.flush()
    clock.advance(SECOND)
    held.hand_out(KEY, "2")
    held.let_go(KEY, "tcp-1")
    assert not held.flush()
    assert held.failure_count == 2
    logged = [record for record in caplog.records if record.name == "vantage_secrets.receipts"]
    assert [(record.levelno, "(DatabaseError)" in record.getMessage()) for record in logged] == [
        (logging.WARNING, True)
    ]
    switch.away = False
    assert held.flush()
    assert [version for _, version, _ in _seen(receipts.holders(KEY, now=clock()))] == ["2"]
    before = receipts.holders(KEY, at=began_at, now=clock())
    assert [(holder.version_id, holder.ended_by) for holder in before] == [("1", "moved"), ("1", "closed")]
    switch.database.close()


def test_what_a_driver_says_is_not_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Database:
        raise OSError("postgresql://user:password@host")

    held = ReceiptBook(refuse, service="worker", clock=clock, background=False)
    held.hand_out(KEY, "1")
    assert not held.flush()
    assert "(OSError)" in caplog.text
    assert "postgresql" not in caplog.text


def test_an_endless_outage_costs_only_the_past_of_what_came_and_went_in_it(
    database: Database, receipts: Receipts, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "KEPT_MAX", 10)
    switch = Switch(database)
    held = ReceiptBook(switch, service="worker", instance=lambda: "host/worker/7", clock=clock, background=False)
    for number in range(50):
        held.hand_out(KEY, "1", f"tcp-{number}")
        if number >= 5:
            held.let_go(KEY, f"tcp-{number}")
        held.flush()
    assert len(held._changed) <= 11
    switch.away = False
    held.flush()
    assert len(receipts.holders(KEY, now=clock())) == 5
    switch.database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["hand out", "let go", "write", "write in an outage"]),
            st.sampled_from(["", "tcp-1", "tcp-2"]),
            st.sampled_from(["1", "2", "3"]),
        ),
        max_size=25,
    )
)
def test_the_past_is_what_was_handed_out_whenever_it_was_written(
    database: Database, receipts: Receipts, steps: list[tuple[str, str, str]]
) -> None:
    clock, secret, switch = FakeClock(), SecretName(f"vantage/{uuid4().hex}"), Switch(database)
    held = ReceiptBook(switch, service="worker", instance=lambda: "host/worker/7", clock=clock, background=False)
    held.instance = "host/worker/7"
    expected: dict[str, str] = {}
    history = []
    for step, connection, version in steps:
        switch.away = step == "write in an outage"
        if step == "hand out":
            held.hand_out(secret, version, connection)
            expected[connection] = version
        elif step == "let go":
            held.let_go(secret, connection)
            expected.pop(connection, None)
        else:
            is_idle = not held._changed and not held._open
            assert held.flush() is (is_idle or not switch.away)
        history.append((clock(), dict(expected)))
        clock.advance(SECOND)
    switch.away = False
    assert held.flush()
    for at, then in [*history, (None, expected)]:
        found = receipts.holders(secret, at=at, now=clock())
        assert {holder.instance.partition("#")[2]: holder.version_id for holder in found} == then
        assert len(found) == len(then)


# Names


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("worker", "worker"),
        ("Query API", "query-api"),
        ("my_app.v2", "my-app-v2"),
        ("--", "python"),
        ("", "python"),
        ("x" * 50, "x" * 40),
        ("a" * 39 + "-b", "a" * 39),
        ("\x1b[31mred", "31mred"),
    ],
)
def test_a_service_is_a_word_as_the_manifest_writes_consumers(text: str, word: str) -> None:
    assert as_word(text) == word


@pytest.mark.parametrize(
    ("variable", "consumer", "program", "service"),
    [
        ("worker", "collector", "/usr/bin/uvicorn", "worker"),
        ("", "collector", "/usr/bin/uvicorn", "collector"),
        ("", "", "/srv/query_api.py", "query-api"),
        ("", "", "/srv/platform/__main__.py", "platform"),
        ("", "", "-c", "python"),
    ],
)
def test_the_environment_says_the_service_then_the_caller_then_the_programs_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, consumer: str, program: str, service: str
) -> None:
    monkeypatch.setenv("VANTAGE_SECRETS_SERVICE", variable)
    monkeypatch.setattr(sys, "argv", [program])
    assert service_name(consumer) == service
    assert service_name(consumer, program=program) == service


def test_an_instance_is_host_program_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert instance_name(program="/bin/sh", pid=7).endswith("/sh/7")
    monkeypatch.setattr(sys, "argv", ["/srv/worker.py"])
    host, program, _pid = instance_name().split("/")
    assert (bool(host), program) == (True, "worker.py")


def test_a_connections_name_is_printable_and_fits_the_column() -> None:
    assert with_connection("host/worker/7", "") == "host/worker/7"
    assert with_connection("host/worker/7", "a\n\x1b[2Jb\0") == "host/worker/7#a??[2Jb?"
    assert len(with_connection("host/worker/7", "x" * 500)) == 255


def test_two_books_of_one_process_have_two_names(database: Database) -> None:
    books = [ReceiptBook(lambda: database, service="worker", background=False) for _ in range(2)]
    assert len({each.instance for each in books}) == 2


# How the consumers stand


def test_consumers_stand_as_their_instances_do(clock: FakeClock) -> None:
    def holder(service: str, version: str, *, known: bool = True) -> Holder:
        return Holder(service, f"host/{service}/1", version, clock(), clock(), is_known=known)

    holders = [
        holder("worker", "1"),
        holder("worker", "2"),
        holder("collector", "1", known=False),
        holder("collector", "1"),
        holder("shop", "2", known=False),
    ]
    found = standings(
        holders, current_id="2", consumers=("collector", "worker", "query-api", "idle"), services={"worker", "idle"}
    )
    assert found == (
        Standing("collector", left_a_receipt=True, instance_count=2, behind_count=1, unknown_count=1),
        Standing("worker", left_a_receipt=True, instance_count=2, behind_count=1, unknown_count=0),
        Standing("query-api", left_a_receipt=False, instance_count=0, behind_count=0, unknown_count=0),
        Standing("idle", left_a_receipt=True, instance_count=0, behind_count=0, unknown_count=0),
        Standing("shop", left_a_receipt=True, instance_count=1, behind_count=0, unknown_count=0),
    )
    assert [standing.service for standing in found if standing.has_moved] == ["idle", "shop"]

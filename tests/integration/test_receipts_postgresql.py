"""Receipts of a fleet, in a control database on PostgreSQL that goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    empty_database_fixture,
    postgresql_fixture,
)
from vantage_secrets.database import Database
from vantage_secrets.receipts import HEARTBEAT, ReceiptBook, Receipts
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import FakeClock

pytestmark = POSTGRESQL_GROUP
KEY = SecretName("vantage/api-key")


@pytest.fixture
def url(postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    return postgresql.url(empty_database, user=postgresql.superuser)


@pytest.fixture
def receipts(url: str) -> Iterator[Receipts]:
    database = Database(url)
    yield Receipts(database)
    database.close()


def _book(url: str, number: int, clock: FakeClock) -> ReceiptBook:
    name = f"host-{number}/worker/7"
    made = ReceiptBook(lambda: Database(url), service="worker", instance=lambda: name, clock=clock, background=False)
    made.instance = name
    return made


def test_a_fleet_is_on_record_moves_vanishes_and_is_dismissed(url: str, receipts: Receipts) -> None:
    clock = FakeClock()
    books = [_book(url, number, clock) for number in range(3)]
    for held in books:
        held.hand_out(KEY, "1")
        held.hand_out(KEY, "1", "tcp_1")
        assert held.flush()
    began_at = clock()
    clock.advance(timedelta(minutes=5))
    for held in books[:2]:
        held.hand_out(KEY, "2")
        held.let_go(KEY, "tcp_1")
        assert held.flush()
    now = {(h.instance, h.version_id, h.is_known) for h in receipts.holders(KEY, now=clock())}
    assert now == {
        ("host-0/worker/7", "2", True),
        ("host-1/worker/7", "2", True),
        ("host-2/worker/7", "1", False),
        ("host-2/worker/7#tcp_1", "1", False),
    }
    then = receipts.holders(KEY, at=began_at + HEARTBEAT, now=clock())
    assert {(h.version_id, h.is_known) for h in then} == {("1", True)}
    assert sorted(h.ended_by for h in then) == ["", "", "closed", "closed", "moved", "moved"]
    assert receipts.dismiss(KEY, "host-2/worker/7", now=clock()) == 2
    for held in books[:2]:
        held.close()
    assert receipts.holders(KEY, now=clock()) == ()
    assert receipts.services(KEY) == {"worker"}


def test_a_server_that_goes_and_comes_back_costs_no_receipt(url: str, postgresql: PostgresqlServer) -> None:
    clock = FakeClock()
    held = _book(url, 0, clock)
    held.hand_out(KEY, "1")
    assert held.flush()
    postgresql.stop()
    try:
        held.hand_out(KEY, "2")
        assert not held.flush()
    finally:
        postgresql.start()
    assert held.flush()
    assert held.failure_count == 1
    database = Database(url)
    assert [holder.version_id for holder in Receipts(database).holders(KEY, now=clock())] == ["2"]
    database.close()

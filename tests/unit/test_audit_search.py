"""Searching and following the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.search import search, tail
from vantage_secrets.errors import AuditError, AuditIntegrityError, InvalidInputError

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTIONS = (Action.SECRET_READ, Action.VERSION_PROMOTE, Action.TARGET_REVOKE)


def event(number: int) -> AuditEvent:
    return AuditEvent(
        at=START + timedelta(minutes=number),
        actor=("ana", "böb", 'eve",')[number % 3],
        action=ACTIONS[number % 3],
        subject=f"vantage/key-{number % 4}",
        outcome=(Outcome.SUCCESS, Outcome.FAILED)[number % 2],
        version_id=f"v{number % 5}",
        why=f'says ,"actor":"ana" and "outcome":"failed" {number}',
    )


EVENTS = [event(number) for number in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with AuditLog(tmp_path / "log", segment_bytes=2_048) as log:
        for each in EVENTS:
            log.append(each)
    return tmp_path / "log"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"actor": "ana"},
        {"actor": "böb"},
        {"actor": 'eve",'},
        {"actor": "an"},
        {"action": Action.VERSION_PROMOTE},
        {"subject": "vantage/key-3"},
        {"outcome": Outcome.FAILED},
        {"version_id": "v2"},
        {"actor": "ana", "outcome": Outcome.SUCCESS, "version_id": "v4"},
        {"subject": ""},
    ],
    ids=str,
)
def test_a_search_finds_exactly_what_fits(folder: Path, filters: dict[str, str]) -> None:
    wanted = [each for each in EVENTS if all(getattr(each, name) == value for name, value in filters.items())]
    assert [record.event for record in search(folder, **filters)] == wanted  # type: ignore[arg-type]
    newest = [record.event for record in search(folder, newest_first=True, **filters)]  # type: ignore[arg-type]
    assert newest == wanted[::-1]


def test_since_is_included_and_until_is_not(folder: Path) -> None:
    since, until = START + timedelta(minutes=10), START + timedelta(minutes=13)
    assert [record.seq for record in search(folder, since=since, until=until)] == [11, 12, 13]
    assert [record.seq for record in search(folder, since=START + timedelta(minutes=58))] == [59, 60]
    assert [record.seq for record in search(folder, until=START + timedelta(seconds=1))] == [1]
    with pytest.raises(InvalidInputError, match="no time zone"):
        list(search(folder, since=datetime(2026, 1, 1)))


def test_a_limit_ends_the_search_at_either_end(folder: Path) -> None:
    assert [record.seq for record in search(folder, limit=2)] == [1, 2]
    assert [record.seq for record in search(folder, limit=2, newest_first=True)] == [60, 59]
    assert list(search(folder, limit=0)) == []


def test_a_search_is_lazy_and_says_where_a_line_is_no_record(folder: Path) -> None:
    with sorted(folder.glob("0*.jsonl"))[-1].open("ab") as file:
        file.write(b"garbage\n")
    records = search(folder)
    assert next(records).seq == 1
    with pytest.raises(AuditIntegrityError, match="is not a record"):
        list(records)


def test_a_search_in_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be read"):
        list(search(tmp_path / "nowhere"))


def test_tail_yields_the_last_records_the_oldest_first(folder: Path) -> None:
    assert [record.seq for record in tail(folder, 3)] == [58, 59, 60]
    assert [record.seq for record in tail(folder, 1_000)] == list(range(1, 61))
    assert list(tail(folder, 0)) == []


def test_a_follower_sees_each_new_record_once_over_new_segments(folder: Path) -> None:
    log = AuditLog(folder, segment_bytes=1_024)
    waits: list[float] = []

    def write_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        for number in range(7):
            log.append(event(number))

    followed = tail(folder, 1, follow=True, wait=write_meanwhile)
    assert [next(followed).seq for _ in range(22)] == list(range(60, 82))
    followed.close()  # type: ignore[attr-defined]
    log.close()
    assert len(waits) == 3

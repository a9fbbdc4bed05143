"""The audit log: what an append promises, how segments and groups form, and how a torn end is mended."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.search import search
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.turns import Ticket, Turns
from vantage_secrets.audit.verify import verify
from vantage_secrets.clock import utc_now
from vantage_secrets.errors import AuditUnwritableError, InvalidInputError
from vantage_secrets.testing import FakeClock


def event(subject: str = "vantage/api-key", **fields: object) -> AuditEvent:
    return AuditEvent(utc_now(), "ana@build", Action.SECRET_READ, subject, Outcome.SUCCESS, **fields)  # type: ignore[arg-type]


def fill(folder: Path, count: int, **options: object) -> None:
    with AuditLog(folder, **options) as log:  # type: ignore[arg-type]
        for number in range(count):
            log.append(event(f"vantage/key-{number}"))


def checkpoint_seqs(folder: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in (folder / "checkpoints.jsonl").read_text().splitlines()]


def test_an_appended_event_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(event("vantage/api-key", why="refresh"))
    line = (tmp_path / "log" / "00000001.jsonl").read_bytes()
    assert line.endswith(b"\n")
    fields = json.loads(line)
    assert (fields["seq"], fields["subject"], fields["why"]) == (1, "vantage/api-key", "refresh")
    log.close()


def test_an_append_returns_after_the_sync_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: sizes.append(os.fstat(handle).st_size))
    with AuditLog(tmp_path / "log") as log:
        for number in range(1, 4):
            log.append(event())
            assert len(sizes) == number
            assert sizes[-1] == (tmp_path / "log" / "00000001.jsonl").stat().st_size


def test_the_folder_and_its_files_are_private(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log")
    fill(tmp_path / "log", 1)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "log").iterdir()}
    assert set(modes) == {"00000001.jsonl", "checkpoints.jsonl", "lock", "signing.key", "signing.pub"}
    assert set(modes.values()) == {0o600}


def test_a_folder_that_everyone_may_write_is_refused_and_one_that_a_group_may_read_is_not(tmp_path: Path) -> None:
    fill(tmp_path / "log", 1)
    (tmp_path / "log").chmod(0o750)
    fill(tmp_path / "log", 1)
    (tmp_path / "log").chmod(0o707)
    with pytest.raises(AuditUnwritableError, match="may be written by everyone") as caught:
        fill(tmp_path / "log", 1)
    assert "chmod o-w" in caught.value.hint


def test_a_segment_file_that_everyone_may_write_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "log", 1)
    (tmp_path / "log" / "00000001.jsonl").chmod(0o606)
    with pytest.raises(AuditUnwritableError, match="may be written by everyone"):
        fill(tmp_path / "log", 1)


def test_threads_that_append_at_once_share_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    first_is_writing, all_wait = threading.Event(), threading.Event()

    def write(group: list[Ticket]) -> None:
        groups.append(len(group))
        if len(groups) == 1:
            first_is_writing.set()
            assert all_wait.wait(30)

    turns = Turns(write)
    first = threading.Thread(target=turns.take, args=(Ticket((), may_spool=False),))
    first.start()
    assert first_is_writing.wait(30)
    others = [threading.Thread(target=turns.take, args=(Ticket((), may_spool=False),)) for _ in range(7)]
    for thread in others:
        thread.start()
    while len(turns._forming.tickets) < 7:
        threading.Event().wait(0.001)
    all_wait.set()
    for thread in [first, *others]:
        thread.join(30)
    assert groups == [1, 7]


def test_many_threads_need_far_fewer_syncs_than_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real = os.fdatasync

    def counted(handle: int) -> None:
        syncs.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fdatasync", counted)
    log = AuditLog(tmp_path / "log")
    threads = [threading.Thread(target=lambda: [log.append(event()) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert verify(tmp_path / "log").records_count == 400
    assert len(syncs) <= 200


def test_a_thread_that_is_interrupted_while_it_waits_does_not_stop_the_others(tmp_path: Path) -> None:
    turns = Turns(lambda group: None)
    group = turns._forming
    waiting, gone = Ticket((), may_spool=False), Ticket((), may_spool=False)
    group.tickets += [waiting, gone]
    turns._leave(group, gone)
    assert group.tickets == [waiting]
    assert not group.gate.locked()  # Whoever waits there is let through, and leads.


def test_a_leader_whose_write_raises_leaves_the_next_one_free(tmp_path: Path) -> None:
    calls: list[int] = []

    def write(group: list[Ticket]) -> None:
        calls.append(len(group))
        if len(calls) == 1:
            raise KeyboardInterrupt

    turns = Turns(write)
    with pytest.raises(KeyboardInterrupt):
        turns.take(Ticket((), may_spool=False))
    turns.take(Ticket((), may_spool=False))
    assert calls == [1, 1]


def test_segments_change_by_size_and_the_chain_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "log", 30, segment_bytes=1_024)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "log").glob("0*.jsonl"))]
    assert len(sizes) > 5
    assert all(1_024 <= size < 1_024 + 400 for size in sizes[:-1])
    found = verify(tmp_path / "log")
    assert (found.problem, found.records_count, found.segments_count) == (None, 30, len(sizes))


def test_a_log_goes_on_in_its_newest_segment_even_when_that_is_empty(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log", segment_bytes=1_024) as log:
        log.append(event(why="x" * 1_000))
    assert (tmp_path / "log" / "00000002.jsonl").stat().st_size == 0
    fill(tmp_path / "log", 1)
    assert (verify(tmp_path / "log").problem, verify(tmp_path / "log").records_count) == (None, 2)


def test_a_torn_last_line_is_cut_off_and_recorded(tmp_path: Path) -> None:
    fill(tmp_path / "log", 3)
    path = tmp_path / "log" / "00000001.jsonl"
    with path.open("ab") as file:
        file.write(b'{"hash":"torn')
    assert verify(tmp_path / "log").unfinished_bytes == 13
    fill(tmp_path / "log", 1)
    found = verify(tmp_path / "log")
    assert (found.problem, found.records_count, found.unfinished_bytes) == (None, 5, 0)
    (recovery,) = search(tmp_path / "log", action=Action.LOG_RECOVER)
    assert (recovery.seq, recovery.event.subject) == (4, "00000001.jsonl")
    assert "13 bytes" in recovery.event.why


def test_a_torn_line_that_a_checkpoint_covers_is_tampering_and_stays_as_it_is(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log")
    fill(tmp_path / "log", 3)
    path = tmp_path / "log" / "00000001.jsonl"
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    with pytest.raises(AuditUnwritableError, match="last checkpoint is for record 3") as caught:
        fill(tmp_path / "log", 1)
    assert "evidence" in caught.value.hint
    assert path.read_bytes() == torn
    problem = verify(tmp_path / "log").problem
    assert problem is not None
    assert (problem.kind, problem.seq) == ("cut off", 3)


def test_a_log_that_was_tampered_with_still_loses_no_event_when_it_may_spool(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log")
    fill(tmp_path / "log", 3)
    path = tmp_path / "log" / "00000001.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    fill(tmp_path / "log", 1, on_unwritable="spool", spool=tmp_path / "spool")
    (spooled,) = (tmp_path / "spool").iterdir()
    assert spooled.read_bytes().count(b"\n") == 1


def test_a_write_that_fails_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "log")
    log.append(event("before"))
    whole = (tmp_path / "log" / "00000001.jsonl").read_bytes()

    def failing(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        with pytest.raises(AuditUnwritableError, match="Input/output error"):
            log.append(event("lost"))
    assert (tmp_path / "log" / "00000001.jsonl").read_bytes() == whole
    log.append(event("after"))
    log.close()
    assert [record.event.subject for record in search(tmp_path / "log")] == ["before", "after"]
    assert verify(tmp_path / "log").problem is None


def test_a_log_that_was_closed_opens_itself_again(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    for _ in range(2):
        log.append(event())
        log.close()
        log.close()
    assert verify(tmp_path / "log").records_count == 2


def test_checkpoints_come_at_the_start_by_number_by_time_and_at_the_end(tmp_path: Path) -> None:
    clock = FakeClock()
    create_signing_key(tmp_path / "log", clock=clock)
    with AuditLog(tmp_path / "log", clock=clock, checkpoint_records=10, checkpoint_every=timedelta(minutes=1)) as log:
        for _ in range(12):
            log.append(event())
        clock.advance(timedelta(minutes=2))
        log.append(event())
        log.append(event())
    assert checkpoint_seqs(tmp_path / "log") == [0, 10, 13, 14]


def test_a_checkpoint_comes_with_each_new_segment(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log")
    fill(tmp_path / "log", 12, segment_bytes=1_024)
    ends, seq = [0], 0
    for path in sorted((tmp_path / "log").glob("0*.jsonl")):
        seq += path.read_bytes().count(b"\n")
        ends.append(seq)
    assert checkpoint_seqs(tmp_path / "log") == sorted(set(ends))


def test_a_log_without_a_key_has_no_checkpoints_and_verifies(tmp_path: Path) -> None:
    fill(tmp_path / "log", 3)
    found = verify(tmp_path / "log")
    assert (found.problem, found.checkpoints_count, found.records_after_checkpoint_count) == (None, 0, 3)


def test_a_checkpoint_that_was_never_finished_is_replaced_by_the_next(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log")
    fill(tmp_path / "log", 1)
    with (tmp_path / "log" / "checkpoints.jsonl").open("ab") as file:
        file.write(b'{"seq":9')
    assert verify(tmp_path / "log").problem is None
    fill(tmp_path / "log", 1)
    assert (verify(tmp_path / "log").problem, checkpoint_seqs(tmp_path / "log")) == (None, [0, 1, 2])


def test_a_signing_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "log", key_file=tmp_path / "other.key")
    (tmp_path / "other.key").chmod(0o640)
    with pytest.raises(AuditUnwritableError, match="may be read by others"):
        fill(tmp_path / "log", 1, signing_key=tmp_path / "other.key")


def test_an_instant_of_another_zone_is_written_as_utc_and_one_without_a_zone_is_refused(tmp_path: Path) -> None:
    east = timezone(timedelta(hours=2))
    with AuditLog(tmp_path / "log") as log:
        log.append(AuditEvent(datetime(2026, 1, 1, 2, tzinfo=east), "a", Action.SECRET_READ, "s", Outcome.SUCCESS))
        with pytest.raises(InvalidInputError, match="no time zone"):
            log.append(AuditEvent(datetime(2026, 1, 1), "a", Action.SECRET_READ, "s", Outcome.SUCCESS))
    (record,) = search(tmp_path / "log")
    assert record.event.at == datetime(2026, 1, 1, tzinfo=UTC)


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no spool folder"):
        AuditLog(tmp_path / "log", on_unwritable="spool")
    with pytest.raises(InvalidInputError, match="1,024"):
        AuditLog(tmp_path / "log", segment_bytes=10)
    assert not (tmp_path / "log").exists()

"""The chain of the audit log: any events are kept as they were given, and any change is found where it was made."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vantage_secrets.audit.diagnosis import ProblemKind
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.record import LINE_BYTES_MAX, clean, encode_event
from vantage_secrets.audit.search import search
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.verify import Verification, verify

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ANY_TEXT = st.text(st.characters(), max_size=300)
TEXT = ANY_TEXT | st.sampled_from(
    ["\ud800", "\udfff\ud83d", "=x\n\r\0", '"}\\', "é😀", "\u2028", "x" * 3_000, "😀" * 2_000]
)
INSTANTS = st.datetimes(timezones=st.just(UTC))
EVENTS = st.builds(
    AuditEvent, INSTANTS, TEXT, st.sampled_from(Action), TEXT, st.sampled_from(Outcome), TEXT, TEXT, TEXT
)
COUNT = 24


def as_json_keeps_it(text: str) -> str:
    """Two lone halves side by side become the one character that they are halves of, as RFC 8259 has it."""
    return str(json.loads(json.dumps(text)))


@QUICK
@given(EVENTS)
def test_any_event_is_read_back_as_it_was_cleaned(event: AuditEvent) -> None:
    body = encode_event(event)
    assert b"\n" not in body
    assert body.isascii()
    assert len(body) < LINE_BYTES_MAX - 128
    fields = json.loads(b"{" + body[1:])
    assert datetime.fromisoformat(fields["at"]) == event.at
    assert (fields["action"], fields["outcome"]) == (event.action, event.outcome)
    for name, longest in (("actor", 256), ("subject", 512), ("version_id", 256), ("where", 256), ("why", 1_024)):
        given_text = getattr(event, name)
        assert fields[name] == as_json_keeps_it(clean(given_text, longest))
        assert len(clean(given_text, longest)) <= longest
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in fields[name])


@QUICK
@given(st.lists(EVENTS, max_size=8))
def test_any_events_make_a_log_that_verifies_and_gives_them_back(events: list[AuditEvent]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "log"
        with AuditLog(folder, segment_bytes=4_096) as log:
            for event in events:
                log.append(event)
        found = verify(folder)
        assert (found.problem, found.records_count) == (None, len(events))
        records = list(search(folder))
        assert [record.event.at for record in records] == [event.at for event in events]
        assert [record.event.subject for record in records] == [
            as_json_keeps_it(clean(event.subject, 512)) for event in events
        ]


_template: tuple[Path, str] | None = None


@contextmanager
def signed_log() -> Iterator[tuple[Path, str]]:
    """A fresh copy of a signed log of 24 records in several segments, and its public key."""
    global _template
    if _template is None:
        folder = Path(tempfile.mkdtemp(prefix="audit-chain-"))
        key = create_signing_key(folder / "log")
        with AuditLog(folder / "log", segment_bytes=2_048) as log:
            for number in range(COUNT):
                subject = f"vantage/key-{number}"
                log.append(
                    AuditEvent(datetime(2026, 1, 1, tzinfo=UTC), "ana", Action.SECRET_READ, subject, Outcome.SUCCESS)
                )
        _template = folder, key
    template, key = _template
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(template / "log", Path(name) / "log")
        yield Path(name) / "log", key


class Lines:
    """All lines of a log as one list, written back into the segments that they came from."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("0*.jsonl"))
        self.segments = [path.read_bytes().splitlines(keepends=True) for path in self.paths]

    def place(self, index: int) -> tuple[int, int]:
        for number, lines in enumerate(self.segments):
            if index < len(lines):
                return number, index
            index -= len(lines)
        raise IndexError(index)

    def write(self) -> None:
        for path, lines in zip(self.paths, self.segments, strict=True):
            path.write_bytes(b"".join(lines))


def found_in(folder: Path, key: str) -> Verification:
    found = verify(folder, public_key=key)
    assert found.problem is not None
    assert found.records_count == found.problem.seq - 1
    return found


INDEX = st.integers(0, COUNT - 1)


@QUICK
@given(INDEX, st.data())
def test_a_changed_byte_is_found_in_its_record(index: int, data: st.DataObject) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        segment, line = lines.place(index)
        old = lines.segments[segment][line]
        position = data.draw(st.integers(0, len(old) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != old[position]))
        lines.segments[segment][line] = old[:position] + bytes([byte]) + old[position + 1 :]
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        is_last_newline = index == COUNT - 1 and position == len(old) - 1
        expected = ProblemKind.CUT_OFF if is_last_newline else ProblemKind.CHANGED
        assert (problem.kind, problem.file, problem.line, problem.seq) == (
            expected, lines.paths[segment].name, line + 1, index + 1,
        )  # fmt: skip


@QUICK
@given(st.integers(0, COUNT - 2), st.integers(1, 4))
def test_removed_lines_are_named(index: int, count: int) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        count = min(count, COUNT - 1 - index)
        for _ in range(count):
            segment, line = lines.place(index)
            del lines.segments[segment][line]
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        assert (problem.kind, problem.seq) == (ProblemKind.REMOVED, index + 1)


@QUICK
@given(INDEX, st.binary(max_size=60).filter(lambda junk: b"\n" not in junk))
def test_an_inserted_line_of_anything_is_named(index: int, junk: bytes) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        segment, line = lines.place(index)
        lines.segments[segment].insert(line, junk + b"\n")
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        assert (problem.kind, problem.line, problem.seq) == (ProblemKind.INSERTED, line + 1, index + 1)


@QUICK
@given(INDEX)
def test_an_inserted_record_with_a_number_and_hash_that_fit_is_named(index: int) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        segment, line = lines.place(index)
        number, before = lines.place(index - 1) if index else (0, 0)
        previous = lines.segments[number][before][9:73] if index else b"0" * 64
        covered = b'","seq":%d%b' % (index + 1, encode_event(forged()))
        digest = sha256(previous + covered).hexdigest().encode()
        lines.segments[segment].insert(line, b'{"hash":"' + digest + covered + b"\n")
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        has_checkpoint = index + 1 in checkpointed(folder)
        expected = ProblemKind.REWRITTEN if has_checkpoint else ProblemKind.INSERTED
        assert problem.kind is expected
        assert problem.seq <= index + 1
        assert has_checkpoint or (problem.line, problem.seq) == (line + 1, index + 1)


@QUICK
@given(INDEX, INDEX)
def test_a_copy_of_a_record_is_named(source: int, target: int) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        number, line = lines.place(source)
        copy = lines.segments[number][line]
        segment, place = lines.place(target)
        lines.segments[segment].insert(place + 1, copy)
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        if source == target + 1:  # The copy stands where the record did, so the record itself is the second one.
            expected = ProblemKind.DUPLICATED, target + 3
        else:
            expected = (ProblemKind.DUPLICATED if source <= target else ProblemKind.INSERTED), target + 2
        assert (problem.kind, problem.seq) == expected


@QUICK
@given(INDEX, INDEX)
def test_two_records_that_changed_places_are_named(one: int, other: int) -> None:
    first, second = sorted((one, other))
    if first == second:
        second, first = max(1, second), max(1, second) - 1
    with signed_log() as (folder, key):
        lines = Lines(folder)
        (a, i), (b, j) = lines.place(first), lines.place(second)
        lines.segments[a][i], lines.segments[b][j] = lines.segments[b][j], lines.segments[a][i]
        lines.write()
        problem = found_in(folder, key).problem
        assert problem is not None
        assert (problem.kind, problem.line, problem.seq) == (ProblemKind.REORDERED, i + 1, first + 1)


@QUICK
@given(st.data())
def test_a_tail_that_was_cut_off_is_found_wherever_the_cut_is(data: st.DataObject) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        path = next(path for path in reversed(lines.paths) if path.stat().st_size)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:cut])
        left = sum(len(segment) for segment in Lines(folder).segments)
        left -= bool(cut) and not whole[:cut].endswith(b"\n")
        found = found_in(folder, key)
        assert found.problem is not None
        assert (found.problem.kind, found.problem.seq) == (ProblemKind.CUT_OFF, left + 1)


@QUICK
@given(st.data())
def test_a_removed_segment_is_named(data: st.DataObject) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        filled = [number for number, segment in enumerate(lines.segments) if segment]
        number = data.draw(st.sampled_from(filled))
        before = sum(len(segment) for segment in lines.segments[:number])
        lines.paths[number].unlink()
        problem = found_in(folder, key).problem
        assert problem is not None
        is_last = number == len(lines.paths) - 1
        expected = ProblemKind.CUT_OFF if is_last else ProblemKind.SEGMENT_REMOVED
        assert (problem.kind, problem.seq) == (expected, before + 1)


@QUICK
@given(INDEX)
def test_a_history_that_was_rewritten_with_fitting_hashes_is_found_by_the_checkpoints(index: int) -> None:
    with signed_log() as (folder, key):
        lines = Lines(folder)
        segment, line = lines.place(index)
        lines.segments[segment][line] = lines.segments[segment][line].replace(b'"ana"', b'"bob"')
        rehash(lines)
        found = found_in(folder, key)
        assert found.problem is not None
        assert found.problem.kind is ProblemKind.REWRITTEN
        assert found.problem.seq <= index + 1


def checkpointed(folder: Path) -> set[int]:
    return {json.loads(line)["seq"] for line in (folder / "checkpoints.jsonl").read_text().splitlines()}


def forged() -> AuditEvent:
    return AuditEvent(datetime(2026, 1, 1, tzinfo=UTC), "eve", Action.SECRET_READ, "vantage/forged", Outcome.SUCCESS)


def rehash(lines: Lines) -> None:
    """Calculate every hash anew, as someone would who knows how the log works."""
    digest = b"0" * 64
    for segment in lines.segments:
        for number, line in enumerate(segment):
            covered = line[73:-1]
            digest = sha256(digest + covered).hexdigest().encode()
            segment[number] = b'{"hash":"' + digest + covered + b"\n"
    lines.write()

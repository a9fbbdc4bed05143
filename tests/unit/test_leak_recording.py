"""What is told of a detection: line and column as an editor counts them, what a comment says, and no value."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.canary import canary
from tests.leaks.repositories import KEY, TODAY, small_matcher
from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Finding, Place, Status
from vantage_secrets.leaks.matching import Matcher
from vantage_secrets.leaks.recording import Found, Recorder
from vantage_secrets.leaks.sources.contract import Document

PLACE = Place("tree", "file")


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return small_matcher(tmp_path_factory.mktemp("rules"))


def found_in(matcher: Matcher, document: Document) -> list[Found]:
    return Recorder(lambda: KEY, TODAY).findings_in(document, Examiner(matcher).examine(document.data))


def places(found: list[Found]) -> list[tuple[int, int, int, int]]:
    return [(each.finding.line, each.finding.column, each.finding.end_line, each.finding.end_column) for each in found]


def test_columns_are_characters_where_the_line_is_utf_8_and_bytes_where_not(matcher: Matcher) -> None:
    value = canary().encode()
    text = b"a " + value + b"\n\xc3\xa9\xe2\x82\xac " + value + b"\n\xff\xc3\xa9 " + value + b"\r\n" + value
    length = len(value)
    assert places(found_in(matcher, Document(PLACE, text))) == [
        (1, 3, 1, 3 + length),
        (2, 4, 2, 4 + length),
        (3, 5, 3, 5 + length),
        (4, 1, 4, 1 + length),
    ]


def test_lines_of_a_piece_are_counted_from_the_beginning_of_the_whole(matcher: Matcher) -> None:
    value = canary().encode()
    piece = Document(PLACE, b"x " + value + b"\n" + value + b"\n", line_offset=10, column_offset=100)
    assert [place[:2] for place in places(found_in(matcher, piece))] == [(11, 103), (12, 1)]


def test_what_another_piece_owns_is_dropped(matcher: Matcher) -> None:
    value = canary().encode()
    text = value + b"\n" + value + b"\n" + value
    length = len(value)
    middle = Document(PLACE, text, owns_from=length + 1, owns_to=2 * length + 1)
    assert [place[0] for place in places(found_in(matcher, middle))] == [2]


def test_a_comment_suppresses_and_a_broken_one_is_told(matcher: Matcher) -> None:
    lines = [
        f'{canary()}  # vantage-secrets: allow canary reason="made up"',
        f"{canary()}  # vantage-secrets: allow canary",
        f"{canary()}",
    ]
    found = [each.finding for each in found_in(matcher, Document(PLACE, "\n".join(lines).encode()))]
    assert [each.status for each in found] == [Status.SUPPRESSED, Status.NEW, Status.NEW]
    assert found[0].reason == "made up"
    assert "no reason" in found[1].reason
    assert found[2].reason == ""


def test_neither_findings_nor_what_is_around_them_show_the_value(matcher: Matcher) -> None:
    value = canary()
    text = f"key = {value}".encode()
    (detection,) = Examiner(matcher).examine(text)
    (found,) = found_in(matcher, Document(PLACE, text))
    for shown in (repr(detection), str(detection), repr(found), f"{found}", repr(found.finding)):
        assert "cnry" not in shown
    assert b"cnry" not in pickle.dumps(found.finding)


def test_the_same_value_has_the_same_fingerprint_wherever_it_stands(matcher: Matcher) -> None:
    value = canary()
    found = found_in(matcher, Document(PLACE, f"{value}\n{value}\n{canary()}".encode()))
    one, two, other = (each.finding.fingerprint for each in found)
    assert one == two != other


def test_findings_are_told_to_the_listener_as_the_baseline_judged_them(matcher: Matcher) -> None:
    class Baseline:
        def judge(self, finding: Finding, value: bytes) -> Finding:
            return finding._replace(status=Status.BASELINE, reason=f"{len(value)} bytes")

    told: list[Status] = []
    recorder = Recorder(lambda: KEY, TODAY, Baseline(), lambda finding, _value: told.append(finding.status))
    text = f'{canary()}\n{canary()}  # vantage-secrets: allow canary reason="x"\n'.encode()
    recorder.record(recorder.findings_in(Document(PLACE, text), Examiner(matcher).examine(text)))
    assert told == [Status.BASELINE, Status.SUPPRESSED]
    assert [each.line for each in recorder.sorted_findings()] == [1, 2]


def test_the_key_is_loaded_only_when_something_was_found(matcher: Matcher, tmp_path: Path) -> None:
    def refuse() -> None:
        raise AssertionError("the key was asked for")

    recorder = Recorder(refuse, TODAY)  # type: ignore[arg-type]
    assert recorder.findings_in(Document(PLACE, b"nothing"), Examiner(matcher).examine(b"nothing")) == []

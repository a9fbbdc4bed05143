"""What a person is shown of a finding: its lines, and no value in them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canary import canary
from tests.leaks.made_findings import FILE_NAME, KEY, TODAY, finding, in_file
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.baseline.context import MASK, masked_lines
from vantage_secrets.leaks.baseline.entry import Verdict
from vantage_secrets.leaks.baseline.known import Baseline
from vantage_secrets.leaks.baseline.review import Review
from vantage_secrets.leaks.finding import Finding, Place


def found_in(text: str, value: str, place: Place = Place("x", "a.py")) -> Finding:  # noqa: B008 - a constant
    begin = text.index(value)
    line, column = text.count("\n", 0, begin) + 1, begin - text.rfind("\n", 0, begin)
    end = begin + len(value)
    end_line, end_column = text.count("\n", 0, end) + 1, end - text.rfind("\n", 0, end)
    return finding(value, place, line=line, column=column)._replace(end_line=end_line, end_column=end_column)


def shown(text: str, value: str, *others: str) -> list[str]:
    pairs = [(found_in(text, each), each.encode()) for each in (value, *others)]
    return [line.text for line in masked_lines(text.encode(), pairs[0][0], pairs)]


def test_the_lines_around_are_shown_and_the_value_is_masked() -> None:
    value = canary()
    text = f"one\ntwo\nthree\npassword = '{value}'  # mine\nfive\nsix\nseven\n"
    assert shown(text, value) == ["two", "three", f"password = '{MASK}'  # mine", "five", "six"]
    lines = masked_lines(text.encode(), found_in(text, value), [(found_in(text, value), value.encode())])
    assert [(line.number, line.is_finding) for line in lines] == [
        (2, False),
        (3, False),
        (4, True),
        (5, False),
        (6, False),
    ]


def test_other_values_in_the_same_lines_are_masked_too_and_wherever_they_stand_again() -> None:
    one, other = canary("one"), canary("other")
    assert shown(f"a={one}; b={other}\nagain {one}\n", one, other) == [f"a={MASK}; b={MASK}", f"again {MASK}", ""]


def test_a_value_of_several_lines_keeps_the_numbers_of_the_lines_behind_it() -> None:
    body = canary()
    value = f"BEGIN\n{body}\nEND"
    text = f"before\n{value} tail\nafter\n"
    assert shown(text, value) == ["before", MASK, MASK, f"{MASK} tail", "after", ""]


def test_an_encoded_value_is_masked_where_it_stands() -> None:
    value = canary()
    encoded = base64.b64encode(value.encode()).decode()
    text = f"é = '{encoded}'\n"
    found = found_in(text, encoded)._replace(decoded=("base64",))
    assert [line.text for line in masked_lines(text.encode(), found, [(found, value.encode())])] == [
        f"é = '{MASK}'",
        "",
    ]


def test_columns_of_a_line_that_is_not_utf8_count_bytes() -> None:
    value = canary()
    content = b"\xff\xe9 = " + base64.b64encode(value.encode()) + b" end\n"
    found = finding(value, Place("x", "a"), column=6)._replace(end_column=content.index(b" end") + 1)
    (line, _last) = masked_lines(content, found, [(found, value.encode())])
    assert line.text.endswith(f" = {MASK} end")


def test_what_is_not_text_is_not_shown() -> None:
    value = canary()
    found = finding(value, Place("x", "a"))
    assert masked_lines(value.encode("utf-16"), found, [(found, value.encode())]) == []


def test_a_long_line_is_shown_around_the_value_and_control_characters_are_not() -> None:
    value = canary()
    text = "x" * 5000 + f"\x1b[2J {value}\t" + "y" * 5000
    (line,) = shown(text, value)
    assert len(line) <= 102
    assert f"\N{REPLACEMENT CHARACTER}[2J {MASK}    yy" in line
    assert line.startswith("…xx")
    assert line.endswith("yy…")


@given(st.text(st.sampled_from("aé\n \t'𝄞"), max_size=40), st.text(st.sampled_from("aé\n \t'"), max_size=40))
def test_wherever_a_value_is_put_it_is_masked(before: str, after: str) -> None:
    value = "S3CRET\nof-lines"
    text = before + value + after
    lines = shown(text, value)
    assert not any("S3CRET" in line or "of-lines" in line for line in lines)
    assert any(MASK in line for line in lines)


def review_of(folder: Path, text: str, value: str) -> Review:
    (folder / "CLEAR.py").write_text(text)
    found = found_in(text, value, in_file(folder, "CLEAR.py"))
    baseline = Baseline(folder / FILE_NAME, KEY.key_id)
    baseline.add(found, TODAY)
    baseline.save()
    review = Review(Baseline.load(folder / FILE_NAME, KEY))
    review.take(found, value.encode())
    return review


def test_a_review_shows_open_entries_and_keeps_each_verdict_at_once(tmp_path: Path) -> None:
    value = canary()
    review = review_of(tmp_path, f"p = '{value}'\n", value)
    assert review.files() == [tmp_path / "CLEAR.py"]
    (entry,) = review.open_entries()
    assert review.item(entry).lines[0].text == f"p = '{MASK}'"
    review.judge(entry, Verdict.FALSE, "a test's own", "2026-07-01")
    (kept,) = Baseline.load(tmp_path / FILE_NAME).entries
    assert (kept.verdict, kept.note, kept.judged) == (Verdict.FALSE, "a test's own", "2026-07-01")
    assert (review.open_entries(), review.files()) == ([], [])


def test_a_note_may_not_hold_the_value(tmp_path: Path) -> None:
    value = canary()
    review = review_of(tmp_path, f"p = '{value}'\n", value)
    (entry,) = review.open_entries()
    for note in (f"was {value}", "two\nlines", "x" * 201):
        with pytest.raises(InvalidInputError) as caught:
            review.judge(entry, Verdict.TRUE, note, TODAY)
        assert value not in caught.value.message
    assert Baseline.load(tmp_path / FILE_NAME).entries == (entry,)


def test_nothing_is_shown_of_what_the_scan_did_not_find(tmp_path: Path) -> None:
    value = canary()
    review_of(tmp_path, f"p = '{value}'\n", value)
    unscanned = Review(Baseline.load(tmp_path / FILE_NAME, KEY))
    item = unscanned.item(unscanned.open_entries()[0])
    assert (item.finding, item.lines) == (None, [])


def test_an_archive_is_scanned_for_its_members_and_not_shown(tmp_path: Path) -> None:
    value = canary()
    (tmp_path / "CLEAR.tar").write_text(value)
    found = finding(value, in_file(tmp_path, "CLEAR.tar!inner.py")._replace(kind="member"))
    baseline = Baseline(tmp_path / FILE_NAME, KEY.key_id)
    baseline.add(found, TODAY)
    review = Review(baseline)
    review.take(found, value.encode())
    assert review.files() == [tmp_path / "CLEAR.tar"]
    item = review.item(review.open_entries()[0])
    assert (item.finding, item.lines) == (found, [])

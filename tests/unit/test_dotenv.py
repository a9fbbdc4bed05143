"""What a .env file says line by line, what is reported, and where we differ from python-dotenv on purpose."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.canary import canary
from vantage_secrets.errors import DotenvError
from vantage_secrets.migration.dotenv import DotenvDuplicate, DotenvFile, Quote, read_dotenv


def values(file: DotenvFile) -> dict[str, str]:
    return {entry.key: entry.value.reveal_text() if entry.value else "" for entry in file.entries}


def theirs(raw: bytes, *, interpolate: bool = False) -> dict[str, str | None]:
    """What python-dotenv makes of a file with these bytes."""
    logging.getLogger("dotenv").setLevel(logging.ERROR)
    return dict(dotenv_values(stream=io.TextIOWrapper(io.BytesIO(raw), "utf-8"), interpolate=interpolate))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"),
        ("  A = x  ", "x"),
        ("\tA\t=\tx", "x"),
        ("A=x=y==", "x=y=="),
        ("A=p#ss", "p#ss"),
        ("A=#pss", "#pss"),
        ("A=pass # comment", "pass"),
        ("A= # comment", ""),
        ("A=", ""),
        ("A=''", ""),
        ("A=two words", "two words"),
        ("A='p # ss'", "p # ss"),
        ('A="p # ss" # comment', "p # ss"),
        ("A='it\\'s'", "it's"),
        ("A='a\\nb'", "a\\nb"),
        ('A="a\\nb\\t\\"c\\"\\\\"', 'a\nb\t"c"\\'),
        ('A="\\d\\$"', "\\d\\$"),
        ('A="one\ntwo"', "one\ntwo"),
        ("A='one\n\n# two'", "one\n\n# two"),
        ("A=`x y`", "`x y`"),
        ("A=it's", "it's"),
        ('A=a"b"', 'a"b"'),
        ("A=$B", "$B"),
        ("A=p$$w0rd$", "p$$w0rd$"),
        ("A=C:\\new", "C:\\new"),
        ("'A'=x", "x"),
        ("export A=x", "x"),
        ("export\tA=x", "x"),
        ("A=päss wörd", "päss wörd"),
    ],
)
def test_a_line_means_what_it_means_to_python_dotenv(line: str, value: str) -> None:
    assert values(read_dotenv(line.encode())) == {"A": value} == theirs(line.encode())


def test_entries_know_their_line_their_quotes_and_their_export() -> None:
    file = read_dotenv(b"# head\n\nA=1\nexport B='x\ny'\n\nC=\"2\"\nd=3")
    assert [(e.key, e.line, e.exported, e.quote) for e in file.entries] == [
        ("A", 3, False, Quote.NONE),
        ("B", 4, True, Quote.SINGLE),
        ("C", 7, False, Quote.DOUBLE),
        ("d", 8, False, Quote.NONE),
    ]
    assert not file.problems
    assert not file.duplicates


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_reads_alike(end: str) -> None:
    raw = end.join(["A=1", "B='x", "y'", "C=3", ""]).encode()
    assert values(read_dotenv(raw)) == {"A": "1", "B": "x\ny", "C": "3"} == theirs(raw)


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    raw = b"\xef\xbb\xbfA=1\n"
    assert values(read_dotenv(raw)) == {"A": "1"} == theirs(raw)


def test_of_a_variable_that_is_set_twice_the_last_line_wins_and_both_are_reported() -> None:
    raw = b"A=1\nB=2\nA=3\na=4\nA=5\n"
    file = read_dotenv(raw)
    assert values(file) == {"A": "5", "B": "2", "a": "4"} == theirs(raw)
    assert file.duplicates == (DotenvDuplicate("A", (1, 3, 5)),)
    assert file.entries[0].line == 5


def test_empty_values_are_entries_without_a_value() -> None:
    file = read_dotenv(b"A=\nB=''\nC=\"\"\nD=   \nE=x\n")
    assert file.empty == ("A", "B", "C", "D")
    assert [entry.value is None for entry in file.entries] == [True, True, True, True, False]


def test_an_empty_file_has_no_entries() -> None:
    assert read_dotenv(b"") == DotenvFile((), (), (), ())
    assert read_dotenv(b"\n \n# nothing\n") == DotenvFile((), (), (), ())


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    plain = canary()
    path = tmp_path / "CLEAR.env"
    path.write_text(f"A={plain}\n")
    assert values(read_dotenv(path)) == {"A": plain}


@pytest.mark.parametrize("name", ["gone", ""])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(DotenvError, match=r"cannot be read: (No such file|Is a directory)"):
        read_dotenv(tmp_path / name)


def test_a_whole_pem_key_in_double_quotes_comes_through() -> None:
    pem = f"-----BEGIN PRIVATE KEY-----\n{canary()}\n-----END PRIVATE KEY-----\n"
    assert values(read_dotenv(f'KEY="{pem}"\nB=1'.encode())) == {"KEY": pem, "B": "1"}


def test_a_pem_key_on_one_line_needs_no_quotes() -> None:
    line = "-----BEGIN PRIVATE KEY-----\\nxyz\\n-----END PRIVATE KEY-----"
    assert values(read_dotenv(f"KEY={line}".encode())) == {"KEY": line}


# --- references -----------------------------------------------------------------------------------------------------


def test_references_stay_as_they_are_written_and_are_pointed_out() -> None:
    raw = b"A=1\nB=${A}/x\nC=$A\n"
    file = read_dotenv(raw)
    assert values(file) == {"A": "1", "B": "${A}/x", "C": "$A"} == theirs(raw)
    assert [(problem.line, "'B' holds a reference" in problem.text) for problem in file.problems] == [(2, True)]


def test_references_are_expanded_when_asked() -> None:
    raw = b"A=1\nB=${A}${X:-2}\nC='${B}$A'\nA=3\nD=\"${A}${E:-}\"\n"
    file = read_dotenv(raw, interpolate=True)
    assert values(file) == {"A": "3", "B": "12", "C": "12$A", "D": "3"} == theirs(raw, interpolate=True)
    assert not file.problems


def test_an_expanded_value_is_not_expanded_again() -> None:
    raw = b"A=${X:-$}{B}\nB=1\nC=${A}\n"
    assert values(read_dotenv(raw, interpolate=True)) == {"A": "${B}", "B": "1", "C": "${B}"}


def test_a_reference_may_take_the_variable_s_own_earlier_value() -> None:
    raw = b"A=1\nA=${A}2\n"
    assert values(read_dotenv(raw, interpolate=True)) == {"A": "12"} == theirs(raw, interpolate=True)


# --- the differences, one test for each row of docs/reference/dotenv.md ---------------------------------------------


def test_difference_a_line_without_equals_sign_is_a_problem_and_not_a_variable_without_value() -> None:
    raw = b"A=1\nA\nexport B\nC D=1\n"
    assert theirs(raw) == {"A": None, "B": None}
    file = read_dotenv(raw)
    assert values(file) == {"A": "1"}
    assert [(problem.line, problem.text) for problem in file.problems] == [
        (line, "There is no NAME= on this line; it is left out.") for line in (2, 3, 4)
    ]


def test_difference_a_name_that_is_no_environment_variable_is_a_problem() -> None:
    raw = b"a.b=1\n1A=2\nA-B=3\nAB=4\n" + b"X" * 128 + b"=5\n"
    assert set(theirs(raw)) == {"a.b", "1A", "A-B", "AB", "X" * 128}
    file = read_dotenv(raw)
    assert values(file) == {"AB": "4"}
    assert [problem.line for problem in file.problems] == [1, 2, 3, 5]


def test_difference_a_quoted_name_does_not_go_on_below_its_line() -> None:
    raw = b"'A\nB=1'=2\nC=3\n"
    assert theirs(raw) == {"A\nB=1": "2", "C": "3"}
    file = read_dotenv(raw)
    assert values(file) == {"B": "1'=2", "C": "3"}
    assert [problem.line for problem in file.problems] == [1]


@pytest.mark.parametrize("mark", ["'", '"'])
def test_difference_a_quote_without_end_is_an_error_on_the_line_where_it_begins(mark: str) -> None:
    raw = f"A=1\nB={mark}x\ny\nC=2\n".encode()
    assert theirs(raw)["C"] == "2"
    with pytest.raises(DotenvError, match="quote that begins on line 2 does not end"):
        read_dotenv(raw)


@pytest.mark.parametrize("raw", [b'A=1\nB="x" y\n', b"A=1\nB='x\nC='y'\n", b'A=1\nB="x"y\n'])
def test_difference_text_behind_a_closing_quote_is_an_error(raw: bytes) -> None:
    assert theirs(raw) == {"A": "1"}
    with pytest.raises(DotenvError, match="behind the closing quote of the value that begins on line 2"):
        read_dotenv(raw)


def test_difference_a_pem_key_without_quotes_is_an_error_and_not_its_first_line() -> None:
    raw = b"A=1\nKEY=-----BEGIN PRIVATE KEY-----\nxyz\n-----END PRIVATE KEY-----\n"
    assert theirs(raw)["KEY"] == "-----BEGIN PRIVATE KEY-----"
    with pytest.raises(DotenvError, match="value on line 2 goes on below it"):
        read_dotenv(raw)


def test_difference_a_file_that_is_not_utf_8_is_an_error_with_its_line() -> None:
    raw = b"A=1\nB=\xff\n"
    with pytest.raises(UnicodeDecodeError):
        theirs(raw)
    with pytest.raises(DotenvError, match="Line 2 is not UTF-8") as caught:
        read_dotenv(raw)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_difference_a_reference_to_nothing_is_an_error_and_not_an_empty_text() -> None:
    raw = b"A=x${NOWHERE_SET}\n"
    assert theirs(raw, interpolate=True) == {"A": "x"}
    with pytest.raises(DotenvError, match="'A' on line 1 refers to a variable that no line above it sets"):
        read_dotenv(raw, interpolate=True)


def test_difference_references_do_not_see_the_process_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "o")
    raw = b"A=${OUTSIDE:-d}\n"
    assert theirs(raw, interpolate=True) == {"A": "o"}
    assert values(read_dotenv(raw, interpolate=True)) == {"A": "d"}


def test_difference_a_value_that_no_store_takes_is_a_problem() -> None:
    raw = b"A=" + b"x" * 25_601 + b"\nB=1\n"
    assert set(theirs(raw)) == {"A", "B"}
    file = read_dotenv(raw)
    assert values(file) == {"B": "1"}
    assert "'A' is left out. The value is larger than 25,600 bytes." in [problem.text for problem in file.problems]


# --- nothing is shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    ["A='{}", 'A="{}" x', 'A="x\n{}', "A=-----BEGIN {}", "A={}\xff", "A=1\n{}=\xff", "A=${{{}}}", "A=x\nB='{}' ${{X}}"],
)
def test_an_error_repeats_nothing_of_the_line(template: str) -> None:
    plain = canary()
    with pytest.raises(DotenvError) as caught:
        read_dotenv(template.format(plain).encode("latin-1"), interpolate=True)
    error = caught.value
    assert plain not in f"{error}{error.hint}{error.__cause__!r}{error.__context__!r}"


@pytest.mark.parametrize("template", ["{}", "{} x", "{}=x", "export {}", "'{} '=x", "A={} ${{B}}", "A=1 {}\nA={}\nB"])
def test_what_is_reported_repeats_nothing_of_the_line(template: str) -> None:
    plain = canary()
    file = read_dotenv(template.format(plain, plain).encode())
    assert file.problems
    assert plain not in repr(file)

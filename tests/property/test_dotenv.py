"""Over many files: what we read is what python-dotenv reads, but for the differences that the reference lists."""

from __future__ import annotations

import io
import logging
import re

import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.errors import DotenvError
from vantage_secrets.migration.dotenv import DotenvFile, read_dotenv

ENVIRONMENT_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")


@pytest.fixture(autouse=True, scope="module")
def quiet_peer() -> None:
    """python-dotenv logs a warning for each line that it passes over."""
    logging.getLogger("dotenv").setLevel(logging.ERROR)


def ours(file: DotenvFile) -> dict[str, str]:
    return {entry.key: entry.value.reveal_text() if entry.value else "" for entry in file.entries}


def theirs(raw: bytes, *, interpolate: bool = False) -> dict[str, str | None]:
    return dict(dotenv_values(stream=io.TextIOWrapper(io.BytesIO(raw), "utf-8"), interpolate=interpolate))


KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
SPACES = st.sampled_from(["", "", " ", "\t", "  ", "\x0b", "\xa0"])
INSIDE = st.text(st.sampled_from("ab1 #=$'\"`\\{}:-\n\tnü\x0c\u2028😀"), max_size=12)


def escaped(text: str, mark: str) -> str:
    return text.replace("\\", "\\\\").replace(mark, f"\\{mark}")


@st.composite
def quoted(draw: st.DrawFn) -> str:
    mark = draw(st.sampled_from("'\""))
    return mark + escaped(draw(INSIDE), mark) + mark


UNQUOTED = INSIDE.filter(lambda text: not text.strip().startswith(("'", '"'))).map(lambda text: text.replace("\n", ""))
COMMENTS = st.sampled_from(["", "", " # note", "\t#'", ' # "x', " #"])


@st.composite
def statements(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from(["", "  ", "# comment", " # A='x", "#A=1"]))
    if kind == 1:
        return draw(st.sampled_from(["=1", "A B", "export =1", "A B=1", "''=1", "'a b'=1", "export", "a.b=1", "-"]))
    export = draw(st.sampled_from(["", "", "export ", "export\t "]))
    key = draw(KEYS)
    key = f"'{key}'" if draw(st.integers(0, 9)) == 0 else key
    value = draw(quoted()) + draw(COMMENTS) if draw(st.booleans()) else draw(UNQUOTED) + draw(COMMENTS)
    return f"{draw(SPACES)}{export}{key}{draw(SPACES)}={draw(SPACES)}{value}{draw(SPACES)}"


@st.composite
def files(draw: st.DrawFn) -> bytes:
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    lines = draw(st.lists(statements(), max_size=6))
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.replace("\n", end).encode()


def comparable(found: dict[str, str | None]) -> dict[str, str | None]:
    """Return what a difference of the reference does not touch: names that no variable has are left out."""
    return {key: value for key, value in found.items() if ENVIRONMENT_VARIABLE.fullmatch(key)}


@given(files())
@settings(max_examples=600, deadline=None)
def test_a_well_formed_file_reads_as_python_dotenv_reads_it(raw: bytes) -> None:
    expected = {key: value for key, value in comparable(theirs(raw)).items() if value is not None}
    assert ours(read_dotenv(raw)) == expected


# A quoted name over several lines is the one listed difference that such texts would meet by chance.
NAME_OVER_LINES = re.compile(r"(?:^|[\r\n])\s*'[^'\r\n]*[\r\n]")
ROUGH = st.text(st.sampled_from("AB= #'\"\\\n\r$x{}:-\t"), max_size=25).filter(
    lambda text: NAME_OVER_LINES.search(text) is None
)


@given(ROUGH)
@settings(max_examples=1500, deadline=None)
def test_a_rough_file_reads_alike_or_is_refused_with_a_line(text: str) -> None:
    raw = text.encode()
    found = None
    try:
        found = ours(read_dotenv(raw))
    except DotenvError as exc:
        line = re.search(r"line (\d+)", str(exc))
    if found is None:
        assert line
        assert 1 <= int(line[1]) <= len(re.split(r"\r\n|\r|\n", text))
        return
    peer = comparable(theirs(raw))
    # A bare name takes the value away there and is a problem here: compare the others.
    bare = {key for key, value in peer.items() if value is None}
    assert {key: value for key, value in found.items() if key not in bare} == {
        key: value for key, value in peer.items() if key not in bare
    }


@given(st.lists(st.tuples(KEYS, INSIDE), max_size=5), st.data())
@settings(max_examples=300, deadline=None)
def test_expanded_references_read_as_python_dotenv_expands_them(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    above: list[str] = []
    lines = []
    for key, text in pairs:
        own = f"XY_{key}"  # No variable of this process has such a name.
        reference = f"${{{data.draw(st.sampled_from(above))}}}" if above else "${XY_NONE:-d}"
        value = text.replace("{", "") + data.draw(st.sampled_from(["", reference, f"{reference}${{XY_NONE:-}}"]))
        lines.append(f"{own}='{escaped(value, chr(39))}'")
        above.append(own)
    raw = "\n".join(lines).encode()
    assert ours(read_dotenv(raw, interpolate=True)) == theirs(raw, interpolate=True)


@given(st.dictionaries(KEYS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=30)))
@settings(max_examples=150, deadline=None)
def test_any_value_survives_in_single_quotes(content: dict[str, str]) -> None:
    raw = "\n".join(f"{key}='{escaped(value, chr(39))}'" for key, value in content.items()).encode()
    assert ours(read_dotenv(raw)) == content


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_file_or_an_error_of_ours(raw: bytes) -> None:
    try:
        file = read_dotenv(raw)
    except DotenvError:
        return
    assert all(ENVIRONMENT_VARIABLE.fullmatch(entry.key) for entry in file.entries)
    assert [problem.line for problem in file.problems] == sorted(problem.line for problem in file.problems)

"""Whatever a credential file holds, its parser raises nothing and names places inside the file."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.leaks.marked_files import Case, fill
from tests.unit.test_credential_files import CASES
from vantage_secrets.leaks.credential_files import KINDS, parser_for

_MARKS = [
    b'"', b"'", b"\\", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b":", b"=", b"{", b"}", b"[", b"]", b"(", b")", b",", b";",
    b"<", b">", b"</", b"/>", b"<!--", b"<![CDATA[", b"- ", b"---", b"|", b">", b"&a ", b"*a", b"!vault ", b"#", b"\0",
    b"\xff", b"\x83", b"password", b"token", b"data", b"kind", b"Secret", b"INSERT INTO users (password) VALUES (",
    b"COPY users (password) FROM stdin;\n", b"CREATE TABLE users (", b"://a:b@c", b"echo a | sudo -S", b"mysql -p",
    b"'a'", b"0", b"x" * 20,
]  # fmt: skip
_NOISE = st.lists(st.one_of(st.sampled_from(_MARKS), st.binary(max_size=8)), max_size=40).map(b"".join)
_BY_PARSER = {parser_for(case.path): case for case in CASES}


def read(path: str, data: bytes) -> None:
    parser = parser_for(path)
    assert parser is not None
    for field in parser(data):
        assert field.kind in KINDS
        assert 0 <= field.begin < field.end <= len(data)


@settings(max_examples=1000, deadline=None)
@given(case=st.sampled_from(list(_BY_PARSER.values())), data=_NOISE)
def test_any_bytes_are_read_without_an_error(case: Case, data: bytes) -> None:
    read(case.path, data)


@settings(max_examples=1000, deadline=None)
@given(case=st.sampled_from(CASES), noise=_NOISE, place=st.floats(0, 1), length=st.integers(0, 40))
def test_a_damaged_file_is_read_without_an_error(case: Case, noise: bytes, place: float, length: int) -> None:
    whole, _expected = fill(case.template)
    begin = int(place * len(whole))
    read(case.path, whole[:begin] + noise + whole[begin + length :])


def test_a_file_with_the_line_ends_of_windows_holds_the_same_secrets() -> None:
    different = []
    for path, template in CASES:
        whole, expected = fill(template.replace("\r", ""))
        data = whole.replace(b"\n", b"\r\n")
        parser = parser_for(path)
        assert parser is not None
        found = sorted(parser(data), key=lambda field: field.begin)
        # Compared without the values in an assertion's text.
        values = [(field.kind, data[field.begin : field.end]) for field in found]
        if values != [(field.kind, whole[field.begin : field.end]) for field in expected]:
            different.append(path)
    assert different == []

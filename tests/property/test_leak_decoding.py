"""An encoded value is found, with the encodings that it was in and the place where the encoded text begins."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.canary import canary
from tests.leaks.repositories import small_matcher
from vantage_secrets.leaks import decoding, examination
from vantage_secrets.leaks.decoding import DEPTH_MAX
from vantage_secrets.leaks.examination import Detection, Examiner
from vantage_secrets.leaks.matching import Matcher

Encoder = Callable[[bytes], bytes]


def _wrapped(text: bytes, end: bytes = b"\n") -> bytes:
    return end.join(text[at : at + 76] for at in range(0, len(text), 76))


ENCODERS: dict[str, tuple[str, Encoder]] = {
    "base64": ("base64", base64.b64encode),
    "URL-safe base64": ("base64", base64.urlsafe_b64encode),
    "base64 without padding": ("base64", lambda text: base64.b64encode(text).rstrip(b"=")),
    "base64 in lines": ("base64", lambda text: _wrapped(base64.b64encode(text))),
    "base64 in indented lines": ("base64", lambda text: _wrapped(base64.b64encode(text), b"\n    ")),
    "base64 in a JSON text with \\n": ("base64", lambda text: _wrapped(base64.b64encode(text), b"\\n")),
    "hex": ("hex", lambda text: text.hex().encode()),
    "HEX": ("hex", lambda text: text.hex().upper().encode()),
    "URL": ("url", lambda text: b"".join(b"%%%02X" % byte for byte in text)),
    "\\u": ("json", lambda text: b"".join(b"\\u%04x" % byte for byte in text)),
    "\\x": ("json", lambda text: b"".join(b"\\x%02x" % byte for byte in text)),
    "UTF-16 LE": ("utf-16", lambda text: text.decode("latin-1").encode("utf-16-le")),
    "UTF-16 BE": ("utf-16", lambda text: text.decode("latin-1").encode("utf-16-be")),
}
"""The name of each encoding in findings, and how it is made."""

ESCAPES = ("URL", "\\u", "\\x")
"""What shows itself whatever it holds; the others are known by the words of rules in them."""


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return small_matcher(tmp_path_factory.mktemp("rules"))


def examined(matcher: Matcher, text: bytes, misses: list[str] | None = None) -> list[Detection]:
    return Examiner(matcher).examine(text, miss=None if misses is None else misses.append)


def surroundings(generator: random.Random, most: int = 200) -> bytes:
    """Return lines that no encoded run can run into, because a blank ends them."""
    lines = (
        "".join(generator.choices("abc XYZ,.;()", k=generator.randrange(30)))
        for _line in range(generator.randrange(most // 20))
    )
    return "".join(f"{line} \n" for line in lines).encode()


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", ENCODERS)
@given(seed=st.integers(0, 1 << 32), shift=st.integers(0, 5), tail=st.integers(0, 5))
def test_an_encoded_value_is_found_where_the_encoded_text_begins(
    matcher: Matcher, name: str, seed: int, shift: int, tail: int
) -> None:
    generator = random.Random(seed)
    value = canary().encode()
    kind, encode = ENCODERS[name]
    before, after = surroundings(generator), surroundings(generator)
    inner = b"key: "[shift:] + b" " * (shift > 4) + value + b" rest of it"[: 2 * tail]
    if kind == "url":
        inner = b": " + inner
    encoded = encode(inner)
    found = examined(matcher, before + encoded + b" \n" + after)
    assert [(each.rule, each.value, each.decoded) for each in found] == [("canary", value, (kind,))]
    begin = found[0].begin
    assert len(before) <= begin < len(before) + 4
    assert begin < found[0].end <= len(before) + len(encoded) + 1


@settings(max_examples=40, deadline=None)
@given(
    outer=st.lists(st.sampled_from(ESCAPES), max_size=DEPTH_MAX - 1),
    last=st.sampled_from(sorted(ENCODERS)),
    seed=st.integers(0, 1 << 32),
)
def test_encodings_inside_escapes_are_told_from_outside_in(
    matcher: Matcher, outer: list[str], last: str, seed: int
) -> None:
    generator = random.Random(seed)
    value = canary().encode()
    text = b": " + value + b" "
    for name in (last, *reversed(outer)):
        text = b": " + ENCODERS[name][1](text) + b" "
    assume(len(text) < 2_048)  # escaped text is looked at so far to each side
    text = surroundings(generator) + text + b"\n" + surroundings(generator)
    found = examined(matcher, text)
    assert [each.value for each in found] == [value]
    assert found[0].decoded == tuple(ENCODERS[name][0] for name in (*outer, last))


@settings(max_examples=40, deadline=None)
@given(before=st.text("abc XYZ=;", max_size=9), after=st.text("abc XYZ=;", max_size=9), big=st.booleans())
def test_a_command_as_powershell_takes_it_is_found(matcher: Matcher, before: str, after: str, big: bool) -> None:
    value = canary()
    command = f"{before} {value} {after}".encode("utf-16-be" if big else "utf-16-le")
    found = examined(matcher, b"powershell -EncodedCommand " + base64.b64encode(command) + b"\n")
    assert [(each.value, each.decoded, each.begin) for each in found] == [(value.encode(), ("base64", "utf-16"), 27)]


def test_a_value_behind_escaped_quotes_is_found(matcher: Matcher) -> None:
    value = canary()
    text = f'{{"body": "{{\\"key\\": \\"a\\u002d{value}\\"}}"}}'.encode()
    assert [each.value for each in examined(matcher, text)] == [value.encode()]


@pytest.mark.parametrize("name", ["base64", "hex", "UTF-16 LE"])
@pytest.mark.parametrize("gap", [0, 20_000, 47_000, 49_100, 64_000, 65_500, 130_000])
def test_two_values_far_apart_in_one_encoded_run_are_both_found(matcher: Matcher, name: str, gap: int) -> None:
    first, second = canary().encode(), canary().encode()
    kind, encode = ENCODERS[name]
    found = examined(matcher, encode(b"x " + first + b" " + b"filler " * (gap // 7) + second + b" y"))
    assert {each.value for each in found} == {first, second}
    assert all(each.decoded == (kind,) for each in found)


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("gap", [*range(0, 1_900, 190), *range(1_900, 2_200, 14), *range(3_900, 4_200, 14)])
def test_two_values_far_apart_in_one_escaped_line_are_both_found(matcher: Matcher, name: str, gap: int) -> None:
    first, second = canary().encode(), canary().encode()
    encode = ENCODERS[name][1]
    text = encode(b": " + first + b" ") + b"filler " * (gap // 7) + encode(b": " + second + b" ")
    assert {each.value for each in examined(matcher, text)} == {first, second}


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"cnry-", b"=", b"\\n", b"%3A", b"\\u0041"]))),
    names=st.lists(st.sampled_from(sorted(ENCODERS)), max_size=4),
)
def test_no_encoded_bytes_make_the_engine_raise(matcher: Matcher, parts: list[bytes], names: list[str]) -> None:
    text = b"".join(parts)
    for name in names:
        text = ENCODERS[name][1](text)
    for each in examined(matcher, text):
        assert 0 <= each.begin <= each.end <= len(text)


@pytest.mark.parametrize("name", ENCODERS)
def test_more_encoded_text_than_is_read_is_told(matcher: Matcher, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "DECODED_MAX", 50_000)
    text = b"\n\n ".join(ENCODERS[name][1](b": cnry-value " + b"x " * 200) for _ in range(300))
    misses: list[str] = []
    assert examined(matcher, text, misses) == []
    assert len(misses) == 1
    assert "encoded text" in misses[0]


def test_what_is_read_of_encoded_text_has_the_documented_bounds() -> None:
    assert decoding.DECODED_MAX == 8 << 20
    assert DEPTH_MAX == 3

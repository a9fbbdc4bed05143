"""Our own values are found wherever they stand and however they are spelled, and nothing else is taken for them."""

from __future__ import annotations

import base64
import json
import random
import re
import string
import threading
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import hyperscan
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.canary import canary
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known import KnownHit, KnownSearch, KnownValue
from vantage_secrets.secret import SecretValue

MODERATE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def known(value: str | bytes | dict[str, str], secret: str = "KEY") -> KnownValue:
    return KnownValue(KnownVersion(secret, "1", "current", "CURRENT"), SecretValue(value))


def search(*values: str | bytes | dict[str, str]) -> KnownSearch:
    return KnownSearch([known(value, f"KEY_{number}") for number, value in enumerate(values)])


def lower_escapes(text: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), quote(text, safe=""))


def java_script(text: str) -> str:
    return quote(text, safe="~!*'()")


SPELLINGS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "raw": ("raw", str.encode),
    "url": ("url", lambda text: quote(text, safe="").encode()),
    "url, lower": ("url", lambda text: lower_escapes(text).encode()),
    "url, slashes kept": ("url", lambda text: quote(text).encode()),
    "url, as a browser": ("url", lambda text: java_script(text).encode()),
    "form": ("url", lambda text: quote_plus(text).encode()),
    "json": ("json", lambda text: json.dumps(text)[1:-1].encode()),
    "json, all of Unicode": ("json", lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode()),
    "xml": ("xml", lambda text: escape(text, {'"': "&quot;", "'": "&apos;"}).encode()),
    "xml, marks in quotes kept": ("xml", lambda text: escape(text).encode()),
    "bytes of Python": ("json", lambda text: repr(text.encode())[2:-1].encode()),
    "hex": ("hex", lambda text: text.encode().hex().encode()),
    "HEX": ("hex", lambda text: text.encode().hex().upper().encode()),
    "utf-16-le": ("utf-16", lambda text: text.encode("utf-16-le")),
    "utf-16-be": ("utf-16", lambda text: text.encode("utf-16-be")),
}

VALUES = st.one_of(
    st.text(string.ascii_letters + string.digits, min_size=8, max_size=60),
    st.text(string.ascii_letters + string.digits + "-_.~!@#$%^&*()+=/?:;,<>[]{}|\\\"'` ", min_size=8, max_size=40),
    st.text(string.ascii_letters + "äßé€漢🔑 \n\"'&", min_size=8, max_size=30),
    st.text("!@#$%^&*()+=/?\"'", min_size=8, max_size=12),
)
AROUND = st.one_of(st.binary(max_size=30), st.text(string.printable, max_size=30).map(str.encode))


def numbers_at(hits: list[KnownHit], begin: int, end: int) -> set[int]:
    return {hit.number for hit in hits if hit.begin <= begin and hit.end >= end}


@pytest.mark.parametrize("name", SPELLINGS)
@MODERATE
@given(value=VALUES, before=AROUND, after=AROUND)
@example(value='pa"ss<w>ord&1', before=b"x='", after=b"'")
@example(value="''''''''", before=b"", after=b"")
def test_a_planted_value_is_found_however_it_is_spelled(name: str, value: str, before: bytes, after: bytes) -> None:
    word, spell = SPELLINGS[name]
    planted = spell(value)
    hits = search(value).find(before + planted + after)
    begin, end = len(before), len(before) + len(planted)
    # What escapes the last of these begins with it, so that the value stands there without the rest of that too.
    is_clear = value[-1] not in "&%\\'"
    last = end - 1 if is_clear else end - len(spell(value[-1])) - 1
    assert any(hit.begin <= begin + 1 and last <= hit.end for hit in hits), (name, value, hits)
    assert value.encode() in planted or not is_clear or word in {hit.spelling for hit in hits}


@MODERATE
@given(
    value=VALUES.map(str.encode) | st.binary(min_size=8, max_size=50),
    inside=st.tuples(st.binary(max_size=7), st.binary(max_size=7)),
    around=st.tuples(AROUND, AROUND),
    is_url_safe=st.booleans(),
    keeps_padding=st.booleans(),
)
def test_a_value_within_base64_is_found_in_any_alignment(
    value: bytes, inside: tuple[bytes, bytes], around: tuple[bytes, bytes], is_url_safe: bool, keeps_padding: bool
) -> None:
    encode = base64.urlsafe_b64encode if is_url_safe else base64.b64encode
    planted = encode(inside[0] + value + inside[1])
    planted = planted if keeps_padding else planted.rstrip(b"=")
    hits = search(value).find(around[0] + planted + around[1])
    begin = len(around[0]) + len(inside[0]) * 8 // 6
    end = len(around[0]) + -(-(len(inside[0]) + len(value)) * 8 // 6)
    assert (begin, end, "base64") in {(hit.begin, hit.end, hit.spelling) for hit in hits}


@MODERATE
@given(value=st.binary(min_size=8, max_size=40), before=AROUND, after=AROUND)
@example(value=b"\0" * 8, before=b"", after=b"")
@example(value=b"\0\0\0\0\0\0\0\1", before=b"\0", after=b"\1")
def test_a_value_of_any_bytes_is_found(value: bytes, before: bytes, after: bytes) -> None:
    hits = search(value).find(before + value + after)
    assert 0 in numbers_at(hits, len(before), len(before) + len(value))


@MODERATE
@given(data=st.data())
def test_the_raw_hits_are_those_of_a_naive_search(data: st.DataObject) -> None:
    letters = data.draw(st.sampled_from(["ab", "ab0_", "a'\"\\", string.ascii_letters + string.digits]))
    values = data.draw(st.lists(st.text(letters, min_size=8, max_size=12), min_size=1, max_size=5, unique=True))
    pieces = st.one_of(st.sampled_from(values), st.text(letters, max_size=9))
    text = "".join(data.draw(st.lists(pieces, max_size=12))).encode()
    expected = set()
    for number, value in enumerate(values):
        place = text.find(value.encode())
        while place >= 0:
            expected.add((place, place + len(value), number))
            place = text.find(value.encode(), place + 1)
    hits = search(*values).find(text)
    assert {(hit.begin, hit.end, hit.number) for hit in hits if hit.spelling == "raw"} >= expected
    assert all(text[hit.begin : hit.end].decode() == values[hit.number] for hit in hits if hit.spelling == "raw")


@MODERATE
@given(seed=st.integers(0, 1 << 32), size=st.integers(0, 5_000))
def test_random_data_holds_none_of_them(seed: int, size: int) -> None:
    generator = random.Random(seed)
    noise = generator.randbytes(size)
    letters = "".join(generator.choices(string.ascii_letters + string.digits + "+/", k=size)).encode()
    for text in (noise, letters, noise.hex().encode(), base64.b64encode(noise), letters.decode().encode("utf-16")):
        assert MANY.find(text) == []


MANY = search(
    *("".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=24)) for seed in range(300))
)


@pytest.mark.parametrize("name", SPELLINGS)
@MODERATE
@given(value=VALUES, place=st.integers(0, 59))
def test_a_value_with_one_other_character_is_another_value(name: str, value: str, place: int) -> None:
    place %= len(value)
    other = value[:place] + ("1" if value[place] != "1" else "2") + value[place + 1 :]
    _word, spell = SPELLINGS[name]
    text = b"<" + spell(other) + b">"
    assert value in other or search(value).find(text) == []


@MODERATE
@given(value=st.text(string.ascii_letters, min_size=8, max_size=20), alignment=st.integers(0, 2))
def test_the_last_and_first_bits_within_base64_count(value: str, alignment: int) -> None:
    for other in (value[:-1] + chr(ord(value[-1]) ^ 1), chr(ord(value[0]) ^ 16) + value[1:]):
        encoded = base64.b64encode(b"x" * alignment + other.encode())
        assert search(value).find(encoded) == []


@MODERATE
@given(begin=st.integers(0, 60), end=st.integers(0, 120))
def test_a_part_of_a_buffer_is_searched_as_if_it_were_all(begin: int, end: int) -> None:
    value = "Some-Value-0123"
    buffer = b"-" * 20 + value.encode() + b"-" * 20 + value.encode().hex().encode() + b"-" * 10
    made = search(value)
    whole = made.find(buffer[begin:end])
    expected = [hit._replace(begin=hit.begin + begin, end=hit.end + begin) for hit in whole]
    for view in (buffer, bytearray(buffer), memoryview(bytearray(buffer))):
        assert made.find(view, begin, end) == expected


@pytest.mark.parametrize("length", [40, 57, 90])
def test_base64_that_is_broken_into_lines_is_found_wherever_the_lines_end(length: int) -> None:
    value = "".join(random.Random(length).choices(string.ascii_letters, k=length))
    made, broken_count = search(value), 0
    for shift in range(76):
        lines = base64.encodebytes(b"x" * shift + value.encode())
        (hit,) = made.find(lines)
        broken_count += b"\n" in lines[hit.begin : hit.end]
    assert broken_count >= 30


def test_a_private_key_is_found_with_other_line_ends_and_indentation() -> None:
    lines = [
        "-----BEGIN X-----",
        *("".join(random.Random(n).choices(string.ascii_letters, k=64)) for n in range(5)),
        "-",
    ]
    value = "\n".join(lines)
    made = search(value)
    for text in (
        "\r\n".join(lines),
        "key: |\n    " + "\n    ".join(lines),
        json.dumps({"key": value}),
        "\\n".join(lines),
    ):
        assert {hit.number for hit in made.find(text.encode())} == {0}


def test_fields_are_values_of_their_own_and_a_user_name_is_none() -> None:
    made = search(
        {"username": "vantage_worker", "password": "Correct-Horse-1"}, '{"host": "db.example.org", "key": "abcdefgh1"}'
    )
    assert made.find(b"as vantage_worker at db.example.org") == []
    assert [hit.number for hit in made.find(b"Correct-Horse-1, abcdefgh1")] == [0, 1]
    assert made.value_of(made.find(b"...abcdefgh1")[0]) == b"abcdefgh1"


def test_short_values_are_told_and_not_searched_for() -> None:
    made = search("short", "long enough", {"password": "1234567"})
    assert made.skipped == [0, 2]
    assert len(made) == 1
    assert [hit.number for hit in made.find(b"short, long enough, 1234567")] == [1]


def test_one_value_of_two_versions_is_found_as_both() -> None:
    assert [hit.number for hit in search("the-same-value", "the-same-value").find(b"= the-same-value")] == [0, 1]


def test_thousands_of_values_are_told_apart() -> None:
    generator = random.Random(7)
    values = ["prefix-that-all-share-" + "".join(generator.choices(string.hexdigits, k=12)) for _ in range(5_000)]
    made = search(*values)
    chosen = generator.sample(range(5_000), 20)
    text = "\n".join(values[number] for number in chosen).encode()
    assert [hit.number for hit in made.find(text)] == chosen
    encoded = b" ".join(base64.b64encode(b":" + values[number].encode()) for number in chosen)
    assert [hit.number for hit in made.find(encoded)] == chosen


def test_threads_search_at_once() -> None:
    values = [f"value-number-{number:04d}" for number in range(50)]
    made = search(*values)
    found: dict[int, list[int]] = {}

    def look(number: int) -> None:
        text = b"." * 100_000 + values[number].encode()
        found[number] = [hit.number for _round in range(20) for hit in made.find(text)]

    threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number] * 20 for number in range(8)}


def test_what_the_engine_does_not_compile_is_an_error_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(hyperscan.Database):
        def compile(self, *_: object, expressions: list[bytes], **__: object) -> None:
            raise hyperscan.error(repr(expressions))

    monkeypatch.setattr(hyperscan, "Database", Refusing)
    value = canary()
    with pytest.raises(InvalidInputError, match="cannot be compiled") as caught:
        search(value).find(b"text")
    told = "".join(traceback.format_exception(caught.value))
    assert "\\x" not in told


def test_no_representation_shows_a_value() -> None:
    value = canary()
    made = search(value)
    hits = made.find(value.encode())
    assert len(hits) == 1
    assert value not in f"{made!r} {hits!r} {made.values!r} {made.version_of(hits[0])!r}"


def test_the_digest_is_that_of_the_values_under_a_key() -> None:
    one, other = FingerprintKey(b"1" * 32), FingerprintKey(b"2" * 32)
    digests = [
        KnownSearch([known(value)], key).digest for value in ("some value", "another one") for key in (one, other)
    ]
    assert len(set(digests)) == 4
    assert KnownSearch([known("some value")], one).digest == digests[0]
    assert search("some value").digest != search("some value").digest

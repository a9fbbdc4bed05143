"""What is told to be the same in two versions is the same, wherever they were changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage_secrets.leaks.history.differences import Difference, differences

Lines = list[bytes]
MODERATE = settings(max_examples=150, deadline=None)
APART = st.sampled_from([0, 1, 2, 31, 64, 700, 5_000])
FEW_LETTERS = st.text("ab\n", max_size=300).map(str.encode)
NEAR = 64
"""A change that stands alone is told with less than so much before and behind it, in bytes."""


def check(old: bytes, new: bytes, apart: int) -> list[Difference]:
    """Return the differences when they are in order, as far from each other as asked, and the only ones there are."""
    told = differences(old, new, apart)
    end = old_end = 0
    made, unmade = b"", b""
    for number, each in enumerate(told):
        assert end <= each.begin <= each.end <= len(new)
        assert old_end <= each.old_begin <= each.old_end <= len(old)
        assert each.begin < each.end or each.old_begin < each.old_end, "it is a difference"
        if number:
            assert each.begin - end >= apart
            assert each.old_begin - old_end >= apart
        made += old[old_end : each.old_begin] + new[each.begin : each.end]
        unmade += new[end : each.begin] + old[each.old_begin : each.old_end]
        end, old_end = each.end, each.old_end
    assert made + old[old_end:] == new
    assert unmade + new[end:] == old
    return told


@settings(max_examples=300, deadline=None)
@given(old=st.binary(max_size=200) | FEW_LETTERS, new=st.binary(max_size=200) | FEW_LETTERS, apart=APART)
def test_between_the_differences_any_two_texts_are_the_same(old: bytes, new: bytes, apart: int) -> None:
    check(old, new, apart)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), apart=APART)
def test_a_text_that_is_repeated_is_not_told_twice(data: st.DataObject, apart: int) -> None:
    """What both begin with and what both end with may be one and the same text."""
    unit = data.draw(st.text("ab\n", min_size=1, max_size=5)).encode()
    old, new = (unit * data.draw(st.integers(0, 120)) for _ in range(2))
    extra = data.draw(st.sampled_from([b"", b"a", b"\n", unit[:1]]))
    check(old + extra, new, apart)
    check(extra + old, new, apart)


# large texts: they are cut


def inserted(lines: Lines, at: int, generator: random.Random) -> Lines:
    return [*lines[:at], *random_lines(generator, generator.randrange(1, 20)), *lines[at:]]


def removed(lines: Lines, at: int, generator: random.Random) -> Lines:
    return [*lines[:at], *lines[at + generator.randrange(1, 20) :]]


def changed(lines: Lines, at: int, generator: random.Random) -> Lines:
    line, place = lines[at], generator.randrange(len(lines[at]) + 1)
    line = line[:place] + generator.choice([b"x", b"\0", b"\n", b""]) + line[place + 1 :]
    return [*lines[:at], line, *lines[at + 1 :]]


def moved(lines: Lines, at: int, generator: random.Random) -> Lines:
    some, others = lines[at : at + 30], [*lines[:at], *lines[at + 30 :]]
    to = generator.randrange(len(others) + 1)
    return [*others[:to], *some, *others[to:]]


def repeated(lines: Lines, at: int, generator: random.Random) -> Lines:
    return [*lines[:at], *lines[at : at + 10] * generator.randrange(2, 9), *lines[at:]]


def sorted_anew(lines: Lines, at: int, generator: random.Random) -> Lines:
    return sorted(lines)


def turned(lines: Lines, at: int, generator: random.Random) -> Lines:
    return [*lines[at:], *lines[:at]]


CHANGES: list[Callable[[Lines, int, random.Random], Lines]] = [
    *[inserted, removed, changed, moved, repeated] * 3,
    *(sorted_anew, turned),
]
ENDS = (b"\n", b"\r\n", b"\0\n", b"", b"\0")


def random_lines(generator: random.Random, count: int) -> Lines:
    """Return lines, some of them the same: a program has many of these."""
    common = [b"", b"}", b"    return None", b"# " + b"-" * 70, b"\0" * 60]
    own = (b"%06x = %b" % (generator.randrange(1 << 24), b"text " * generator.randrange(20)) for _ in range(count))
    return [generator.choice(common) if generator.random() < 0.4 else line for line in own]


def versions(seed: int, change_count: int) -> tuple[bytes, bytes]:
    generator = random.Random(seed)
    lines = old = random_lines(generator, generator.choice([300, 1_000, 3_000]))
    for _ in range(change_count):
        if lines:
            lines = generator.choice(CHANGES)(lines, generator.randrange(len(lines)), generator)
    end = generator.choice(ENDS)
    return end.join(old), end.join(lines)


@MODERATE
@given(seed=st.integers(0, 1 << 32), change_count=st.integers(0, 12), apart=APART)
def test_between_the_differences_large_texts_are_the_same(seed: int, change_count: int, apart: int) -> None:
    old, new = versions(seed, change_count)
    told = check(old, new, apart)
    assert bool(told) == (old != new)
    check(new, old, apart)
    for one, other in pairwise(differences(old, new)[:5]):
        gap = other.begin - one.end
        assert len(check(old, new, gap + 1)) < len(check(old, new, gap)), "the two are one when more is asked for"


@MODERATE
@given(seeds=st.tuples(st.integers(0, 1 << 32), st.integers(0, 1 << 32)), apart=APART)
def test_texts_that_have_little_in_common_are_told_so(seeds: tuple[int, int], apart: int) -> None:
    check(versions(seeds[0], 0)[0], versions(seeds[1], 0)[0], apart)


@MODERATE
@given(
    size=st.sampled_from([8_192, 20_000, 100_000]),
    unit=st.sampled_from([b"\n", b"\0", b"a", b"ab\n", b"line\n", b"a line of forty-eight bytes, with its end \n"]),
    change=st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 100)),
    apart=APART,
)
def test_where_all_lines_are_the_same_nothing_is_lost(
    size: int, unit: bytes, change: tuple[float, bytes, int], apart: int
) -> None:
    old = (unit * (size // len(unit) + 1))[:size]
    share, text, gone = change
    at = int(share * len(old))
    check(old, old[:at] + text + old[at + gone :], apart)


# no more is told than needed, or nothing is won


def numbered(count: int) -> bytes:
    return b"".join(b"%07d: a line that no other is like\n" % number for number in range(count))


@MODERATE
@given(share=st.floats(0, 1), text=st.binary(max_size=40), gone=st.integers(0, 40))
def test_one_change_is_told_with_little_around_it(share: float, text: bytes, gone: int) -> None:
    old = numbered(3_000)
    at = int(share * len(old))
    new = old[:at] + text + old[at + gone :]
    told = check(old, new, 0)
    assert sum(each.end - each.begin for each in told) < len(text) + 2 * NEAR
    assert sum(each.old_end - each.old_begin for each in told) < gone + 2 * NEAR


@pytest.mark.parametrize("places", [(0.1, 0.9), (0.02, 0.3, 0.6), (0.05, 0.2, 0.4, 0.6, 0.8, 0.97)])
def test_changes_far_from_each_other_are_told_one_by_one(places: tuple[float, ...]) -> None:
    lines = numbered(3_000).splitlines(keepends=True)
    for place in places:
        lines[int(place * len(lines))] = b"another line\n"
    told = check(numbered(3_000), b"".join(lines), 1_000)
    assert len(told) == len(places)
    assert sum(each.end - each.begin for each in told) < len(places) * (len(lines[0]) + 2 * NEAR)


def test_the_same_text_has_no_differences() -> None:
    for text in (b"", b"a", numbered(3_000)):
        assert differences(text, text) == []

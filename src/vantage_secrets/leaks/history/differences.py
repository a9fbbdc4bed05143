"""Where a version of a file differs from another, so that only that is searched.

The versions of a file have most of their text in common, and a search of all of it costs more than finding out what
is new. This is no shortest difference: equal text is found by comparing large parts at once, and what stands between
the first and the last difference is cut at a line that both have, again and again (as "patience diff" cuts at unique
lines). Text that is told to be the same is the same; text that is told to differ may not.
"""

from __future__ import annotations

from typing import NamedTuple

_CUT_FROM = 8_192
"""From so many bytes on it pays to look for a line to cut at: a search of less costs as little as that."""
_CUTS_MAX = 5
"""How often a part of a part is cut."""
_LINE_BYTES = 48
"""So much of a line, and of what follows it, is looked for."""
_STEP = 64
"""The first comparison takes so many bytes, each further one four times as many."""
_NEAR_ENOUGH = 32
"""A difference is found to this, in bytes."""


class Difference(NamedTuple):
    """Text of one version in place of text of another.

    Attributes:
        begin: Where it begins in the new version.
        end: Where it ends there.
        old_begin: Where the replaced text begins in the old version.
        old_end: Where that ends.
    """

    begin: int
    end: int
    old_begin: int
    old_end: int


def differences(old: bytes, new: bytes, apart: int = 0) -> list[Difference]:
    """Return where ``new`` differs from ``old``, in order; between those, both have the same text.

    Args:
        old: A version.
        new: Another one.
        apart: Differences with less between them are told as one, in bytes.
    """
    found: list[Difference] = []
    _compare(old, new, Difference(0, len(new), 0, len(old)), _CUTS_MAX, found)
    joined: list[Difference] = []
    for each in found:
        if joined and each.begin - joined[-1].end < apart:
            joined[-1] = joined[-1]._replace(end=each.end, old_end=each.old_end)
        else:
            joined.append(each)
    return joined


def _compare(old: bytes, new: bytes, part: Difference, cuts: int, found: list[Difference]) -> None:
    begin, end, old_begin, old_end = part
    most = min(end - begin, old_end - old_begin)
    same = _same_after(old, old_begin, new, begin, most)
    begin += same
    old_begin += same
    same = _same_before(old, old_end, new, end, most - same)
    end -= same
    old_end -= same
    if cuts and end - begin >= _CUT_FROM:
        at = new.find(b"\n", (begin + end) // 2, end - _LINE_BYTES)
        old_at = old.find(new[at : at + _LINE_BYTES], old_begin, old_end) if at >= 0 else -1
        if old_at >= 0:
            _compare(old, new, Difference(begin, at, old_begin, old_at), cuts - 1, found)
            _compare(old, new, Difference(at, end, old_at, old_end), cuts - 1, found)
            return
    if begin < end or old_begin < old_end:
        found.append(Difference(begin, end, old_begin, old_end))


def _same_after(old: bytes, old_at: int, new: bytes, at: int, most: int) -> int:
    """Return how many bytes are the same from there on, or a few less."""
    low, step = 0, _STEP
    while True:
        high = min(most, low + step)
        if old[old_at + low : old_at + high] != new[at + low : at + high]:
            break
        if high == most:
            return most
        low, step = high, 4 * step
    while high - low > _NEAR_ENOUGH:
        middle = (low + high) // 2
        if old[old_at + low : old_at + middle] == new[at + low : at + middle]:
            low = middle
        else:
            high = middle
    return low


# The same towards the other end: written out, since both are called for each part of each version.
def _same_before(old: bytes, old_at: int, new: bytes, at: int, most: int) -> int:
    """Return how many bytes are the same up to there, or a few less."""
    low, step = 0, _STEP
    while True:
        high = min(most, low + step)
        if old[old_at - high : old_at - low] != new[at - high : at - low]:
            break
        if high == most:
            return most
        low, step = high, 4 * step
    while high - low > _NEAR_ENOUGH:
        middle = (low + high) // 2
        if old[old_at - middle : old_at - low] == new[at - middle : at - low]:
            low = middle
        else:
            high = middle
    return low

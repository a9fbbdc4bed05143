"""The search for our own values, as many as there are, in one pass, however they are spelled."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vantage_secrets.leaks.finding import KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known.engine import WIDE_BEGIN_BYTES, WindowEngine
from vantage_secrets.leaks.known.parts import parts_of
from vantage_secrets.leaks.known.spelling import WINDOW_BYTES, pattern_of, spelling_of, windows_of
from vantage_secrets.secret import SecretValue

Buffer = bytes | bytearray | memoryview
"""What can be searched."""

_CROWD: Final = 4
"""Values that share one window; others take another window of theirs, so that one place is not tried for all."""

_FEW: Final = 2_000
"""Up to so many values, base64 has two windows for each alignment, so that it is found where it is broken into lines;
of more values, which would take half a second longer, one in fourteen such places is missed."""

_GROWTH: Final = 8
"""Most bytes that one byte of a value becomes: ``\\u0061`` is six, and a line end may bring indentation."""

_WIDE_RUN = re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00)+[\t\n\r\x20-\x7e]?")
"""A run of UTF-16; big-endian, its last character stands before no NUL."""


class KnownValue(NamedTuple):
    """A version of one of our secrets with its value.

    Attributes:
        version: What a finding says of it.
        value: The value; it is shown as ``***``.
    """

    version: KnownVersion
    value: SecretValue


class KnownHit(NamedTuple):
    """One of our values at one place.

    Attributes:
        begin: Where its first byte stands in the buffer; for base64, the first character with bits of it.
        end: The place after the last one.
        number: Which of the values that the search was made with, counted from 0.
        spelling: ``raw``, ``url``, ``json``, ``xml``, ``hex``, ``base64`` or ``utf-16``.
        part: Which text of that value, for one with fields; an index of the search's own.
    """

    begin: int
    end: int
    number: int
    spelling: str
    part: int


class _Clue(NamedTuple):
    """What a window may be part of.

    Attributes:
        part: Which text.
        family: In which family of spellings.
        offset: Where the window stands in the spelling that it was taken from.
    """

    part: int
    family: str
    offset: int


class KnownSearch:
    """A search for many values at once. Safe to use from several threads.

    SECURITY: the compiled patterns hold parts of the values; they stay in memory and are never written anywhere.

    Args:
        values: What to search for. A value of named fields, or of a JSON object, is searched for by its fields too.
        key: Makes the digest of them all.

    Attributes:
        values: The same.
        digest: The same values have the same one under the same key; it tells nothing about them. Another one each
            time where there is no key.
        margin: See ``marks_in``; in bytes.
        skipped: Indices of values, or values with fields, of which something is too short to be searched for: less
            than eight bytes would be found everywhere.

    Raises:
        MissingExtraError: ``hyperscan`` is not installed.
    """

    def __init__(self, values: Sequence[KnownValue], key: FingerprintKey | None = None) -> None:
        """Compile the patterns: half a second for 10,000 values, a few milliseconds for a hundred."""
        self.values = tuple(values)
        self.margin = max(WINDOW_BYTES, WIDE_BEGIN_BYTES + 2)
        self.skipped: list[int] = []
        self._parts: list[tuple[int, bytes]] = []
        self._clues: dict[bytes, list[_Clue]] = {}
        self._patterns: dict[tuple[int, str], re.Pattern[bytes]] = {}
        self._collect()
        caseless = [text for text, clues in self._clues.items() if any(clue.family == "hex" for clue in clues)]
        parts = sorted({part for _number, part in self._parts})
        texts = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        self.digest = key.fingerprint(texts) if key else os.urandom(16).hex()
        self._engine = WindowEngine([*(self._clues.keys() - caseless)], caseless)

    def _collect(self) -> None:
        for index, known in enumerate(self.values):
            parts = parts_of(known.value)
            long = [part for part in dict.fromkeys(parts) if len(part) >= WINDOW_BYTES]
            if len(long) < len(set(parts)):
                self.skipped.append(index)
            for part in long:
                self._add(len(self._parts), part)
                self._parts.append((index, part))

    def _add(self, part: int, value: bytes) -> None:
        for family, choices in windows_of(value):
            if len(self.values) <= _FEW and family.startswith("base64"):
                chosen = choices  # a line may end within one of them
            else:
                free = (each for each in choices if len(self._clues.get(each[0], ())) < _CROWD)
                chosen = [next(free, choices[0])]
            for text, offset in chosen:
                self._clues.setdefault(text, []).append(_Clue(part, family, offset))

    def find(self, buffer: Buffer, begin: int = 0, end: int | None = None) -> list[KnownHit]:
        """Return where any of the values stands in ``buffer[begin:end]``, sorted; each place once for each value.

        Values with a NUL or that overlap another one are found like any.
        """
        with memoryview(buffer) as whole, whole[begin:end] as view:
            found = set(self._find(view))
        return sorted(hit._replace(begin=hit.begin + begin, end=hit.end + begin) for hit in found)

    def prepare(self) -> None:
        """Wait until the patterns are compiled; otherwise whoever searches first waits.

        Raises:
            InvalidInputError: The engine did not take them.
        """
        self._engine.wait()

    def marks_in(self, buffer: Buffer) -> list[int]:
        """Return where ``find`` has to look: where windows end and where UTF-16 begins, in no order.

        Of what stands there, only the ``margin`` bytes before matter.
        """
        with memoryview(buffer) as view:
            marks = self._engine.scan(view)
        return marks.ends + marks.wide

    def __len__(self) -> int:
        """How many values are searched for."""
        return len({index for index, _part in self._parts})

    def version_of(self, hit: KnownHit) -> KnownVersion:
        """Return what a finding says of a hit."""
        return self.values[hit.number].version._replace(spelling=hit.spelling)

    def value_of(self, hit: KnownHit) -> bytes:
        """Return the value that stands there, without its spelling; for one with fields, the field."""
        return self._parts[hit.part][1]

    def _find(self, view: memoryview) -> Iterator[KnownHit]:
        marks = self._engine.scan(view)
        for end in marks.ends:
            yield from self._confirmed(view, end)
        for end in marks.wide:
            yield from self._find_wide(view, end - WIDE_BEGIN_BYTES)

    def _confirmed(self, view: memoryview, end: int) -> Iterator[KnownHit]:
        text = bytes(view[end - WINDOW_BYTES : end])
        clues = self._clues.get(text, [])
        lower = text.lower()
        if lower != text:
            clues = clues + [clue for clue in self._clues.get(lower, ()) if clue.family == "hex"]
        for clue in clues:
            index, value = self._parts[clue.part]
            span = _span_around(self._pattern(clue), view, end, clue.offset, len(value))
            if span:
                found = bytes(view[span[0] : span[1]])
                yield KnownHit(*span, index, spelling_of(found, value, clue.family), clue.part)

    def _pattern(self, clue: _Clue) -> re.Pattern[bytes]:
        key = (clue.part, clue.family)
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = pattern_of(self._parts[clue.part][1], clue.family)
        return pattern

    def _find_wide(self, view: memoryview, begin: int) -> Iterator[KnownHit]:
        """Yield what stands in the run of UTF-16 that begins at ``begin``: every second byte is its text."""
        run = _WIDE_RUN.match(view, begin)
        if run is None:
            return
        for hit in self._find(memoryview(bytes(view[begin : run.end() : 2]))):
            yield hit._replace(begin=begin + 2 * hit.begin, end=begin + 2 * hit.end, spelling="utf-16")


def _span_around(
    pattern: re.Pattern[bytes], view: memoryview, end: int, offset: int, length: int
) -> tuple[int, int] | None:
    """Return where ``pattern`` matches around the window that ends at ``end``; ``None`` where it does not."""
    begin = end - WINDOW_BYTES
    if begin >= offset and (exact := pattern.match(view, begin - offset)):
        return exact.span()
    first = max(0, begin - _GROWTH * offset - 80)
    for found in pattern.finditer(view, first, end + _GROWTH * length + 80):
        if found.start() > begin:
            break
        if found.end() >= end:
            return found.span()
    return None

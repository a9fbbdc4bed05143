"""The search for our own values, as many as there are, in one pass, however they are spelled."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import MissingExtraError
from vantage_secrets.leaks.finding import KnownVersion
from vantage_secrets.leaks.known.parts import parts_of
from vantage_secrets.leaks.known.spelling import WINDOW_BYTES, Window, pattern_of, spelling_of, windows_of
from vantage_secrets.secret import SecretValue

Buffer = bytes | bytearray | memoryview
"""What can be searched."""

_CROWD: Final = 4
"""Values that share one window; others take another window of theirs, so that one place is not tried for all."""

_GROWTH: Final = 8
"""Most bytes that one byte of a value becomes: ``\\u0061`` is six, and a line end may bring indentation."""

_WIDE_CHARACTER = rb"[\t\n\r\x20-\x7e]\x00"
_WIDE_BEGIN = rb"(?:^|^.|[^\x00]|[^\t\n\r\x20-\x7e]\x00)(?:" + _WIDE_CHARACTER + rb"){7}"
"""Where UTF-16 of ASCII begins, once a run: eight characters, of which the last may end before its second byte."""
_WIDE_RUN = re.compile(rb"(?:" + _WIDE_CHARACTER + rb")+[\t\n\r\x20-\x7e]?")


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
        index: Which of the values that the search was made with.
        spelling: ``raw``, ``url``, ``json``, ``xml``, ``hex``, ``base64`` or ``utf-16``.
        part: Which text of that value, for one with fields; an index of the search's own.
    """

    begin: int
    end: int
    index: int
    spelling: str
    part: int


class _Clue(NamedTuple):
    part: int
    window: Window


class KnownSearch:
    """A search for many values at once. Safe to use from several threads.

    SECURITY: the compiled patterns hold parts of the values; they stay in memory and are never written anywhere.

    Args:
        values: What to search for. A value of named fields, or of a JSON object, is searched for by its fields too.

    Attributes:
        values: The same.
        skipped: Indices of values, or values with fields, of which something is too short to be searched for: less
            than eight bytes would be found everywhere.

    Raises:
        MissingExtraError: ``hyperscan`` is not installed.
    """

    def __init__(self, values: Sequence[KnownValue]) -> None:
        """Compile the patterns: a second for 10,000 values, a few milliseconds for a hundred."""
        self.values = tuple(values)
        self.skipped: list[int] = []
        self._parts: list[tuple[int, bytes]] = []
        self._clues: dict[bytes, list[_Clue]] = {}
        self._patterns: dict[tuple[int, str], re.Pattern[bytes]] = {}
        self._local = threading.local()
        self._collect()
        self._database = self._compile()

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
        for choices in windows_of(value):
            window = choices[0]
            if len(self._clues.get(window.text, ())) >= _CROWD:
                window = next((each for each in choices if len(self._clues.get(each.text, ())) < _CROWD), window)
            self._clues.setdefault(window.text, []).append(_Clue(part, window))

    def _compile(self) -> Any:
        try:
            import hyperscan
        except ImportError as exc:
            raise MissingExtraError("hyperscan", "leaks") from exc
        # Sorted, and ten to an identifier: that compiles in half the time. Which one it was, the bytes say.
        texts = sorted(self._clues)
        caseless = [any(clue.window.is_caseless for clue in self._clues[text]) for text in texts]
        database = hyperscan.Database()
        database.compile(
            expressions=[_WIDE_BEGIN, *(b"\\x" + text.hex("-").replace("-", "\\x").encode() for text in texts)],
            ids=[0, *(1 + at // 10 for at in range(len(texts)))],
            elements=len(texts) + 1,
            flags=[hyperscan.HS_FLAG_DOTALL, *(hyperscan.HS_FLAG_CASELESS * each for each in caseless)],
        )
        self._scratch = hyperscan.Scratch(database)
        return database

    def find(self, buffer: Buffer, begin: int = 0, end: int | None = None) -> list[KnownHit]:
        """Return where any of the values stands in ``buffer[begin:end]``, sorted; each place once for each value.

        Values with a NUL or that overlap another one are found like any.
        """
        with memoryview(buffer) as whole, whole[begin:end] as view:
            found = set(self._find(view))
        return sorted(hit._replace(begin=hit.begin + begin, end=hit.end + begin) for hit in found)

    def __len__(self) -> int:
        """How many values are searched for."""
        return len({index for index, _part in self._parts})

    def version_of(self, hit: KnownHit) -> KnownVersion:
        """Return what a finding says of a hit."""
        return self.values[hit.index].version._replace(spelling=hit.spelling)

    def value_of(self, hit: KnownHit) -> bytes:
        """Return the value that stands there, without its spelling; for one with fields, the field."""
        return self._parts[hit.part][1]

    def _find(self, view: memoryview) -> Iterator[KnownHit]:
        ends: list[int] = []
        wide_ends: list[int] = []

        def on_match(identifier: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            (ends if identifier else wide_ends).append(end)

        self._scan(view, on_match)
        for end in ends:
            yield from self._confirmed(view, end)
        for end in wide_ends:
            yield from self._find_wide(view, end)

    def _scan(self, view: memoryview, on_match: Callable[..., None]) -> None:
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = self._scratch.clone()
        self._database.scan(view, on_match, scratch=scratch)

    def _confirmed(self, view: memoryview, end: int) -> Iterator[KnownHit]:
        text = bytes(view[end - WINDOW_BYTES : end])
        clues = self._clues.get(text, [])
        lower = text.lower()
        if lower != text:
            clues = clues + [clue for clue in self._clues.get(lower, ()) if clue.window.is_caseless]
        for clue in clues:
            index, value = self._parts[clue.part]
            span = _span_around(self._pattern(clue), view, end, clue.window.offset, len(value))
            if span:
                found = bytes(view[span[0] : span[1]])
                yield KnownHit(*span, index, spelling_of(found, value, clue.window.family), clue.part)

    def _pattern(self, clue: _Clue) -> re.Pattern[bytes]:
        key = (clue.part, clue.window.family)
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = pattern_of(self._parts[clue.part][1], clue.window.family)
        return pattern

    def _find_wide(self, view: memoryview, end: int) -> Iterator[KnownHit]:
        """Yield what stands in the run of UTF-16 whose beginning was seen at ``end``; its text is every second byte."""
        run = _WIDE_RUN.match(view, end - 14)
        if run is None:
            return
        begin = run.start()
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

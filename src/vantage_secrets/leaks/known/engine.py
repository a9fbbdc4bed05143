"""Where any of many windows stands in a buffer: hyperscan, compiled in memory and kept there.

SECURITY: the compiled patterns hold parts of values, so that, other than those of the rules, they are never serialised.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import MissingExtraError

HALVED_FROM: Final = 20_000
"""From so many windows on they are compiled as two halves at the same time: 50,000 take 0.4 s instead of 0.75 s, and a
second pass costs less than that until some gigabytes are read."""

_WIDE_CHARACTER = rb"[\t\n\r\x20-\x7e]\x00"
WIDE_BEGIN_BYTES: Final = 14
"""How far before a mark of ``Marks.wide`` the run begins."""
_WIDE_BEGIN = rb"(?:^|^.|[^\x00]|[^\t\n\r\x20-\x7e]\x00)(?:" + _WIDE_CHARACTER + rb"){7}"
"""Where ASCII in UTF-16 of either byte order begins, at least seven characters: it matches once in each run."""
_WIDE = 0
_SHARE: Final = 10
"""Windows that share one identifier: which one it was, the bytes say, and they compile faster so."""


class Marks(NamedTuple):
    """What one pass saw.

    Attributes:
        ends: Where windows end.
        wide: The offsets ``WIDE_BEGIN_BYTES`` after the beginning of each run of UTF-16.
    """

    ends: list[int]
    wide: list[int]


class WindowEngine:
    """Finds windows. Safe to use from several threads.

    Args:
        plain: Windows, all of the same length.
        caseless: Windows of the same length in lower case, to be found in upper case too.

    Raises:
        MissingExtraError: ``hyperscan`` is not installed.
    """

    def __init__(self, plain: Sequence[bytes], caseless: Sequence[bytes]) -> None:
        """Compile them."""
        try:
            import hyperscan
        except ImportError as exc:
            raise MissingExtraError("hyperscan", "leaks") from exc
        self._hyperscan = hyperscan
        self._local = threading.local()
        flags = [0] * len(plain) + [hyperscan.HS_FLAG_CASELESS] * len(caseless)
        windows = sorted(zip((*plain, *caseless), flags, strict=True))  # sorted they compile in two thirds of the time
        middle = len(windows) // 2 if len(windows) >= HALVED_FROM else 0
        self._databases = self._compiled([windows[middle:], *([windows[:middle]] if middle else [])])
        self._scratches = [hyperscan.Scratch(database) for database in self._databases]

    def _compiled(self, halves: Sequence[Sequence[tuple[bytes, int]]]) -> list[Any]:
        databases = [self._hyperscan.Database() for _half in halves]
        # The compiler lets go of the interpreter's lock. What it could raise, it raises for the first half as well.
        thread = threading.Thread(target=self._compile, args=(databases[-1], halves[-1], len(halves) == 1))
        thread.start()
        if len(halves) > 1:
            self._compile(databases[0], halves[0], True)
        thread.join()
        return databases

    def _compile(self, database: Any, windows: Sequence[tuple[bytes, int]], has_wide: bool) -> None:
        # Escaped, since the engine's own literals end at a NUL.
        expressions = [b"\\x" + text.hex("-").replace("-", "\\x").encode() for text, _flag in windows]
        identifiers = [1 + at // _SHARE for at in range(len(windows))]
        flags = [flag for _text, flag in windows]
        if has_wide:
            expressions, identifiers = [_WIDE_BEGIN, *expressions], [_WIDE, *identifiers]
            # The begin is not needed; but asked for it, the compiler leaves out a second engine for tiny buffers, which
            # takes it ten times as long as everything else where there are some hundred windows.
            flags = [self._hyperscan.HS_FLAG_DOTALL | self._hyperscan.HS_FLAG_SOM_LEFTMOST, *flags]
        database.compile(expressions=expressions, ids=identifiers, elements=len(expressions), flags=flags)

    def scan(self, view: memoryview) -> Marks:
        """Return where windows and runs of UTF-16 stand in ``view``."""
        marks = Marks([], [])
        by_kind = (marks.wide, marks.ends)

        def on_match(identifier: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            by_kind[identifier > 0].append(end)

        for database, scratch in zip(self._databases, self._own_scratches(), strict=True):
            database.scan(view, on_match, scratch=scratch)
        return marks

    def _own_scratches(self) -> list[Any]:
        scratches: list[Any] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            scratches = self._local.scratches = [scratch.clone() for scratch in self._scratches]
        return scratches

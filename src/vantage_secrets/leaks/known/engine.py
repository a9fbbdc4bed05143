"""Where any of many windows stands in a buffer: hyperscan, compiled in memory and kept there.

SECURITY: the compiled patterns hold parts of values, so that, other than those of the rules, they are never serialised.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import InvalidInputError, MissingExtraError

HALVED_FROM: Final = 20_000
"""From so many windows on they are compiled as two halves at the same time: 50,000 take 0.4 s instead of 0.75 s on two
cores, and the second pass over 950 MB costs 0.15 s."""

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
        """Begin to compile them; whoever scans first waits for the end of that."""
        try:
            import hyperscan
        except ImportError as exc:
            raise MissingExtraError("hyperscan", "leaks") from exc
        self._hyperscan = hyperscan
        self._local = threading.local()
        flags = [0] * len(plain) + [hyperscan.HS_FLAG_CASELESS] * len(caseless)
        windows = sorted(zip((*plain, *caseless), flags, strict=True))  # sorted they compile in two thirds of the time
        middle = len(windows) // 2 if len(windows) >= HALVED_FROM else len(windows)
        halves = [half for half in (windows[:middle], windows[middle:]) if half] or [[]]
        self._databases: list[Any] = [hyperscan.Database() for _half in halves]
        self._has_failed = False
        # The compiler lets go of the interpreter's lock, so that whoever made this can go on meanwhile.
        self._threads = [
            threading.Thread(target=self._compile, args=(database, half, number == 0), daemon=True)
            for number, (database, half) in enumerate(zip(self._databases, halves, strict=True))
        ]
        for thread in self._threads:
            thread.start()

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
        try:
            database.compile(expressions=expressions, ids=identifiers, elements=len(expressions), flags=flags)
        except self._hyperscan.error:
            self._has_failed = True  # told where the result is waited for

    def scan(self, view: memoryview) -> Marks:
        """Return where windows and runs of UTF-16 stand in ``view``.

        Raises:
            InvalidInputError: The engine did not take the windows.
        """
        marks = Marks([], [])
        by_kind = (marks.wide, marks.ends)

        def on_match(identifier: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            by_kind[identifier > 0].append(end)

        for database, scratch in zip(self._databases, self._own_scratches(), strict=True):
            database.scan(view, on_match, scratch=scratch)
        return marks

    def wait(self) -> None:
        """Wait for the end of compiling.

        Raises:
            InvalidInputError: The engine did not take the windows.
        """
        for thread in self._threads:
            thread.join()
        if self._has_failed:
            # SECURITY: without what the engine says, which may hold what it was to compile.
            raise InvalidInputError("The search for known values cannot be compiled.", hint="Scan without them.")

    def _own_scratches(self) -> list[Any]:
        scratches: list[Any] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            self.wait()
            scratches = self._local.scratches = [self._hyperscan.Scratch(database) for database in self._databases]
        return scratches

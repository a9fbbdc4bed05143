"""Where any of many windows stands in a buffer.

Few windows are compiled for hyperscan, which searches fastest. Many would take it longer to compile than all the rest
of a scan, so they go into an automaton of Aho and Corasick ("Efficient string matching", CACM 18(6), 1975), which is
made ten times as fast and searches at a sixth of hyperscan's speed.

SECURITY: the compiled patterns hold parts of values, so that, other than those of the rules, they are never serialised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import InvalidInputError, MissingExtraError

MANY_FROM: Final = 20_000
"""So many windows are many. Hyperscan takes 0.13 s of processor time to compile 10,000 and 0.9 s for 50,000, for which
the automaton takes 0.09 s; over 60 MB, hyperscan then takes 0.06 s and the automaton 0.39 s."""

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
        MissingExtraError: ``hyperscan`` or ``ahocorasick-rs`` is not installed.
    """

    def __init__(self, plain: Sequence[bytes], caseless: Sequence[bytes]) -> None:
        """Begin to compile them; whoever scans first waits for the end of that."""
        try:
            import hyperscan
        except ImportError as exc:
            raise MissingExtraError("hyperscan", "leaks") from exc
        self._hyperscan = hyperscan
        self._local = threading.local()
        self._automaton: Any = None
        if len(plain) + len(caseless) >= MANY_FROM:
            # Hexadecimal digits have one case throughout.
            self._automaton = _automaton({*plain, *caseless, *(text.upper() for text in caseless)})
            plain, caseless = (), ()
        flags = [0] * len(plain) + [hyperscan.HS_FLAG_CASELESS] * len(caseless)
        windows = sorted(zip((*plain, *caseless), flags, strict=True))  # sorted they compile in two thirds of the time
        self._database: Any = hyperscan.Database()
        self._has_failed = False
        # The compiler lets go of the interpreter's lock, so that whoever made this can go on meanwhile.
        self._thread = threading.Thread(target=self._compile, args=(windows,), daemon=True)
        self._thread.start()

    def _compile(self, windows: Sequence[tuple[bytes, int]]) -> None:
        # Escaped, since the engine's own literals end at a NUL.
        literals = [b"\\x" + text.hex("-").replace("-", "\\x").encode() for text, _flag in windows]
        expressions = [_WIDE_BEGIN, *literals]
        identifiers = [_WIDE, *(1 + at // _SHARE for at in range(len(windows)))]
        # The begin is not needed; but asked for it, the compiler leaves out a second engine for tiny buffers, which
        # takes it ten times as long as everything else where there are some hundred windows.
        wide = self._hyperscan.HS_FLAG_DOTALL | self._hyperscan.HS_FLAG_SOM_LEFTMOST
        flags = [wide, *(flag for _text, flag in windows)]
        try:
            self._database.compile(expressions=expressions, ids=identifiers, elements=len(expressions), flags=flags)
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

        self._database.scan(view, on_match, scratch=self._own_scratch())
        if self._automaton is not None:
            found = self._automaton.find_matches_as_indexes(view, overlapping=True)
            marks.ends.extend(end for _window, _begin, end in found)
        return marks

    def wait(self) -> None:
        """Wait for the end of compiling.

        Raises:
            InvalidInputError: The engine did not take the windows.
        """
        self._thread.join()
        if self._has_failed:
            # SECURITY: without what the engine says, which may hold what it was to compile.
            raise InvalidInputError("The search for known values cannot be compiled.", hint="Scan without them.")

    def _own_scratch(self) -> Any:
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            self.wait()
            scratch = self._local.scratch = self._hyperscan.Scratch(self._database)
        return scratch


def _automaton(windows: Iterable[bytes]) -> Any:
    try:
        from ahocorasick_rs import BytesAhoCorasick, Implementation
    except ImportError as error:
        raise MissingExtraError("ahocorasick-rs", "leaks") from error
    return BytesAhoCorasick(list(windows), implementation=Implementation.ContiguousNFA)

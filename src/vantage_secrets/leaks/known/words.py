"""Words of exactly the length and alphabet of a value that we no longer have, to be tried against its fingerprint."""

from __future__ import annotations

import re
import threading
from typing import Any

from vantage_secrets.leaks.known.retired import RetiredLookup


class WordSearch:
    """Finds such words in one pass. Safe to use from several threads.

    Args:
        retired: What is known of the values.
    """

    def __init__(self, retired: RetiredLookup) -> None:
        """Compile the words' shapes: milliseconds."""
        import hyperscan

        self._engine = hyperscan
        self._shapes: list[tuple[bytes, int]] = [
            (characters, length) for characters, lengths in retired.words() for length in lengths
        ]
        self.margin = max((length for _characters, length in self._shapes), default=0) + 1
        """What stands more than so many bytes before a word's end, or one behind, does not matter to it."""
        self._database: Any = None
        self._own = threading.local()
        if self._shapes:
            # The bytes on both sides are matched too: else each place in a longer run would be reported.
            expressions = [b"[^%b][%b]{%d}[^%b]" % (chars, chars, n, chars) for chars, n in self._shapes]
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                expressions=expressions, ids=list(range(len(expressions))), elements=len(expressions), flags=0
            )

    def ends_in(self, buffer: Any) -> list[tuple[int, int]]:
        """Return the index of each word's shape and where the word ends; those at the very edges are left out.

        Args:
            buffer: Any bytes-like object.
        """
        found: list[tuple[int, int]] = []
        if self._database is None:
            return found

        def note(shape: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            found.append((shape, end - 1))

        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = self._engine.Scratch(self._database)
        self._database.scan(buffer, match_event_handler=note, scratch=scratch)
        return found

    def edges_of(self, data: bytes) -> list[tuple[int, int]]:
        """Return the words at the begin and at the end of ``data``, in the shape of ``ends_in``."""
        found = []
        for shape, (characters, length) in enumerate(self._shapes):
            first = re.match(b"[%b]{%d}(?![%b])" % (characters, length, characters), data)
            last = re.compile(b"(?<![%b])[%b]{%d}\\Z" % (characters, characters, length)).search(
                data, max(0, len(data) - length - 1)
            )
            found += [(shape, match.end()) for match in (first, last) if match]
        return found

    def span_of(self, found: tuple[int, int]) -> tuple[int, int]:
        """Return where a word that was found begins and ends."""
        shape, end = found
        return end - self._shapes[shape][1], end

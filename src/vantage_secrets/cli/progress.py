"""How far long work is, for a person who waits; on standard error, and only at a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_QUIET_SECONDS = 0.7
"""Shorter work shows nothing."""
_STEP_SECONDS = 0.1


class Progress:
    """A line that counts the bytes that were read; told from several threads, it may lose a number but not its way."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._began = self._last = time.monotonic()
        self._byte_count = 0
        self._was_shown = False

    def __call__(self, byte_count: int) -> None:
        """Count bytes that were read just now."""
        self._byte_count += byte_count
        now = time.monotonic()
        if self._is_shown and now - self._began > _QUIET_SECONDS and now - self._last > _STEP_SECONDS:
            self._last, self._was_shown = now, True
            rate = self._byte_count / 1e6 / (now - self._began)
            sys.stderr.write(f"\r\x1b[2KScanning … {self._byte_count / 1e6:,.0f} MB read, {rate:,.0f} MB/s")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Show what takes long just now."""
        if self._is_shown:
            self._was_shown = True
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._was_shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

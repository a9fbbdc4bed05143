"""Events of processes that may not write the log: kept in private files until they are collected."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path
from typing import Final

from vantage_secrets.audit.chain import write_all
from vantage_secrets.audit.checkpoint import sync_folder

SPOOL_SUFFIX: Final = ".spool"


class SpoolWriter:
    """Keeps events in a file of this process's own. Not safe from several threads.

    Args:
        folder: Where the file goes; made, mode 0700, when only the last part of its path is missing.
    """

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self.folder = folder
        self._handle: int | None = None
        self._token = ""
        self._count = 0

    def write(self, bodies: Sequence[bytes]) -> None:
        """Add encoded events to the file; when this returns, they are on disk.

        Raises:
            OSError: They cannot be written; what had been written of these is cut off again.
        """
        handle = self._locked_file()
        try:
            size = os.fstat(handle).st_size
            first = self._count + 1
            lines = [b'{"id":"%b-%d"%b\n' % (self._token.encode(), n, body) for n, body in enumerate(bodies, first)]
            try:
                write_all(handle, b"".join(lines))
                os.fdatasync(handle)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(handle, size)
                raise
            self._count += len(bodies)
        finally:
            flock(handle, LOCK_UN)

    def close(self) -> None:
        """Release the file; the next event starts a new one. Safe to repeat."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _locked_file(self) -> int:
        """Return this process's file, locked: a new one if the old one was collected meanwhile."""
        while True:
            if self._handle is None:
                self._handle = self._create()
            flock(self._handle, LOCK_EX)
            if os.fstat(self._handle).st_nlink:
                return self._handle
            self.close()

    def _create(self) -> int:
        with suppress(OSError):  # It is there, or opening the file says why it is not.
            self.folder.mkdir(mode=0o700)
        self._token, self._count = os.urandom(12).hex(), 0
        path = self.folder / f"{self._token}{SPOOL_SUFFIX}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            sync_folder(self.folder)
        except BaseException:
            os.close(handle)
            raise
        return handle

"""Compressed streams read forward in bounded memory, several of them one after the other as one."""

from __future__ import annotations

from typing import Any

from vantage_secrets.leaks.sources.contract import Readable

_CHUNK_BYTES = 65_536

_XZ_MEMORY_BYTES = 134_217_728
"""What an xz stream may ask for; ``xz -9`` needs 65 MiB."""


class Decompressed:
    """The content of a compressed stream.

    Args:
        file: The stream.
        kind: ``gzip``, ``bzip2`` or ``xz``.
    """

    def __init__(self, file: Readable, kind: str) -> None:
        """Read nothing yet."""
        self._file = file
        self._kind = kind
        self._stream: Any = _new(kind)
        self._waiting = b""
        self._is_over = False

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end.

        Raises:
            EOFError: The stream was cut.
            zlib.error, OSError, lzma.LZMAError: It is damaged.
        """
        while not self._is_over:
            if self._stream.eof:
                self._go_on_with_next()
                continue
            if self._wants_input() and not self._waiting:
                self._waiting = self._file.read(_CHUNK_BYTES)
                if not self._waiting:
                    raise EOFError("the stream was cut")
            fed, self._waiting = self._waiting, b""
            data: bytes = self._stream.decompress(fed, size)
            if self._kind == "gzip":
                self._waiting = self._stream.unconsumed_tail
            if data:
                return data
        return b""

    def _wants_input(self) -> bool:
        return self._kind == "gzip" or bool(self._stream.needs_input)

    def _go_on_with_next(self) -> None:
        """Begin the stream that follows, if one does. Zeros are padding: gzip(1), .xz format 2.2."""
        rest = self._stream.unused_data
        while not (rest := rest.lstrip(b"\0")):
            rest = self._file.read(_CHUNK_BYTES)
            if not rest:
                self._is_over = True
                return
        self._waiting = rest
        self._stream = _new(self._kind)


def _new(kind: str) -> Any:
    if kind == "gzip":
        import zlib

        return zlib.decompressobj(wbits=31)  # a gzip header and its checksum
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)

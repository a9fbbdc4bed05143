"""Tar files whose damage is seen: ``tarfile`` takes a header that is none, past the first, for the end."""

from __future__ import annotations

import tarfile
from tarfile import HeaderError, ReadError
from typing import Any, Self

_BLOCK_BYTES = 65_536


_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_EXTENSION_BYTES_MAX = 1_048_576
"""A header that extends the next one is read whole; it holds a name, or a few attributes."""


class _Header(tarfile.TarInfo):
    """A header that is either read, or the end mark, or an error."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _EXTENSION_BYTES_MAX):
            raise ReadError("a header of an impossible size")
        return header

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as exc:
            if type(exc).__name__ == "EOFHeaderError":
                raise
            # Without the exception, whose text may hold what stood there.
            raise ReadError(f"no header and no end mark ({type(exc).__name__})") from None


class SoundTarFile(tarfile.TarFile):
    """A tar that ends with its end mark, or raises."""

    def require_zeros_to_the_end(self) -> None:
        """Read on after the end mark.

        Raises:
            ReadError: Something follows, such as another tar.
        """
        file: Any = self.fileobj
        while data := file.read(_BLOCK_BYTES):
            if data.strip(b"\0"):
                raise ReadError("something follows the end mark")


def open_tar(file: Any, *, can_seek: bool) -> SoundTarFile:
    """Return a tar open for reading from where ``file`` stands.

    Args:
        file: Has ``read``, and all that a seekable file has where ``can_seek``.
        can_seek: Whether members may be read again; without it, each is read once, in order.

    Raises:
        ReadError: Its first header is none.
    """
    mode: Any = "r:" if can_seek else "r|"
    return SoundTarFile.open(fileobj=file, mode=mode, tarinfo=_Header, errors="surrogateescape")

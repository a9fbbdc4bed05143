"""What bytes are, by their own marks rather than by a name; light, because every file is asked."""

from __future__ import annotations

HEAD_BYTES = 512
"""How much of the beginning is needed: a whole tar header."""

TAIL_BYTES = 22
"""How much of the end is needed: a zip's end record without a comment."""

LFS_MARK = b"version https://git-lfs.github.com/spec/v1"
"""How a Git LFS pointer begins; Git LFS specification, "The Pointer"."""

LFS_BYTES_MAX = 1_024
"""A pointer is smaller; same source."""

EXPANDABLE = frozenset({"tar", "zip", "gzip", "bzip2", "xz"})
"""What ``archives`` expands; all other kinds are told as not read."""

_MARKS = {
    0x50: ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK\x07\x08", "zip")),
    0x1F: ((b"\x1f\x8b\x08", "gzip"), (b"\x1f\x9d", "compress"), (b"\x1f\xa0", "compress")),
    0x42: ((b"BZh", "bzip2"),),
    0xFD: ((b"\xfd7zXZ\x00", "xz"),),
    0x28: ((b"\x28\xb5\x2f\xfd", "Zstandard"),),
    0x37: ((b"7z\xbc\xaf\x27\x1c", "7-Zip"),),
    0x52: ((b"Rar!\x1a\x07", "RAR"),),
    0x04: ((b"\x04\x22\x4d\x18", "LZ4"),),
    0x4C: ((b"LZIP\x01", "lzip"),),
}
"""Marks by their first byte. zip: APPNOTE 4.3; gzip: RFC 1952; xz: .xz format 2.1.1.1; Zstandard: RFC 8878; the others
from the formats' own descriptions."""

_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
_CLASSIC_END_OF_SUM = b"\0 "


def archive_kind(head: bytes, tail: bytes = b"") -> str:
    """Return what kind of archive or compression this is, such as ``tar`` or ``7-Zip``; empty for anything else.

    Args:
        head: The first ``HEAD_BYTES``, or more, or all there is.
        tail: The last ``TAIL_BYTES``, or more, where they are at hand: a zip may begin with something else.
    """
    if not head:
        return ""
    for mark, kind in _MARKS.get(head[0], ()):
        if head.startswith(mark) and (kind != "bzip2" or head[4:10] in _BZIP2_BLOCKS):
            return kind
    if head[257:262] == b"ustar" or (head[154:156] == _CLASSIC_END_OF_SUM and _has_tar_checksum(head)):
        return "tar"
    return "zip" if tail[-TAIL_BYTES:].startswith(b"PK\x05\x06") else ""


def is_lfs_pointer(data: bytes) -> bool:
    """Return whether ``data``, all of a file, stands for content that Git LFS keeps elsewhere."""
    return len(data) < LFS_BYTES_MAX and data.startswith(LFS_MARK)


def shown(text: str) -> str:
    """Return ``text`` as it can be printed: bytes that are no text, and control characters, as escapes."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte that Python could not decode, PEP 383
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def _has_tar_checksum(head: bytes) -> bool:
    """Return whether a header of the oldest format, which has no mark, adds up; POSIX.1-1988, ustar."""
    try:
        told = int(head[148:154].strip(b" \0"), 8)
    except ValueError:
        return False
    return len(head) >= HEAD_BYTES and told == sum(head[:148]) + 8 * 32 + sum(head[156:HEAD_BYTES])

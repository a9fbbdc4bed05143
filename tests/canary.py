"""Values that must never be seen: every test takes its secret values from here, and the run looks for all of them.

A canary is searched for in what tests and their child processes print and log, in assertion texts and
tracebacks, and in every file below pytest's temporary folder. Where a test must write a value in the clear,
such as a ``.env`` file, it puts it into a file or folder whose name contains ``CLEAR``.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

MARK = "cnry"
_PLANTED: list[str] = []


def canary(hint: str = "value") -> str:
    """Return a fresh value, 40 characters or so, that the run will look for when it ends."""
    value = f"{MARK}-{hint}-{secrets.token_hex(16)}"
    _PLANTED.append(value)
    return value


def planted() -> tuple[str, ...]:
    """Return every value handed out by this process."""
    return tuple(_PLANTED)


def spellings(value: str) -> Iterator[bytes]:
    """Yield how ``value`` might stand in a file: raw, base64 at its three alignments, hex, UTF-16."""
    raw = value.encode()
    yield raw
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        yield encoded[4 if shift else 0 : -4]
    yield raw.hex().encode()
    yield value.encode("utf-16-le")


def leaks_in(data: bytes, values: tuple[str, ...]) -> list[str]:
    """Return the hints of the values that stand in ``data`` in any spelling."""
    return [value.rsplit("-", 1)[0] for value in values if any(form in data for form in spellings(value))]


def leaks_below(folder: Path, values: tuple[str, ...]) -> list[str]:
    """Return ``path: hint`` for each file below ``folder`` that holds a value and has no CLEAR in its path."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if "CLEAR" in inside or path.is_symlink() or not path.is_file():
            continue
        found += [f"{inside}: {hint}" for hint in leaks_in(path.read_bytes(), values)]
    return found

"""A baseline of detect-secrets, read as it is: ``.secrets.baseline``, versions 0.12 to 1.5.

It holds the SHA-1 of each value without a key. So it can be compared with values while they are in memory, and it
cannot be turned into fingerprints without them: ``leaks.baseline.conversion`` scans again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.baseline.entry import locations_of
from vantage_secrets.leaks.finding import Finding, Status

_MARK = b'"plugins_used"'
_DIGEST = re.compile(r"[0-9a-f]{40}")
# Its private-key plugin digests these words of the header instead of the key.
_HEADER = re.compile(rb"BEGIN(?: [A-Z0-9]+)* PRIVATE KEY(?: BLOCK)?|PuTTY-User-Key-File-2")


class OldEntry(NamedTuple):
    """One entry of a ``.secrets.baseline``.

    Attributes:
        path: As it stands there: seen from the folder of the baseline.
        line: Where it was.
        kind: What detect-secrets calls it, such as ``AWS Access Key``.
        digest: SHA-1 of the value, hexadecimal.
        is_secret: What its audit said; ``None`` when nobody was asked.
        is_verified: Whether the vendor accepted it.
    """

    path: str
    line: int
    kind: str
    digest: str
    is_secret: bool | None
    is_verified: bool


class DetectSecretsBaseline:
    """A ``.secrets.baseline``; is never changed.

    Attributes:
        path: Its file.
        entries: All of its entries, in its order.
        made: The day it was written, as in ``2026-01-31``; empty when it does not say.
    """

    def __init__(self, path: Path, entries: tuple[OldEntry, ...], made: str) -> None:
        """Keep what the file holds."""
        self.path = path
        self.entries = entries
        self.made = made
        self._folder = str(path.absolute().parent)
        self._by_place: dict[tuple[str, str], OldEntry] = {}
        for entry in entries:  # several plugins may have found one value: the one that somebody judged counts
            there = self._by_place.setdefault((entry.path, entry.digest), entry)
            if there.is_secret is None:
                self._by_place[entry.path, entry.digest] = entry

    @property
    def values(self) -> tuple[OldEntry, ...]:
        """One entry for each value in each file."""
        return tuple(self._by_place.values())

    @classmethod
    def recognise(cls, path: Path) -> DetectSecretsBaseline | None:
        """Return the baseline that ``path`` holds, ``None`` when it is none of detect-secrets.

        Raises:
            InvalidInputError: It is one, and it is damaged.
        """
        try:
            content = path.read_bytes()
        except OSError:
            return None  # whoever opens it as another kind says why
        return cls._parsed(path, content) if _MARK in content else None

    @classmethod
    def _parsed(cls, path: Path, content: bytes) -> DetectSecretsBaseline:
        import json

        try:
            document = json.loads(content)
            results = document["results"]
            entries = [_entry_of(name, table) for name, tables in results.items() for table in tables]
            made = str(document.get("generated_at", ""))[:10]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidInputError(
                f"'{path}' looks like a baseline of detect-secrets, and is damaged.",
                hint="Write it anew with: detect-secrets scan --baseline FILE",
            ) from None
        return cls(path, tuple(entries), made)

    def has(self, path: str, value: bytes) -> bool:
        """Return whether it knows ``value`` in the file ``path``, seen from its folder."""
        return self.entry_for([path], value) is not None

    def entry_for(self, paths: list[str], value: bytes) -> OldEntry | None:
        """Return its entry for ``value`` in the first of ``paths`` that has one."""
        found = (self._by_place.get((path, digest)) for path in paths for digest in _digests(value))
        return next((entry for entry in found if entry is not None), None)

    def judge(self, finding: Finding, value: bytes) -> Finding:
        """Return ``finding`` with its status, and with what is known of it as the reason.

        Args:
            finding: What a scan found; only a new one is looked at.
            value: The value, which stays in memory.
        """
        if finding.status is not Status.NEW:
            return finding
        entry = self.entry_for(locations_of(finding, self._folder), value)
        if entry is None:
            return finding
        if entry.is_secret is False and finding.known is not None and finding.known.is_dangerous:
            return finding._replace(reason=f"Judged no secret, but it is {finding.known.secret}")
        words = {None: "not judged yet", True: "real", False: "judged no secret"}[entry.is_secret]
        return finding._replace(status=Status.BASELINE, reason=f"{words}, known to detect-secrets as {entry.kind}")


def _digests(value: bytes) -> Iterator[str]:
    import hashlib

    yield hashlib.sha1(value, usedforsecurity=False).hexdigest()
    header = _HEADER.search(value, 0, 100)
    if header:
        yield hashlib.sha1(header[0], usedforsecurity=False).hexdigest()


def _entry_of(name: str, table: dict[str, Any]) -> OldEntry:
    digest, is_secret = str(table["hashed_secret"]), table.get("is_secret")
    if not _DIGEST.fullmatch(digest) or not (is_secret is None or isinstance(is_secret, bool)):
        raise ValueError("no digest, or no verdict")
    kind = str(table["type"])
    return OldEntry(
        name.replace("\\", "/").removeprefix("./"),
        int(table.get("line_number", 0)),
        kind if kind.isprintable() else "?",
        digest,
        is_secret,
        bool(table.get("is_verified", False)),
    )

"""Values that no store can return any more are recognised by what was kept of them: a keyed fingerprint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from vantage_secrets.leaks.finding import KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey

_ALPHABETS: Final = {
    "hex": rb"0-9A-Fa-f",
    "alnum": rb"0-9A-Za-z",
    "word": rb"0-9A-Za-z_-",
    "base64": rb"0-9A-Za-z+/=",
    "token": rb"0-9A-Za-z!#%*+./=?@^_~-",
}
"""What words of a text are made of, the smallest first; each as a class of a regular expression."""
_MADE_OF: Final = {name: re.compile(rb"[" + characters + rb"]+") for name, characters in _ALPHABETS.items()}


def alphabet_of(value: bytes) -> str:
    """Return the name of the smallest alphabet that has all of ``value``; ``other`` when it is no single word."""
    return next((name for name, pattern in _MADE_OF.items() if pattern.fullmatch(value)), "other")


class Remembered(NamedTuple):
    """What was kept of a value.

    Attributes:
        fingerprint: Of the value, or of one of its fields.
        length: In bytes.
        alphabet: As ``alphabet_of`` says.
        version: What a finding says of it.
    """

    fingerprint: str
    length: int
    alphabet: str
    version: KnownVersion


class RetiredLookup:
    """Tells values that were ours. Safe to use from several threads.

    Args:
        remembered: What was kept of them.
        key: The key that it was kept under.

    Attributes:
        digest: The same values have the same one under the same key; it tells nothing about them.
    """

    def __init__(self, remembered: Iterable[Remembered], key: FingerprintKey) -> None:
        """Keep them by their fingerprints."""
        self._key = key
        self._versions: dict[str, KnownVersion] = {}
        self._lengths: dict[str, set[int]] = {}
        for each in remembered:
            self._versions[each.fingerprint] = each.version
            self._lengths.setdefault(each.alphabet, set()).add(each.length)
        self.digest = key.fingerprint(" ".join(sorted(self._versions)).encode())
        self._all_lengths = frozenset().union(*self._lengths.values())

    def __len__(self) -> int:
        """How many fingerprints are known."""
        return len(self._versions)

    def of(self, value: bytes) -> KnownVersion | None:
        """Return which of our retired values ``value`` is; ``None`` when it is none."""
        if len(value) not in self._all_lengths:
            return None
        return self._versions.get(self._key.fingerprint(value))

    def words(self) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
        """Return which words are worth a try: for each class of a regular expression the lengths, in bytes.

        A value that is no single word has none; it is told only where a rule captures it.
        """
        found = (
            (_ALPHABETS[name], tuple(sorted(lengths))) for name, lengths in self._lengths.items() if name in _ALPHABETS
        )
        return tuple(found)

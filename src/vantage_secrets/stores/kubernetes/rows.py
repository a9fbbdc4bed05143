"""What an annotation says of one version, as short as it can be: all annotations share 256 KiB."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from vantage_secrets.secret import SecretName, SecretVersion, Stage

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LETTERS: Final = {Stage.PENDING: "n", Stage.CURRENT: "c", Stage.PREVIOUS: "p", Stage.RETIRED: "r"}
_STAGES: Final = {letter: stage for stage, letter in _LETTERS.items()}
_SHAPES: Final = frozenset("tbf")
_RETIRED_AT: Final = 4  # Where that time stands in a stored row.


class VersionRow(NamedTuple):
    """A version without its value; times are whole milliseconds since 1970-01-01 UTC."""

    id: str
    stage: Stage
    shape: str
    created_at: int
    promoted_at: int | None
    retired_at: int | None
    token_digest: str
    value_digest: str

    def as_version(self, name: SecretName) -> SecretVersion:
        """Return what callers see."""
        return SecretVersion(
            name,
            self.id,
            self.stage,
            _EPOCH + self.created_at * _MILLISECOND,
            None if self.promoted_at is None else _EPOCH + self.promoted_at * _MILLISECOND,
            None if self.retired_at is None else _EPOCH + self.retired_at * _MILLISECOND,
        )

    def as_list(self) -> list[Any]:
        """Return the row as it is stored."""
        return [self.id, _LETTERS[self.stage] + self.shape, *self[3:]]


def parse_row(found: Any) -> VersionRow:
    """Return the row that :meth:`VersionRow.as_list` made ``found`` of.

    Raises:
        ValueError: It is none.
    """
    try:
        version, (letter, shape), created_at, promoted_at, retired_at, token, digest = found
        row = VersionRow(version, _STAGES[letter], shape, created_at, promoted_at, retired_at, token, digest)
        row.as_version(SecretName("a"))
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ValueError("no version") from None
    if shape not in _SHAPES or not all(isinstance(text, str) for text in (version, token, digest)):
        raise ValueError("no version")
    return row


def as_milliseconds(at: datetime) -> int:
    """Return an instant as rows hold it."""
    return (at - _EPOCH) // _MILLISECOND


def compact(found: Any) -> str:
    """Return JSON without a character too many."""
    return json.dumps(found, separators=(",", ":"))


def forget_retired(rows: dict[str, list[Any]], surplus: int) -> int:
    """Drop stored rows of retired versions, those that were retired first, until ``surplus`` bytes are saved.

    The last row of a secret stays, because without it the secret is gone.

    Args:
        rows: The stored rows of each secret; changed in place.
        surplus: How many bytes to save.

    Returns:
        How many bytes are still too many; zero or less when it was enough.
    """
    retired = [(found[_RETIRED_AT], key, found) for key, all_of_one in rows.items() for found in all_of_one]
    for retired_at, key, found in sorted(retired, key=lambda one: one[0] or 0):
        if surplus > 0 and retired_at is not None and len(rows[key]) > 1:
            rows[key].remove(found)
            surplus -= len(compact(found)) + 1
    return surplus

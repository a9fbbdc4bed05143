"""What a push is: a repository's name, and which refs moved from where to where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""Git's name of an object, SHA-1 or SHA-256."""
_REF_CHARACTERS_MAX = 1_000
UPDATES_MAX = 100
"""So many updates of one push are kept for the log; the scan does not need them."""


class RefUpdate(NamedTuple):
    """One ref that moved.

    Attributes:
        ref: Its whole name, such as ``refs/heads/main``.
        old: Where it was, hexadecimal; zeros when it is new.
        new: Where it is; zeros when it was deleted.
    """

    ref: str
    old: str
    new: str

    @property
    def is_deletion(self) -> bool:
        """Whether it brings nothing."""
        return not self.new.strip("0")

    @property
    def is_creation(self) -> bool:
        """Whether the ref was not there before."""
        return not self.old.strip("0")


class Push(NamedTuple):
    """One push that somebody told of.

    Attributes:
        repository: Its name among the watched ones.
        origin: Who told: ``hook``, ``github``, ``gitlab`` or ``gitea``.
        updates: The first ``UPDATES_MAX`` refs that moved; may be empty.
    """

    repository: str
    origin: str
    updates: tuple[RefUpdate, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"repository": self.repository, "origin": self.origin, "updates": [list(each) for each in self.updates]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Push:
        """Return the push that :meth:`plain` wrote.

        Raises:
            ValueError: It is none.
        """
        try:
            updates = tuple(update for each in plain["updates"] if (update := update_of(*each)))
            return cls(str(plain["repository"]), str(plain["origin"]), updates[:UPDATES_MAX])
        except (KeyError, TypeError) as error:
            raise ValueError("no push") from error


def update_of(ref: object, old: object, new: object) -> RefUpdate | None:
    """Return the update, or ``None`` when these are not a ref's name and two ids.

    SECURITY: ids are hexadecimal here and nothing else, so that none can be taken for an option of Git.
    """
    if not (isinstance(ref, str) and isinstance(old, str) and isinstance(new, str)):
        return None
    is_sound = 0 < len(ref) <= _REF_CHARACTERS_MAX and _ID.fullmatch(old) and _ID.fullmatch(new)
    return RefUpdate(ref, old, new) if is_sound else None


def read_updates(lines: Iterable[bytes]) -> list[RefUpdate]:
    """Return what Git tells a hook on standard input, a line ``old new ref`` for each ref (githooks(5)).

    Raises:
        ValueError: A line is none of these.
    """
    updates = []
    for line in lines:
        old, _blank, rest = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
        new, _blank, ref = rest.partition(" ")
        update = update_of(ref, old, new)
        if update is None:
            raise ValueError("no line of a hook")
        updates.append(update)
    return updates

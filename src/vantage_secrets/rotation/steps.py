"""The steps of a rotation, as one table that code, tests and documentation share.

``create -> install -> verify -> promote -> converge -> revoke -> verify-refused -> retire``
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vantage_secrets.secret import SecretVersion, Stage


class Step(StrEnum):
    """One step; what its docstring says is true afterwards, however often it was repeated."""

    CREATE = "create"
    """A pending version is durable in the store, and no reader sees it."""
    INSTALL = "install"
    """The target accepts pending and current."""
    VERIFY = "verify"
    """A fresh login with pending worked."""
    PROMOTE = "promote"
    """Pending is current and current is previous, in one compare-and-set."""
    CONVERGE = "converge"
    """The overlap is over: the grace has passed since the promotion."""
    REVOKE = "revoke"
    """The target refuses previous."""
    VERIFY_REFUSED = "verify-refused"
    """A fresh login with previous failed because it was refused."""
    RETIRE = "retire"
    """The store cannot return previous any more."""


SEQUENCE = tuple(Step)
"""All steps in their order."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a secret stands, read off its versions alone: a rotation has no memory of its own.

    Attributes:
        pending: The version that is being brought in, if any.
        current: What readers get, if anything.
        previous: What still opens the door beside it, if anything.
    """

    pending: SecretVersion | None
    current: SecretVersion | None
    previous: SecretVersion | None

    @classmethod
    def of(cls, versions: Iterable[SecretVersion]) -> Situation:
        """Return the situation that a secret's versions describe."""
        by_stage = {version.stage: version for version in versions}
        return cls(by_stage.get(Stage.PENDING), by_stage.get(Stage.CURRENT), by_stage.get(Stage.PREVIOUS))

    @property
    def is_at_rest(self) -> bool:
        """Whether no rotation is under way: nothing pending, no overlap."""
        return self.pending is None and self.previous is None

    @property
    def next_steps(self) -> tuple[Step, ...]:
        """The steps that lead from here to rest, in order; all of them when a new rotation begins from rest.

        An overlap is ended before a pending version goes on: at most two credentials open the door.
        """
        if self.previous is not None:
            ending = SEQUENCE[SEQUENCE.index(Step.CONVERGE) :]
            return ending + SEQUENCE[1:] if self.pending is not None else ending
        return SEQUENCE[1:] if self.pending is not None else SEQUENCE

    def overlap_ends_at(self, grace: timedelta) -> datetime | None:
        """Return when the overlap ends by the manifest's grace; ``None`` when there is no overlap."""
        if self.previous is None or self.current is None or self.current.promoted_at is None:
            return None
        return self.current.promoted_at + grace


@dataclass(frozen=True, slots=True)
class Age:
    """How old a secret is, and when it must be replaced.

    Attributes:
        oldest_at: When the oldest value that still opens the door was written: what the maximum age is about.
        due_at: When a rotation must begin at the latest, so that the old value is dead before its maximum age.
    """

    oldest_at: datetime
    due_at: datetime

    @classmethod
    def of(cls, situation: Situation, *, max_age: timedelta, grace: timedelta) -> Age | None:
        """Return the age of a secret that has a current version, else ``None``.

        Due = written + maximum age - grace - margin, where the margin is a day or, for secrets that live less
        than ten days, a tenth of the maximum age.
        """
        if situation.current is None:
            return None
        oldest = situation.previous or situation.current
        margin = min(timedelta(days=1), max_age / 10)
        return cls(oldest.created_at, situation.current.created_at + max_age - grace - margin)

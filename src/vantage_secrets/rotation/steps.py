"""The steps of a rotation, as one table that code, tests and documentation share.

``create -> install -> verify -> promote -> converge -> revoke -> verify-refused -> retire``
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from vantage_secrets.secret import SecretVersion, Stage


class Step(StrEnum):
    """One step; :data:`TABLE` says what is true after it."""

    CREATE = "create"
    INSTALL = "install"
    VERIFY = "verify"
    PROMOTE = "promote"
    CONVERGE = "converge"
    REVOKE = "revoke"
    VERIFY_REFUSED = "verify-refused"
    RETIRE = "retire"


class Phase(StrEnum):
    """Steps between which nothing can be seen in the store: a run that was killed begins its phase anew."""

    BEGIN = "begin"
    """From rest."""
    BRING_IN = "bring in"
    """A version is pending."""
    END = "end"
    """A previous version still opens the door."""


class StepRule(NamedTuple):
    """One row of the table.

    Attributes:
        step: Which step.
        phase: Where it belongs.
        place: What it changes or asks: the store, the target or the consumers.
        promise: What is true afterwards, however often it was repeated.
        if_killed: What a kill before or after it means for the next run.
    """

    step: Step
    phase: Phase
    place: str
    promise: str
    if_killed: str


TABLE = (
    StepRule(
        Step.CREATE,
        Phase.BEGIN,
        "store",
        "A pending version is durable in the store, and no reader sees it.",
        "Before: nothing happened. After: the next run goes on with that value.",
    ),
    StepRule(
        Step.INSTALL,
        Phase.BRING_IN,
        "target",
        "The target accepts pending and current.",
        "Installed again, to the same effect.",
    ),
    StepRule(
        Step.VERIFY,
        Phase.BRING_IN,
        "target",
        "A fresh login with pending worked, on every node of the target.",
        "Installed and tried again.",
    ),
    StepRule(
        Step.PROMOTE,
        Phase.BRING_IN,
        "store",
        "Pending is current and current is previous, in one compare-and-set.",
        "Before: installed and tried again. After: the overlap goes on; promoted twice is promoted once.",
    ),
    StepRule(
        Step.CONVERGE,
        Phase.END,
        "consumers",
        "Every known consumer has taken the new version and the old one was quiet, or the grace has passed.",
        "Looked at again.",
    ),
    StepRule(
        Step.REVOKE,
        Phase.END,
        "target",
        "The target refuses previous.",
        "Looked at and revoked again, to the same effect.",
    ),
    StepRule(
        Step.VERIFY_REFUSED,
        Phase.END,
        "target",
        "A fresh login with previous failed because it was refused, on every node.",
        "Revoked and tried again.",
    ),
    StepRule(
        Step.RETIRE,
        Phase.END,
        "store",
        "The store cannot return previous any more.",
        "Before: revoked and tried again. After: the rotation is at rest.",
    ),
)
"""All steps in their order."""

SEQUENCE = tuple(rule.step for rule in TABLE)


def steps_of(phase: Phase) -> tuple[Step, ...]:
    """Return the steps of a phase, in order."""
    return tuple(rule.step for rule in TABLE if rule.phase is phase)


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
        return self.phase is Phase.BEGIN

    @property
    def phase(self) -> Phase:
        """What comes next. An overlap is ended before a pending version goes on: at most two open the door."""
        if self.previous is not None:
            return Phase.END
        return Phase.BEGIN if self.pending is None else Phase.BRING_IN

    @property
    def next_steps(self) -> tuple[Step, ...]:
        """The steps that lead from here to rest, in order; all of them when a new rotation begins from rest."""
        bring_in = steps_of(Phase.BRING_IN) + steps_of(Phase.END)
        if self.previous is not None:
            return steps_of(Phase.END) + (bring_in if self.pending is not None else ())
        return SEQUENCE if self.pending is None else bring_in

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
        """Return the age of a secret that has a current version, else ``None``."""
        if situation.current is None:
            return None
        oldest = situation.previous or situation.current
        return cls(oldest.created_at, due_after(situation.current.created_at, max_age=max_age, grace=grace))


def due_after(written_at: datetime, *, max_age: timedelta, grace: timedelta) -> datetime:
    """Return when the value that was written then is due.

    Due = written + maximum age - grace - margin, where the margin is a day or, for secrets that live less than ten
    days, a tenth of the maximum age.
    """
    return written_at + max_age - grace - min(timedelta(days=1), max_age / 10)

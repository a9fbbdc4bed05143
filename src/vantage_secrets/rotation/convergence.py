"""When the overlap is over: on evidence, at the latest when the grace has passed. Rules only, no I/O.

The old credential goes when every known consumer has taken the new version and the old one has been quiet. An
instance that vanished without a word is *unknown*: it holds the old one until somebody says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple

from vantage_secrets.manifest import SecretSpec
from vantage_secrets.receipts import Holder
from vantage_secrets.secret import SecretVersion
from vantage_secrets.targets.contract import LastUse

LOOK_EVERY = timedelta(seconds=30)
"""How often the evidence is looked at while an overlap is open; consumers are heard of as often."""

LOOK_EVERY_MIN = timedelta(seconds=1)

HOLD_LOOK = timedelta(hours=1)
"""How often an overlap that is held past its end is looked at."""


class OverlapRules(NamedTuple):
    """How long the old credential of one secret goes on working.

    Attributes:
        grace: How long at the most; 0 is an emergency, in which no evidence counts and nothing is held.
        quiet: How long it must not have been used, and nobody must have moved, before it goes.
        at_grace_end: What happens when the grace has passed without enough evidence.
        consumers: Services that are known to read the secret.
    """

    grace: timedelta
    quiet: timedelta = timedelta(hours=1)
    at_grace_end: Literal["force", "hold"] = "force"
    consumers: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: SecretSpec, *, grace: timedelta | None = None) -> OverlapRules:
        """Return the manifest's rules, with another grace where one is given."""
        return cls(spec.grace if grace is None else grace, spec.quiet, spec.at_grace_end, spec.consumers)


class Evidence(NamedTuple):
    """What is known about the use of the old credential.

    Attributes:
        holders: Who holds which version now.
        services: The services that ever left a receipt for this secret.
        last_use: When the old one last opened the door, where the target can tell.
    """

    holders: tuple[Holder, ...]
    services: Collection[str]
    last_use: LastUse


class Ending(StrEnum):
    """How an overlap stands."""

    OPEN = "open"
    """Both go on working."""
    CONVERGED = "converged"
    """Every known consumer has moved, and the old one has been quiet."""
    EXPIRED = "expired"
    """The grace has passed, and the rules say that the old one goes all the same."""
    HELD = "held"
    """The grace has passed, and the rules say that the old one stays until everybody has moved."""


class Verdict(NamedTuple):
    """Whether an overlap is over, and why.

    Attributes:
        ending: How it stands.
        reason: The same for a person, a few words.
        ends_at: When the grace ends, aware UTC.
        look_again_at: When the evidence may be different, aware UTC; in the past once the overlap is over.
    """

    ending: Ending
    reason: str
    ends_at: datetime
    look_again_at: datetime

    @property
    def is_over(self) -> bool:
        """Whether the old credential goes now."""
        return self.ending in (Ending.CONVERGED, Ending.EXPIRED)


def judge(
    rules: OverlapRules,
    evidence: Evidence,
    *,
    current: SecretVersion,
    previous: SecretVersion,
    ends_at: datetime,
    now: datetime,
) -> Verdict:
    """Return whether the overlap after the promotion of ``current`` is over at ``now``.

    Args:
        rules: Those of the secret.
        evidence: What is known.
        current: The version that everybody should have moved to.
        previous: The one that goes; whoever holds an older one is not touched by that.
        ends_at: When the grace ends; the target may have its own, earlier end.
        now: The present, aware UTC.
    """
    waits_for = _waits_for(rules, evidence, previous)
    quiet_at = _quiet_since(evidence, current) + rules.quiet
    if not waits_for and now >= quiet_at:
        return Verdict(Ending.CONVERGED, "every consumer has moved, and the old one is quiet", ends_at, now)
    reason = waits_for or f"every consumer has moved; quiet from {quiet_at:%H:%M:%S} UTC on"
    if now < ends_at:
        look = now + max(min(rules.quiet, LOOK_EVERY), LOOK_EVERY_MIN) if waits_for else quiet_at
        return Verdict(Ending.OPEN, reason, ends_at, min(look, ends_at))
    if rules.at_grace_end == "hold" and rules.grace:
        return Verdict(Ending.HELD, reason, ends_at, now + HOLD_LOOK if waits_for else quiet_at)
    return Verdict(Ending.EXPIRED, f"the grace has passed; {reason}" if rules.grace else "no grace", ends_at, now)


def _waits_for(rules: OverlapRules, evidence: Evidence, previous: SecretVersion) -> str:
    """Return who has not moved as far as anybody knows, in words; empty when all have."""
    behind = [holder for holder in evidence.holders if holder.version_id == previous.id]
    silent = sorted(set(rules.consumers) - set(evidence.services))
    words = []
    if holding := _services(holder for holder in behind if holder.is_known):
        words.append(f"{holding} still on the old one")
    if vanished := _services(holder for holder in behind if not holder.is_known):
        words.append(f"{vanished} not heard of any more")
    if silent:
        words.append(f"no receipt of {', '.join(silent)}")
    if not words and not evidence.services:
        words.append("nobody leaves receipts")
    return "; ".join(words)


def _services(holders: Iterable[Holder]) -> str:
    counts: dict[str, int] = {}
    for holder in holders:
        counts[holder.service] = counts.get(holder.service, 0) + 1
    return ", ".join(f"{service} ({count})" if count > 1 else service for service, count in sorted(counts.items()))


def _quiet_since(evidence: Evidence, current: SecretVersion) -> datetime:
    """Return the last moment at which the old credential may have been in use."""
    moves = [holder.since for holder in evidence.holders if holder.version_id == current.id]
    uses = [evidence.last_use.at] if evidence.last_use.at is not None else []
    return max([current.promoted_at or current.created_at, *moves, *uses])

"""How each secret stands: its age, when it is due, and the oldest value that still opens the door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.steps import Age, Situation
from vantage_secrets.stores.contract import Store


class State(StrEnum):
    """One word for a secret, the most urgent first."""

    MISSING = "missing"
    """The manifest requires it and the store does not have it."""
    EXPIRED = "expired"
    """A value older than the maximum age still opens the door."""
    DUE = "due"
    """A rotation must begin now, so that the old value is dead before its maximum age."""
    ROTATING = "rotating"
    """A new value was created and is not current yet."""
    OVERLAP = "overlap"
    """Old and new both open the door."""
    OK = "ok"
    """Nothing to do."""
    UNUSED = "unused"
    """The manifest does not require it, and the store does not have it."""


ACTIONABLE = frozenset({State.MISSING, State.EXPIRED, State.DUE})
"""The states in which a person or a scheduler must do something now."""


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """How one secret stands.

    Attributes:
        spec: What the manifest says of it.
        state: One word.
        situation: Its versions.
        oldest_at: When the oldest value that still opens the door was written; ``None`` when there is none.
        due_at: When its next rotation must begin; ``None`` when there is no value.
        overlap_ends_at: When the overlap ends by the manifest's grace; ``None`` outside of one.
    """

    spec: SecretSpec
    state: State
    situation: Situation
    oldest_at: datetime | None
    due_at: datetime | None
    overlap_ends_at: datetime | None


def status_of(
    specs: Iterable[SecretSpec], store: Store, *, required: frozenset[str], now: datetime
) -> Iterator[SecretStatus]:
    """Yield how each secret stands at ``now``, in the given order; no value is read.

    Args:
        specs: The secrets.
        store: Where they are.
        required: Keys of those that the platform needs as its features stand.
        now: The present, aware UTC.

    Raises:
        StoreError: The store refused or did not answer; absence is a state, not an error.
    """
    chosen = list(specs)
    versions = {found[0].name: found for found in store.describe_many(spec.name for spec in chosen)}
    for spec in chosen:
        situation = Situation.of(versions.get(spec.name, ()))
        age = Age.of(situation, max_age=spec.max_age, grace=spec.grace)
        yield SecretStatus(
            spec=spec,
            state=_state(spec, situation, age, spec.key in required, now),
            situation=situation,
            oldest_at=age.oldest_at if age else None,
            due_at=age.due_at if age else None,
            overlap_ends_at=situation.overlap_ends_at(spec.grace),
        )


def _state(spec: SecretSpec, situation: Situation, age: Age | None, is_required: bool, now: datetime) -> State:
    if age is None:
        if situation.pending is not None:
            return State.ROTATING
        return State.MISSING if is_required else State.UNUSED
    if now >= age.oldest_at + spec.max_age:
        return State.EXPIRED
    if situation.pending is not None:
        return State.ROTATING
    if situation.previous is not None:
        return State.OVERLAP
    return State.DUE if now >= age.due_at else State.OK

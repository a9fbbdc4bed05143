"""Secrets whose target this installation cannot reach: a person brings the value, and ends the old one there."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from vantage_secrets.errors import PendingVersionExistsError, SecretNotFoundError
from vantage_secrets.rotation.rotator import RotationReport, StepListener
from vantage_secrets.rotation.steps import Situation, Step
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store


def introduce_without_target(store: Store, name: SecretName, value: SecretValue) -> SecretVersion:
    """Write ``value`` and make it current; an equal current value stays, and no version is made.

    A pending version with the same value, left by a run that was killed, is promoted.

    Raises:
        PendingVersionExistsError: Another value is pending.
        VersionConflictError: Another writer was first.
        StoreError: The store failed.
    """
    try:
        situation = Situation.of(store.describe(name))
    except SecretNotFoundError:
        situation = Situation(None, None, None)
    current, pending = situation.current, situation.pending
    if pending is None and current is not None and store.read(name, version=current.id).value == value:
        return current
    if pending is None:
        pending = store.stage(name, value, token=f"set-{secrets.token_hex(16)}")
    elif store.read(name, version=pending.id).value != value:
        raise PendingVersionExistsError(f"Another value of '{name}' is pending.")
    return store.promote(name, pending.id, expect_current=current.id if current else None)


def finish_without_target(
    store: Store, name: SecretName, *, grace: timedelta, now: datetime, on_step: StepListener | None = None
) -> RotationReport:
    """Retire the previous version once the grace has passed; the store cannot return it any more. Safe to repeat.

    SECURITY: whether the old value still opens anything, only its target knows: nothing here can ask it.

    Raises:
        SecretNotFoundError: There is no such secret.
        StoreError: The store failed.
    """
    situation = Situation.of(store.describe(name))
    ends_at = situation.overlap_ends_at(grace)
    if situation.previous is None or ends_at is None:
        return RotationReport(name, (), situation, None)
    if now < ends_at:
        return RotationReport(name, (), situation, ends_at)
    store.retire(name, situation.previous.id)
    if on_step is not None:
        on_step(Step.RETIRE, "the store has forgotten it; that its target refuses it is up to you")
    return RotationReport(name, (Step.RETIRE,), Situation.of(store.describe(name)), None)

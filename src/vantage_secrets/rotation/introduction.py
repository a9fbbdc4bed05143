"""A value that a person brings, for a secret whose target this installation cannot reach."""

from __future__ import annotations

import secrets

from vantage_secrets.errors import PendingVersionExistsError, SecretNotFoundError
from vantage_secrets.rotation.steps import Situation
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

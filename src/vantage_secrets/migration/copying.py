"""Copying secrets from one store to another, read back and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from vantage_secrets.errors import SecretNotFoundError, StoreIntegrityError
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretName, SecretReading, SecretVersion, Stage
from vantage_secrets.stores.contract import Store

_LIVING = (Stage.PREVIOUS, Stage.CURRENT, Stage.PENDING)


class CopyOutcome(StrEnum):
    """What became of one secret."""

    COPIED = "copied"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What became of one secret.

    Attributes:
        name: The secret.
        outcome: Whether anything was written.
        stages: The stages that both stores now hold alike.
    """

    name: SecretName
    outcome: CopyOutcome
    stages: tuple[Stage, ...]


def copy_secrets(source: Store, destination: Store, names: Iterable[SecretName]) -> Iterator[CopyResult]:
    """Copy previous, current and pending of each secret, read each back, and compare.

    A copy is as old as its original. Interrupted anywhere and run again it finishes: what is there already and equal
    is not written again. Retired versions have no value to copy; the source is never changed.

    Raises:
        SecretNotFoundError: The source does not have one of the names.
        PendingVersionExistsError: The destination is in the middle of a rotation of its own.
        StoreIntegrityError: What came back is not what was written.
        StoreError: Either store failed; run again.
    """
    for name in names:
        readings = _living(source, name)
        if not readings:
            raise SecretNotFoundError(f"'{name}' has no version that could be copied.")
        changed = not _holds(_living(destination, name), readings)
        if changed:
            for stage in _LIVING:
                if stage in readings:
                    _write(destination, name, readings[stage])
            if not _holds(_living(destination, name), readings):
                raise StoreIntegrityError(
                    f"'{name}' was written, but what came back is not what was written.",
                    hint="Run the copy again; the source was not changed.",
                )
        outcome = CopyOutcome.COPIED if changed else CopyOutcome.UNCHANGED
        yield CopyResult(name, outcome, tuple(stage for stage in _LIVING if stage in readings))


def _living(store: Store, name: SecretName) -> dict[Stage, SecretReading]:
    try:
        versions = store.describe(name)
    except SecretNotFoundError:
        return {}
    return {v.stage: store.read(name, version=v.id) for v in versions if v.stage in _LIVING}


def _write(destination: Store, name: SecretName, reading: SecretReading) -> None:
    """Write one version and bring it to its stage; a previous one is current until the next one is promoted."""
    staged = destination.stage(
        name, reading.value, token=_token(reading.version), created_at=reading.version.created_at
    )
    if reading.version.stage is Stage.PENDING or staged.stage is not Stage.PENDING:
        return  # an interrupted run has brought it further already
    current = Situation.of(destination.describe(name)).current
    destination.promote(name, staged.id, expect_current=current.id if current else None)


def _token(version: SecretVersion) -> str:
    """Return a token that is the same in every run over the same version, so that nothing is written twice."""
    origin = f"{version.name}\0{version.id}\0{version.created_at.isoformat()}"
    return f"copy-{hashlib.sha256(origin.encode()).hexdigest()[:40]}"


def _holds(copy: dict[Stage, SecretReading], source: dict[Stage, SecretReading]) -> bool:
    return all(stage in copy and copy[stage].value == reading.value for stage, reading in source.items())

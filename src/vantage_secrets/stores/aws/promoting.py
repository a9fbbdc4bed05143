"""Making a version current: the one call that decides it, and what stands before and after."""

from __future__ import annotations

from vantage_secrets.errors import VersionConflictError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.aws.encoding import encode
from vantage_secrets.stores.aws.marks import CURRENT, created_label, promoted_label
from vantage_secrets.stores.aws.record import Held, Record
from vantage_secrets.stores.aws.steps import Steps


def promote_next(steps: Steps, record: Record, held: Held) -> SecretVersion:
    """Move ``AWSCURRENT`` to a version of a secret that has, or had, a current one; return it as current.

    Raises:
        VersionConflictError: A rival was first.
    """
    name, now = record.name, steps.clock()
    label = promoted_label(held.id, now)
    lost = record.in_stage(Stage.PREVIOUS)
    steps.attach(record, label, held.id)
    if not steps.attach(record, CURRENT, held.id, take_from=record.holder(CURRENT)):
        return _after_a_lost_race(steps, record, held, label)
    promoted = record.after_promotion(held, label)
    if lost and lost.id != held.id:
        gone = SecretVersion(name, lost.id, Stage.RETIRED, lost.created_at, lost.promoted_at, now)
        steps.remember(record, [gone])
    steps.tidy(record)
    return promoted.as_version(name)


def promote_first(steps: Steps, nursery: Record, held: Held) -> SecretVersion:
    """Bring the first current version from its nursery into the secret's own place; return it as current.

    AWS makes it current because it is the first there. It is written without ``AWSCURRENT``, so that it takes
    that label from no rival that was first.

    Raises:
        VersionConflictError: A rival was first.
    """
    name = nursery.name
    reading = steps.directory.held_reading(nursery, held)
    if reading is None:
        raise other_current(name, "no longer known", None)
    now = steps.clock()
    label = promoted_label(held.id, now)
    encoded = encode(reading.value)
    main = steps.found(nursery)
    created = created_label(held.id, held.created_at, encoded.shape)
    labels = steps.put(main.secret_id, held.id, encoded, [created, label])
    main.held[held.id] = Held(held.id, labels)
    if CURRENT not in labels and not steps.attach(main, CURRENT, held.id):
        return _after_a_lost_race(steps, main, main.held[held.id], label)
    steps.directory.recent.remember(main.secret_id, CURRENT, held.id)
    main.held[held.id] = main.held[held.id].with_labels(add=[CURRENT])
    steps.tidy(main)
    return main.held[held.id].as_version(name)


def _after_a_lost_race(steps: Steps, record: Record, held: Held, label: str) -> SecretVersion:
    """Return the version if a rival, or our own call that was repeated, made it current; else say who won."""
    steps.directory.recent.forget(record.secret_id)
    now = steps.directory.existing(record.name)
    current = now.in_stage(Stage.CURRENT)
    if current is None or current.id != held.id:
        steps.detach(record, held.with_labels(add=[label]), [label])
        before = record.holder(CURRENT)
        raise other_current(record.name, current.id if current else None, before)
    steps.tidy(now)
    return current.as_version(record.name)


def other_current(name: SecretName, found: str | None, expected: str | None) -> VersionConflictError:
    """Return the error that says which version is current."""
    return VersionConflictError(f"The current version of '{name}' is {found or 'none'}, not {expected or 'none'}.")

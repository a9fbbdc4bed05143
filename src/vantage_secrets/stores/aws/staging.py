"""Writing a pending version: where it goes, whether it was sent before, and how it becomes pending."""

from __future__ import annotations

from datetime import datetime

from vantage_secrets.errors import PendingVersionExistsError, StoreBusyError, VersionConflictError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.aws.encoding import Encoded
from vantage_secrets.stores.aws.marks import PENDING, created_label, creation
from vantage_secrets.stores.aws.record import Held, Record
from vantage_secrets.stores.aws.steps import Steps


def home_to_write(steps: Steps, name: SecretName) -> Record:
    """Return where the next version goes, made if need be."""
    directory = steps.directory
    record = directory.home(name)
    if record is None:
        deleted = directory.record(name, directory.secret_id(name))
        if deleted:
            steps.check(deleted, rotates=True)
        if deleted is None or not deleted.is_deleted:
            return steps.make_nursery(name)
        return steps.begin_again(deleted)
    steps.check(record, rotates=True)
    if record.secret_id == directory.secret_id(name) and steps.is_beginning_again(record):
        return steps.forget_what_it_held(record)
    steps.adopt(record)
    return record


def sent_before(steps: Steps, record: Record, id_: str, value: SecretValue, encoded: Encoded) -> SecretVersion | None:
    """Return the version that was staged under this token, or ``None``."""
    is_same = True
    if held := record.living.get(id_):
        reading = steps.directory.held_reading(record, held)
        if reading is None:
            raise StoreBusyError(f"The labels of '{record.name}' move faster than they can be read.")
        is_same = reading.value == value
    elif id_ in record.retired:
        # AWS compares: it refuses another value for a version that it has. One that it purged it makes
        # anew, without a stage; then the labels go again, and nobody knows what the value was.
        label = created_label(id_, record.retired[id_].created_at, encoded.shape)
        try:
            labels = steps.put(record.secret_id, id_, encoded, [label])
        except VersionConflictError:
            is_same = False
        else:
            steps.detach(record, Held(id_, labels), labels)
    else:
        return None
    if not is_same:
        raise _other_value(record, id_)
    return held.as_version(record.name) if held else record.retired[id_]


def stage_new(
    steps: Steps, record: Record, id_: str, encoded: Encoded, created_at: datetime | None = None
) -> SecretVersion:
    """Write a version and make it pending; return it.

    Raises:
        PendingVersionExistsError: Another one became pending meanwhile.
        VersionConflictError: The token was used for another value, by a call that was interrupted.
    """
    name = record.name
    label = created_label(id_, created_at or steps.clock(), encoded.shape)
    try:
        labels = steps.put(record.secret_id, id_, encoded, [label])
    except VersionConflictError:
        raise _other_value(record, id_) from None
    if creation(labels) is None:
        raise VersionConflictError(
            f"This token was used for a version of '{name}' that was retired long ago.", hint="Use a new token."
        )
    held = Held(id_, labels | {PENDING})
    if not steps.attach(record, PENDING, id_, take_from=record.holder(PENDING)):
        now = steps.directory.existing(name)
        pending = now.in_stage(Stage.PENDING)
        if pending is None or pending.id != id_:
            steps.detach(record, Held(id_, labels), labels)
            raise pending_exists(name, pending.id if pending else "another")
        held = pending
    return held.as_version(name)


def pending_exists(name: SecretName, pending: str) -> PendingVersionExistsError:
    """Return the error that says which version is pending already."""
    return PendingVersionExistsError(f"'{name}' has the pending version {pending}.")


def _other_value(record: Record, id_: str) -> VersionConflictError:
    return VersionConflictError(
        f"This token was used for another value of '{record.name}', version {id_}.",
        hint="Use a new token for a new value.",
    )

"""What the verbs that change something do to a :class:`Bundle`: rules only, no I/O.

Each function changes the bundle in memory, or raises and leaves it unfit for writing; what is written is the whole
object in one call, so a reader sees all of a change or nothing of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from vantage_secrets.errors import (
    NameCollisionError,
    PendingVersionExistsError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.kubernetes.bundle import Bundle, key_of, keys_of, spelled
from vantage_secrets.stores.kubernetes.encoding import encode_value, token_digest, value_digest
from vantage_secrets.stores.kubernetes.rows import VersionRow

_ID_BYTES = 6  # Unique among the dozen versions of a secret, never the same again, and short.


def stage(bundle: Bundle, name: SecretName, value: SecretValue, token: str, now: int) -> SecretVersion:
    """Add a pending version, or return the one that was staged under ``token``.

    Raises:
        NameCollisionError: Another name, or something that is not ours, stands under one of its keys.
        PendingVersionExistsError: Another pending version is there.
        VersionConflictError: The token was used for another value.
    """
    rows = bundle.versions(name)
    sent = _sent_before(bundle, name, rows, value, token)
    if sent is not None:
        return sent.as_version(name)
    pending = in_stage(rows, Stage.PENDING)
    if pending is not None:
        raise PendingVersionExistsError(f"'{name}' has the pending version {pending.id}.")
    if not rows:
        _claim(bundle, name)
    shape, raw = encode_value(value)
    key, version = bundle.digest_key(), secrets.token_hex(_ID_BYTES)
    digests = token_digest(key, name, token), value_digest(key, name, version, shape, raw)
    row = VersionRow(version, Stage.PENDING, shape, now, None, None, *digests)
    bundle.put(key_of(name, Stage.PENDING), raw)
    bundle.set_versions(name, (*rows, row))
    return row.as_version(name)


def promote(bundle: Bundle, name: SecretName, version: str, expect_current: str | None, now: int) -> SecretVersion:
    """Make a pending or the previous version current.

    Raises:
        VersionConflictError: Another version is current than the one expected.
        VersionRetiredError: The version was retired.
        SecretNotFoundError: There is no such secret, or no such version.
        NameCollisionError: Something that is not ours stands where the value must go.
    """
    rows = bundle.known(name)
    chosen = version_in(rows, name, version)
    if chosen.stage is Stage.CURRENT:
        return chosen.as_version(name)
    current, previous = in_stage(rows, Stage.CURRENT), in_stage(rows, Stage.PREVIOUS)
    found = None if current is None else current.id
    if found != expect_current:
        raise VersionConflictError(
            f"The current version of '{name}' is {found or 'none'}, not {expect_current or 'none'}."
        )
    if chosen.stage is Stage.RETIRED:
        raise retired_error(name, version)
    if current is None and spelled(name) in bundle.data:
        raise _foreign(bundle, name, spelled(name))
    changes = {chosen.id: chosen._replace(stage=Stage.CURRENT, promoted_at=now)}
    if current is not None:
        changes[current.id] = current._replace(stage=Stage.PREVIOUS)
    if previous is not None and previous is not chosen:
        changes[previous.id] = previous._replace(stage=Stage.RETIRED, retired_at=now)
    _move_values(bundle, name, chosen)
    bundle.set_versions(name, (changes.get(row.id, row) for row in rows))
    return changes[chosen.id].as_version(name)


def retire(bundle: Bundle, name: SecretName, version: str, now: int) -> SecretVersion:
    """Remove a version's value for good.

    Raises:
        VersionConflictError: The version is current.
        SecretNotFoundError: There is no such secret, or no such version.
    """
    rows = bundle.known(name)
    row = version_in(rows, name, version)
    if row.stage is Stage.CURRENT:
        raise VersionConflictError(
            f"Version {version} of '{name}' is current.", hint="Promote another version first, or delete the secret."
        )
    if row.stage is not Stage.RETIRED:
        bundle.data.pop(key_of(name, row.stage), None)
        gone = row._replace(stage=Stage.RETIRED, retired_at=now)
        bundle.set_versions(name, (gone if known is row else known for known in rows))
        row = gone
    return row.as_version(name)


def delete(bundle: Bundle, name: SecretName) -> bool:
    """Remove a secret with all versions; return whether there was anything of ours."""
    if not bundle.versions(name):
        return False
    for key in keys_of(name):
        bundle.data.pop(key, None)
    bundle.set_versions(name, ())
    return True


def in_stage(rows: Iterable[VersionRow], stage: Stage) -> VersionRow | None:
    """Return the version in a stage of which there is at most one, or ``None``."""
    return next((row for row in rows if row.stage is stage), None)


def version_in(rows: Iterable[VersionRow], name: SecretName, version: str) -> VersionRow:
    """Return the version with that id.

    Raises:
        VersionNotFoundError: There is none.
    """
    for row in rows:
        if row.id == version:
            return row
    raise VersionNotFoundError(f"'{name}' has no version {version}.")


def retired_error(name: SecretName, version: str) -> VersionRetiredError:
    """Return the error for a version whose value is gone."""
    return VersionRetiredError(f"Version {version} of '{name}' was retired; its value is gone for good.")


def _move_values(bundle: Bundle, name: SecretName, chosen: VersionRow) -> None:
    current, previous = key_of(name, Stage.CURRENT), key_of(name, Stage.PREVIOUS)
    aside = bundle.data.pop(key_of(name, chosen.stage), None)
    bundle.move(current, previous)
    if aside is not None:
        bundle.data[current] = aside


def _sent_before(
    bundle: Bundle, name: SecretName, rows: tuple[VersionRow, ...], value: SecretValue, token: str
) -> VersionRow | None:
    """Return the version that was staged under ``token``, or ``None``."""
    if not rows:
        return None
    digest = token_digest(bundle.digest_key(), name, token)
    row = next((row for row in rows if row.token_digest == digest), None)
    if row is None:
        return None
    shape, raw = encode_value(value)
    if row.value_digest != value_digest(bundle.digest_key(), name, row.id, shape, raw):
        raise VersionConflictError(
            f"This token was used for another value of '{name}', version {row.id}.",
            hint="Use a new token for a new value.",
        )
    return row


def _claim(bundle: Bundle, name: SecretName) -> None:
    """Refuse a new name one of whose keys is another's: ``a/previous`` beside ``a``, or a key that is not ours."""
    key = spelled(name)
    for mark in (".pending", ".previous"):
        for rival in (key + mark, key.removesuffix(mark)):
            if rival != key and bundle.owns(rival):
                other = rival.replace(".", "/")
                raise NameCollisionError(f"'{name}' and '{other}' would share a key of the {bundle.place}.")
    for wanted in keys_of(name):
        if wanted in bundle.data:
            raise _foreign(bundle, name, wanted)


def _foreign(bundle: Bundle, name: SecretName, key: str) -> NameCollisionError:
    return NameCollisionError(
        f"'{name}' would be written under the key '{key}', which is in the {bundle.place} and not ours.",
        hint="Remove that key once nothing reads it, rename the secret, or use another Secret object.",
    )

"""API keys as a target of rotation: our own verifier, so old and new work together for as long as wanted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from vantage_secrets.database import api_keys_table
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    DatabaseError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.api_key.format import generate_key, key_id_of
from vantage_secrets.targets.api_key.verifier import ApiKeyVerifier, digest_of
from vantage_secrets.targets.contract import LastUse, Overlap, Probe, Target, TargetContext

_TABLE = api_keys_table.c


class ApiKeyTarget(Target):
    """The verifiers of API keys in the control database; digests only, never a key.

    Args:
        context: The secret, the control database and the clock; it needs no settings and no administrator.
    """

    kind = "api-key"
    overlap = Overlap.TWO_CREDENTIALS

    def __init__(self, context: TargetContext) -> None:
        """Open the control database."""
        self._name = context.spec.name
        self._database = context.database()
        self._clock = context.clock

    def probe(self) -> Probe:
        """Count the versions of the key that are accepted now."""
        now = self._clock()
        query = (
            select(func.count())
            .where(_TABLE.lineage == str(self._name), _TABLE.revoked_at.is_(None))
            .where(_TABLE.expires_at.is_(None) | (_TABLE.expires_at > now))
        )
        with self._transaction(writes=False) as connection:
            count = connection.execute(query).scalar_one()
        return Probe(f"the verifier accepts {count} version(s) of this key", self.overlap, count)

    def generate(self, current: SecretReading | None) -> SecretValue:  # noqa: ARG002
        """Return a new key of the format in :mod:`~vantage_secrets.targets.api_key.format`."""
        return SecretValue(generate_key())

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Accept ``pending``; a version that was there before the first rotation is taken in as ``keep``.

        Raises:
            RotationError: That version of the key was revoked before: it does not come back to life.
        """
        with self._transaction() as connection:
            if keep is not None:
                self._enrol(connection, keep)
                self._forget_all_but(connection, pending, keep)
            if self._enrol(connection, pending) is not None:
                raise RotationError(
                    f"Version {pending.version.id} of '{pending.version.name}' was revoked before.",
                    hint=f"Give it up, then begin anew: vantage-secrets rotate {pending.version.name} --abandon",
                )

    def verify(self, pending: SecretReading) -> None:
        """Try the key on a verifier that remembers nothing.

        Raises:
            CredentialRefusedError: The verifier refused it.
        """
        if not self._is_accepted(pending):
            raise CredentialRefusedError(
                f"The verifier refused version {pending.version.id} of '{pending.version.name}'."
            )

    def limit(
        self,
        previous: SecretReading,
        *,
        until: datetime,
        keep: SecretReading | None,  # noqa: ARG002
    ) -> datetime:
        """Cap the key's life at ``until``, never past its own end, and return when it ends."""
        with self._transaction() as connection:
            connection.execute(
                update(api_keys_table)
                .where(*_is(previous), _TABLE.expires_at.is_(None) | (_TABLE.expires_at > until))
                .values(expires_at=until)
            )
            return connection.execute(select(_TABLE.expires_at).where(*_is(previous))).scalar() or until

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:  # noqa: ARG002
        """Refuse the key from now on, on every verifier within a second."""
        with self._transaction() as connection:
            connection.execute(
                update(api_keys_table)
                .where(*_is(previous), _TABLE.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )

    def verify_refused(self, previous: SecretReading) -> None:
        """Try the key on a verifier that remembers nothing, and see it refused.

        Raises:
            CredentialAcceptedError: It still opens the door.
        """
        if self._is_accepted(previous):
            raise CredentialAcceptedError(
                f"The verifier still accepts version {previous.version.id} of '{previous.version.name}'."
            )

    def last_used(self, reading: SecretReading) -> LastUse:
        """Return the last time that version was accepted; verifiers report within half a second or so."""
        with self._transaction(writes=False) as connection:
            used_at: datetime | None = connection.execute(select(_TABLE.last_used_at).where(*_is(reading))).scalar()
        return LastUse(is_known=True, at=used_at)

    def close(self) -> None:
        """Close nothing: the control database is the caller's."""

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[Connection]:
        try:
            with self._database.transaction(writes=writes) as connection:
                yield connection
        except DatabaseError as exc:
            raise TargetUnavailableError(f"The verifier of API keys cannot be reached: {exc}") from exc

    def _forget_all_but(self, connection: Connection, *kept: SecretReading) -> None:
        """Refuse what was installed by a rotation that was given up."""
        connection.execute(
            update(api_keys_table)
            .where(_TABLE.lineage == str(self._name), _TABLE.revoked_at.is_(None))
            .where(_TABLE.version_id.not_in([reading.version.id for reading in kept]))
            .values(revoked_at=self._clock())
        )

    def _enrol(self, connection: Connection, reading: SecretReading) -> datetime | None:
        """Return when the version was revoked, or ``None`` when it is accepted."""
        row = connection.execute(select(_TABLE.revoked_at).where(*_is(reading))).first()
        if row is None:
            connection.execute(api_keys_table.insert().values(self._row(reading)))
            return None
        revoked_at: datetime | None = row.revoked_at
        return revoked_at

    def _is_accepted(self, reading: SecretReading) -> bool:
        verifier = ApiKeyVerifier(self._database, clock=self._clock)
        try:
            found = verifier.verify(reading.version.name, reading.value.reveal_text())
        except DatabaseError as exc:
            raise TargetUnavailableError(f"The verifier of API keys cannot be reached: {exc}") from exc
        return found is not None and found.version_id == reading.version.id

    def _row(self, reading: SecretReading) -> dict[str, Any]:
        key = reading.value.reveal_text()
        salt = secrets.token_bytes(16)
        return {
            "lineage": str(reading.version.name),
            "version_id": reading.version.id,
            "key_id": key_id_of(key) or f"imported-{reading.version.id}"[:32],
            "salt": salt,
            "digest": digest_of(key.encode("utf-8", "surrogatepass"), salt),
            "created_at": self._clock(),
        }


def _is(reading: SecretReading) -> tuple[Any, Any]:
    return _TABLE.lineage == str(reading.version.name), _TABLE.version_id == reading.version.id

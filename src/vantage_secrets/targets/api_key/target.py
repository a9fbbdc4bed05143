"""API keys as a target of rotation: our own verifier, so old and new work together for as long as wanted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.database import Database, api_keys_table
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    DatabaseError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue
from vantage_secrets.targets.api_key.format import generate_key, key_id_of
from vantage_secrets.targets.api_key.verifier import ApiKeyVerifier, digest_of
from vantage_secrets.targets.contract import Overlap, Probe, Target

_TABLE = api_keys_table.c


class ApiKeyTarget(Target):
    """The verifiers of API keys in the control database; digests only, never a key.

    Args:
        database_url: The control database.
        clock: The present.
    """

    kind = "api-key"
    overlap = Overlap.TWO_CREDENTIALS

    def __init__(self, *, database_url: str, clock: Clock = utc_now) -> None:
        """Open the control database."""
        self._database = Database(database_url)
        self._clock = clock

    def probe(self, name: SecretName) -> Probe:
        """Count the versions of the key that are accepted now."""
        now = self._clock()
        query = (
            select(func.count())
            .where(_TABLE.lineage == str(name), _TABLE.revoked_at.is_(None))
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

    def limit(self, previous: SecretReading, *, until: datetime) -> datetime:
        """Cap the key's life at ``until``, never past its own end, and return when it ends."""
        with self._transaction() as connection:
            connection.execute(
                update(api_keys_table)
                .where(*_is(previous), _TABLE.expires_at.is_(None) | (_TABLE.expires_at > until))
                .values(expires_at=until)
            )
            return connection.execute(select(_TABLE.expires_at).where(*_is(previous))).scalar() or until

    def revoke(self, previous: SecretReading) -> None:
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

    def last_used(self, name: SecretName, version_id: str) -> datetime | None:
        """Return the last time that version was accepted; verifiers report within half a second or so."""
        query = select(_TABLE.last_used_at).where(_TABLE.lineage == str(name), _TABLE.version_id == version_id)
        with self._transaction(writes=False) as connection:
            used_at: datetime | None = connection.execute(query).scalar()
        return used_at

    def close(self) -> None:
        """Close the control database."""
        self._database.close()

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[Connection]:
        try:
            with self._database.transaction(writes=writes) as connection:
                yield connection
        except DatabaseError as exc:
            raise TargetUnavailableError(f"The verifier of API keys cannot be reached: {exc}") from exc

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

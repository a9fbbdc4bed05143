"""Whether an API key opens the door: what a collector or a query API asks for each request."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.database import Database, api_keys_table
from vantage_secrets.secret import SecretName

SNAPSHOT_SECONDS = 0.5
"""Longest age of what a verifier believes: half of the second within which a revocation must hold everywhere."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A key that was accepted.

    Attributes:
        lineage: The secret whose versions the key is one of.
        version_id: Which version.
        key_id: The key's public part.
    """

    lineage: SecretName
    version_id: str
    key_id: str


@dataclass(frozen=True, slots=True)
class _Verifier:
    version_id: str
    key_id: str
    salt: bytes
    digest: bytes
    expires_at: datetime | None

    def accepts(self, candidate: bytes) -> bool:
        return hmac.compare_digest(digest_of(candidate, self.salt), self.digest)


def digest_of(key: bytes, salt: bytes) -> bytes:
    """Return the 32 bytes that are kept of a key: HMAC-SHA-256 under a salt of its own.

    SECURITY: a fast digest is right for keys of 256 random bits. A short key that was imported from a ``.env``
    file could be guessed from this digest by whoever steals the control database; rotating it once ends that.
    """
    return hmac.digest(salt, key, "sha256")


class ApiKeyVerifier:
    """Accepts every valid version of a key, refuses all else. Safe to use from several threads.

    Checks are answered from a snapshot in memory that is at most half a second old, so a revocation holds
    within a second; a key that the snapshot does not know is looked up before it is refused, so a key that was
    installed a moment ago is accepted at once. Expiry is checked at each verification.

    Args:
        database: The control database.
        clock: The present, for expiry.
        on_version: Called with a key's lineage and its newest version, once this verifier accepts it: for a receipt,
            ``ReceiptBook.hand_out``. It must not raise.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        on_version: Callable[[SecretName, str], object] | None = None,
    ) -> None:
        """Begin with nothing in memory."""
        self._database = database
        self._clock = clock
        self._on_version = on_version
        self._lock = threading.Lock()
        self._known: dict[SecretName, tuple[_Verifier, ...]] = {}
        self._read_at: dict[SecretName, float] = {}
        self._uses: dict[tuple[SecretName, str], datetime] = {}

    def verify(self, lineage: SecretName, candidate: str | None) -> Verification | None:
        """Return which version of ``lineage`` the candidate is, or ``None`` when it opens nothing.

        An empty or missing candidate never opens anything. Takes the same time for every wrong candidate of
        one length.

        Raises:
            DatabaseError: The control database cannot be read: nothing is accepted then.
        """
        if not candidate:
            return None
        raw = candidate.encode("utf-8", "surrogatepass")
        fresh = time.monotonic() - self._read_at.get(lineage, float("-inf")) < SNAPSHOT_SECONDS
        found = self._match(self._known[lineage] if fresh else self._reload(lineage), raw)
        if found is None and fresh:
            found = self._match(self._reload(lineage), raw)
        if found is None:
            return None
        self._uses[lineage, found.version_id] = self._clock()
        return Verification(lineage, found.version_id, found.key_id)

    def flush(self) -> None:
        """Write the uses that were seen since the last write; also done every half second while keys are checked."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        table = api_keys_table.c
        with self._database.transaction() as connection:
            for (lineage, version_id), used_at in uses.items():
                connection.execute(
                    update(api_keys_table)
                    .where(table.lineage == str(lineage), table.version_id == version_id)
                    .where((table.last_used_at.is_(None)) | (table.last_used_at < used_at))
                    .values(last_used_at=used_at)
                )

    def _match(self, verifiers: tuple[_Verifier, ...], candidate: bytes) -> _Verifier | None:
        now = self._clock()
        found = None
        for verifier in verifiers:  # SECURITY: no early end, so that time does not tell which version came close.
            alive = verifier.expires_at is None or now < verifier.expires_at
            if verifier.accepts(candidate) and alive:
                found = verifier
        return found

    def _reload(self, lineage: SecretName) -> tuple[_Verifier, ...]:
        started = time.monotonic()
        self.flush()
        table = api_keys_table.c
        query = select(table.version_id, table.key_id, table.salt, table.digest, table.expires_at).where(
            table.lineage == str(lineage), table.revoked_at.is_(None)
        )
        query = query.order_by(table.created_at)
        with self._database.transaction(writes=False) as connection:
            verifiers = tuple(_Verifier(*row) for row in connection.execute(query))
        # Two threads may finish in the other order than they began: the older answer must not win.
        with self._lock:
            if started >= self._read_at.get(lineage, float("-inf")):
                self._known[lineage], self._read_at[lineage] = verifiers, started
        if verifiers and self._on_version is not None:
            self._on_version(lineage, verifiers[-1].version_id)
        return verifiers

"""A store that lives in memory, for tests of applications: it can be switched away, and it counts reads."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    PendingVersionExistsError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreUnavailableError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Store


@dataclass
class _Secret:
    """All versions of one secret, the oldest first, with the values that may still be read."""

    versions: dict[str, SecretVersion] = field(default_factory=dict)
    values: dict[str, SecretValue] = field(default_factory=dict)
    digests: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def in_stage(self, stage: Stage) -> SecretVersion | None:
        return next((version for version in self.versions.values() if version.stage is stage), None)


class MemoryStore(Store):
    """Holds secrets in this process and nowhere else; safe to use from several threads, and in a forked child.

    Attributes:
        away: While true, every verb raises ``StoreUnavailableError``: an outage.
        denied: Names for which every verb raises ``StoreAccessDeniedError``.
        reads: How often ``read`` was called for each name, refused and failed calls included.
        before_read: Called with the name before every read, outside any lock: to make a store slow, or to hold it.

    Args:
        values: Secrets that are there from the start, by canonical name.
        clock: Where the versions' times come from.
    """

    scheme: ClassVar[str] = "memory"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.WATCH}

    def __init__(self, values: Mapping[str, str] | None = None, *, clock: Clock = utc_now) -> None:
        """Begin with ``values`` as current versions."""
        self.url = "memory:"
        self.away = False
        self.denied: set[SecretName] = set()
        self.reads: Counter[SecretName] = Counter()
        self.before_read: Callable[[SecretName], object] | None = None
        self._clock = clock
        self._renew_lock()
        self._secrets: dict[SecretName, _Secret] = {}
        self._digest_key = secrets.token_bytes(32)
        self._serial = 0
        self._closed = False
        for name, value in (values or {}).items():
            self.put(name, value)
        renew = weakref.WeakMethod(self._renew_lock)
        os.register_at_fork(after_in_child=lambda: (found := renew()) and found())

    @property
    def read_count(self) -> int:
        """How often ``read`` was called, for all names together."""
        return self.reads.total()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be away until the block ends."""
        self.away = True
        try:
            yield
        finally:
            self.away = False

    def put(self, name: str | SecretName, value: str | bytes | Mapping[str, str] | SecretValue) -> SecretVersion:
        """Make ``value`` current in one step, as a rotation without its steps would.

        Raises:
            PendingVersionExistsError: A pending version is there.
            StoreError: As :meth:`stage` and :meth:`promote`.
        """
        name = name if isinstance(name, SecretName) else SecretName(name)
        value = value if isinstance(value, SecretValue) else SecretValue(value)
        with self._lock:
            staged = self.stage(name, value, secrets.token_hex(8))
            current = self._secrets[name].in_stage(Stage.CURRENT)
            return self.promote(name, staged.id, expect_current=current.id if current else None)

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read <vantage_secrets.stores.contract.Store.read>`."""
        with self._lock:
            self.reads[name] += 1
        if self.before_read is not None:
            self.before_read(name)
        with self._lock:
            secret = self._secret(name)
            found = secret.in_stage(stage) if version is None else secret.versions.get(version)
            if (found and found.stage is Stage.RETIRED) or (version is None and stage is Stage.RETIRED):
                raise VersionRetiredError(f"That version of '{name}' is retired.")
            if found is None:
                raise VersionNotFoundError(f"'{name}' has no version {version or f'in stage {stage}'}.")
            return SecretReading(secret.values[found.id], found)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first, retired ones among them."""
        with self._lock:
            return tuple(reversed(self._secret(name).versions.values()))

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order."""
        with self._lock:
            self._answer()
            names = sorted(name for name in self._secrets if str(name).startswith(prefix))
        yield from names

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Keep a pending version; see :meth:`Store.stage <vantage_secrets.stores.contract.Store.stage>`."""
        self.refuse_token(token)
        with self._lock:
            self._answer(name)
            secret = self._secrets.get(name, _Secret())
            digest = self._digest(value)
            known_id, known_digest = secret.digests.get(token, ("", b""))
            if known_id and not hmac.compare_digest(known_digest, digest):
                raise VersionConflictError(f"The token was used for another value of '{name}'.")
            if known_id:
                return secret.versions[known_id]
            if secret.in_stage(Stage.PENDING):
                raise PendingVersionExistsError(f"'{name}' has a pending version.")
            self._serial += 1
            version = SecretVersion(name, f"v{self._serial}", Stage.PENDING, created_at or self._clock())
            secret.versions[version.id] = version
            secret.values[version.id] = value
            secret.digests[token] = (version.id, digest)
            self._secrets[name] = secret
            return version

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set; see :meth:`Store.promote <vantage_secrets.stores.contract.Store.promote>`."""
        with self._lock:
            secret = self._secret(name)
            chosen = self._version(secret, name, version)
            current, previous = secret.in_stage(Stage.CURRENT), secret.in_stage(Stage.PREVIOUS)
            if chosen.stage is Stage.CURRENT:
                return chosen
            if chosen.stage is Stage.RETIRED:
                raise VersionRetiredError(f"That version of '{name}' is retired.")
            if (current.id if current else None) != expect_current:
                raise VersionConflictError(f"Another version of '{name}' is current than the one expected.")
            now = self._clock()
            if previous and previous.id != version:
                self._retire(secret, previous, now)
            if current:
                secret.versions[current.id] = current._replace(stage=Stage.PREVIOUS)
            secret.versions[version] = chosen._replace(stage=Stage.CURRENT, promoted_at=now)
            return secret.versions[version]

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Make a version unreadable; see :meth:`Store.retire <vantage_secrets.stores.contract.Store.retire>`."""
        with self._lock:
            secret = self._secret(name)
            chosen = self._version(secret, name, version)
            if chosen.stage is Stage.CURRENT:
                raise VersionConflictError(f"That version of '{name}' is current.")
            if chosen.stage is not Stage.RETIRED:
                self._retire(secret, chosen, self._clock())
            return secret.versions[version]

    def delete(self, name: SecretName) -> bool:
        """Remove the secret with all versions; return whether there was anything."""
        with self._lock:
            self._answer(name)
            return self._secrets.pop(name, None) is not None

    def close(self) -> None:
        """Forget everything; every other verb raises ``StoreUnavailableError`` afterwards."""
        with self._lock:
            self._closed = True
            self._secrets.clear()

    def _renew_lock(self) -> None:
        # In a forked child the lock may be held by a thread that is not there.
        self._lock = threading.RLock()

    def _answer(self, name: SecretName | None = None) -> None:
        if self._closed:
            raise StoreUnavailableError("The store is closed.")
        if self.away:
            raise StoreUnavailableError("The store did not answer.")
        if name in self.denied:
            raise StoreAccessDeniedError(f"The store refuses access to '{name}'.")

    def _secret(self, name: SecretName) -> _Secret:
        self._answer(name)
        if name not in self._secrets:
            raise SecretNotFoundError(f"There is no secret '{name}'.")
        return self._secrets[name]

    @staticmethod
    def _version(secret: _Secret, name: SecretName, version: str) -> SecretVersion:
        if version not in secret.versions:
            raise VersionNotFoundError(f"'{name}' has no version {version}.")
        return secret.versions[version]

    @staticmethod
    def _retire(secret: _Secret, version: SecretVersion, now: datetime) -> None:
        secret.versions[version.id] = version._replace(stage=Stage.RETIRED, retired_at=now)
        secret.values.pop(version.id, None)

    def _digest(self, value: SecretValue) -> bytes:
        # SECURITY: keyed, because it outlives the value that a retired version no longer has.
        revealed = value.reveal()
        if isinstance(revealed, dict):
            revealed = repr(sorted(revealed.items()))
        raw = revealed if isinstance(revealed, bytes) else revealed.encode("utf-8", "surrogatepass")
        return hmac.digest(self._digest_key, type(value.reveal()).__name__.encode() + b"\0" + raw, "sha256")

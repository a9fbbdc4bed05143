"""The store's verbs: each reads the object once, and what changes it writes it once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import StoreBusyError, VersionNotFoundError, VersionRetiredError
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Examination, Store
from vantage_secrets.stores.kubernetes import changing
from vantage_secrets.stores.kubernetes.bundle import Bundle
from vantage_secrets.stores.kubernetes.connection import Connection, pauses
from vantage_secrets.stores.kubernetes.examining import examine
from vantage_secrets.stores.kubernetes.rows import as_milliseconds
from vantage_secrets.stores.kubernetes.watching import Watch

_Result = TypeVar("_Result")


class KubernetesStore(Store):
    """A store in one Secret object of a cluster. Safe from several threads and processes; open one per process.

    A secret ``vantage/api-key`` stands under the key ``vantage.api-key`` of the data, its previous version under
    ``vantage.api-key.previous``, a pending one under ``vantage.api-key.pending``. Ids, times and digests are in an
    annotation. Every change is one write of the whole object, on the condition that nobody wrote it since it was
    read: a reader sees all of it or nothing, and so does who comes after a crash. When another writer was first the
    object is read again, the change judged anew, and written again; a promotion whose expectation no longer holds
    raises ``VersionConflictError``.

    Version ids are 12 random hexadecimal digits. Up to 10 retired versions of a secret are remembered; a token whose
    version fell off is forgotten with it.

    Made by :func:`~vantage_secrets.stores.kubernetes.open_kubernetes`.

    Args:
        connection: To the object.
        login: Where the credentials come from, in words.
        environment: Which environment's secrets it must hold.
        clock: Tells the time that versions bear.
    """

    scheme = "kubernetes"
    capabilities = frozenset(Capability) - {Capability.PACKED_SECRETS}

    def __init__(self, connection: Connection, *, login: str, environment: str, clock: Clock = utc_now) -> None:
        self.url = connection.place.url
        self.environment = environment
        self._login = login
        self._connection = connection
        self._clock = clock
        self._watches: list[Watch] = []

    def __repr__(self) -> str:
        return f"KubernetesStore({self.url!r})"

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`."""
        self.refuse_packed(name)
        bundle = self._bundle()
        rows = bundle.known(name)
        if version is None and stage is Stage.RETIRED:
            raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
        row = changing.in_stage(rows, stage) if version is None else changing.version_in(rows, name, version)
        if row is None:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        if row.stage is Stage.RETIRED:
            raise changing.retired_error(name, row.id)
        return SecretReading(bundle.value(name, row), row.as_version(name))

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield the current value of each of ``names`` that has one, from one reading of the object."""
        bundle = self._bundle()
        for name in names:
            self.refuse_packed(name)
            row = changing.in_stage(bundle.versions(name), Stage.CURRENT)
            if row is not None:
                yield SecretReading(bundle.value(name, row), row.as_version(name))

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions that are remembered, the newest first; see :meth:`Store.describe`."""
        self.refuse_packed(name)
        return tuple(row.as_version(name) for row in reversed(self._bundle().known(name)))

    def describe_many(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        """Yield all versions of each of ``names`` that there is, from one reading of the object."""
        bundle = self._bundle()
        for name in names:
            self.refuse_packed(name)
            if rows := bundle.versions(name):
                yield tuple(row.as_version(name) for row in reversed(rows))

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order; see :meth:`Store.list`."""
        return (name for name in self._bundle().names() if str(name).startswith(prefix))

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; makes the object where it may; see :meth:`Store.stage`.

        Raises:
            NameCollisionError: Another name, or a key that is not ours, stands in the way.
            StoreAccessDeniedError: The object is not there and this login may not create one.
        """
        self.refuse_packed(name)
        self.refuse_token(token)
        at = self._now() if created_at is None else as_milliseconds(created_at)
        return self._change(lambda bundle: changing.stage(bundle, name, value, token, at))

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set which version is current; see :meth:`Store.promote`."""
        self.refuse_packed(name)
        return self._change(lambda bundle: changing.promote(bundle, name, version, expect_current, self._now()))

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Remove a version's value; see :meth:`Store.retire`."""
        self.refuse_packed(name)
        return self._change(lambda bundle: changing.retire(bundle, name, version, self._now()))

    def delete(self, name: SecretName) -> bool:
        """Remove the secret with all versions; the object stays; see :meth:`Store.delete`."""
        self.refuse_packed(name)
        found = []  # After a lost answer the second try finds nothing; there was something nevertheless.

        def remove(bundle: Bundle) -> bool:
            found.append(changing.delete(bundle, name))
            return any(found)

        return self._change(remove)

    def watch(self, on_change: Callable[[SecretName], None]) -> Callable[[], None]:
        """Call ``on_change`` when a secret has another current version; see :meth:`Store.watch`.

        The object is watched, not polled: the API server tells of a change within milliseconds.

        Raises:
            StoreAccessDeniedError: This login may not watch the object.
        """
        watch = Watch(self._connection, lambda document: Bundle(document, self._connection.place, self.environment))
        watch.begin(on_change)
        self._watches = [*(one for one in self._watches if not one.has_ended), watch]
        return watch.end

    def examine(self) -> Iterator[Examination]:
        """Yield how login, permissions, the object and its limits stand; see :meth:`Store.examine`."""
        yield from examine(self._connection, self._login, self.environment)

    def close(self) -> None:
        """End watches and connections; see :meth:`Store.close`."""
        self._connection.close()
        while self._watches:
            self._watches.pop().end()

    def _bundle(self) -> Bundle:
        found = self._connection.get(self._connection.deadline())
        return Bundle(found, self._connection.place, self.environment)

    def _change(self, change: Callable[[Bundle], _Result]) -> _Result:
        """Read, change and write the object until no other writer comes between."""
        until = self._connection.deadline()
        for pause in pauses():
            bundle = Bundle(self._connection.get(until), self._connection.place, self.environment)
            result = change(bundle)
            if not bundle.is_changed or self._connection.put(bundle.body(), until):
                return result
            if time.monotonic() + pause >= until:
                break
            self._connection.wait(pause)
        raise StoreBusyError(f"Others write the {self._connection.place} all the time; nothing was written.")

    def _now(self) -> int:
        return as_milliseconds(self._clock())

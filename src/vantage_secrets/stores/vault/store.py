"""A store in a KV engine, version 2, of HashiCorp Vault or OpenBao."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    PendingVersionExistsError,
    SecretNotFoundError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Examination, Store
from vantage_secrets.stores.vault.connection import Connection
from vantage_secrets.stores.vault.encoding import Encoded, decode, encode
from vantage_secrets.stores.vault.ledger import History, Promotion, Record, digest_of, is_digest_of
from vantage_secrets.stores.vault.reading import Reader, absent, chosen, retired
from vantage_secrets.stores.vault.writing import (
    TRIES,
    Standing,
    Writer,
    busy,
    sibling_of,
)

READERS_COUNT: Final = 16
"""Threads, and connections, of one :meth:`VaultStore.read_many`."""


class VaultStore(Store):
    """Secrets at paths of a KV engine, version 2. Safe from several threads, and beside other processes.

    Made by :func:`~vantage_secrets.stores.vault.open_vault`.

    Args:
        connection: The engine.
        url: Where this store is, without options.
        folder: Where its secrets stand in the engine, with a slash behind it, or empty.
        environment: Whose secrets may be written.
        clock: Tells the time that versions bear.
    """

    scheme = "vault"
    capabilities = frozenset(Capability) - {Capability.WATCH}

    def __init__(
        self, connection: Connection, *, url: str, folder: str, environment: str, clock: Clock = utc_now
    ) -> None:
        self.url = url
        self.environment = environment
        self._connection = connection
        self._folder = folder
        self._writer = Writer(connection, folder, environment)
        self._reader = Reader(self._writer)
        self._clock = clock

    def __repr__(self) -> str:
        return f"VaultStore({self.url!r})"

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`.

        Current is one call, previous two; both need to read nothing but the secret's own path, unless it is packed.
        """
        if version is None and stage is Stage.CURRENT:
            return self._reader.current(name)
        if version is None and stage is Stage.PREVIOUS:
            return self._reader.previous(name)
        return self._reader.by_ledger(name, stage, version)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first, retired ones too; see :meth:`Store.describe`. Two calls."""
        history = self._writer.look(name).shown(name.field)
        if not history.records:
            raise absent(name)
        return tuple(history.version(name, record) for record in reversed(history.records))

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order, lazily; see :meth:`Store.list`.

        One call for each folder, and one for each path of packed secrets, whose ledger knows their names. What
        stands there and is no name of ours is left out.
        """
        return self._reader.names(prefix)

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; see :meth:`Store.stage`. It is one write, of the ledger beside the path."""
        self.refuse_token(token)
        encoded = encode(name, value)
        for _ in range(TRIES):
            standing = self._writer.ready(name)
            shown = standing.shown(name.field)
            sent = shown.sent_with(token)
            if sent is not None:
                if not is_digest_of(sent.digest, encoded):
                    raise VersionConflictError(
                        f"This token was used for another value of '{name}', version {sent.id}.",
                        hint="Use a new token for a new value.",
                    )
                return shown.version(name, sent)
            if shown.pending is not None:
                raise PendingVersionExistsError(f"'{name}' has the pending version {shown.pending}.")
            record = Record(secrets.token_hex(8), token, digest_of(encoded), encoded.shape, created_at or self._clock())
            history = standing.ledger.history(name.field).with_pending(record, encoded)
            if self._writer.save(name, standing, standing.ledger.with_history(name.field, history)):
                return history.version(name, record)
        raise busy(name)

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set which version is current; see :meth:`Store.promote`.

        In this order: the ledger names what is promoted and the number that KV will give it; the path's metadata
        says which version that number is; the path's next version is written, which shows it to every reader;
        what was previous is destroyed; the ledger notes that all is done. Killed anywhere, the next change of this
        secret by anybody goes on from there, and until then current is what the path says.
        """
        for _ in range(TRIES):
            standing = self._writer.ready(name)
            history = standing.shown(name.field)
            record = chosen(name, history, version)
            stage = history.stage_of(record)
            if stage is Stage.CURRENT:
                return history.version(name, record)
            if history.current != expect_current:
                raise VersionConflictError(
                    f"The current version of '{name}' is {history.current or 'none'}, not {expect_current or 'none'}."
                )
            if stage is Stage.RETIRED:
                raise retired(name, version)
            self._decide(name, standing, history, record)
        raise busy(name)

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Destroy a version's value; see :meth:`Store.retire`. The value goes first, then the ledger notes it."""
        for _ in range(TRIES):
            standing = self._writer.ready(name)
            shown = standing.shown(name.field)
            record = chosen(name, shown, version)
            if shown.stage_of(record) is Stage.CURRENT:
                raise VersionConflictError(
                    f"Version {version} of '{name}' is current.",
                    hint="Promote another version first, or delete the secret.",
                )
            noted = standing.noted(name.field)
            after = noted.without(version, self._clock())
            if after == noted or self._writer.note(name, standing, after, drops_value=True):
                return after.version(name, chosen(name, after, version))
        raise busy(name)

    def delete(self, name: SecretName) -> bool:
        """Remove the secret with all versions; see :meth:`Store.delete`. The path goes first, then its ledger.

        A packed secret's key is removed from its path, and all older versions of that are destroyed; the path stays.
        """
        if name.field:
            return self._delete_packed(name)
        standing = self._writer.checked(name)
        if standing.sight.exists:
            self._connection.remove(self._writer.path(name))
        if standing.number:
            self._connection.remove(f"{self._folder}{sibling_of(name)}")
        return standing.sight.exists or bool(standing.number)

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield each current value that there is; see :meth:`Store.read_many`. KV has no bulk read: 16 at a time."""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(READERS_COUNT, thread_name_prefix="vault-read")
        try:
            for reading in pool.map(self._current_or_none, names):
                if reading is not None:
                    yield reading
        finally:
            pool.shutdown(cancel_futures=True)

    def examine(self) -> Iterator[Examination]:
        """Yield how server, login, engine, permissions and settings stand; see :meth:`Store.examine`."""
        from vantage_secrets.stores.vault.examining import examine

        yield from examine(self._connection, self._folder)

    def close(self) -> None:
        """End all connections; see :meth:`Store.close`. A token that was given to us stays valid."""
        self._connection.close()

    def _current_or_none(self, name: SecretName) -> SecretReading | None:
        try:
            return self._reader.current(name)
        except SecretNotFoundError:
            return None

    def _decide(self, name: SecretName, standing: Standing, history: History, record: Record) -> None:
        """Write the promotion into the ledger: from then on it is done, by us or whoever comes next."""
        sight, part = standing.sight, name.field
        if part and sight.newest and not sight.live:
            raise VersionConflictError(
                f"The newest version of '{name.path}' was deleted by somebody else, with all secrets packed there.",
                hint=f"Undelete it first: 'vault kv undelete -versions={sight.newest} …'.",
            )
        value = history.values.get(record.id)
        if value is None:
            value = self._again(name, record)
        if value is None:
            return  # Retired a moment ago: look again.
        kept = None
        current = history.record(history.current)
        if part and current is not None:
            kept = encode(name, decode(name, current.shape, sight.data or {}))
        promotion = Promotion(part, record.id, sight.newest + 1, self._clock(), value, kept)
        self._writer.decide(name, standing, history, promotion)

    def _again(self, name: SecretName, record: Record) -> Encoded | None:
        """Return the value of a previous version that is to be current again."""
        before = self._connection.read_data(self._writer.path(name), record.first)
        return None if before.data is None else encode(name, decode(name, record.shape, before.data))

    def _delete_packed(self, name: SecretName) -> bool:
        path = self._writer.path(name)
        for _ in range(TRIES):
            standing = self._writer.ready(name)
            known, stands = name.field in standing.ledger.histories, name.field in (standing.sight.data or {})
            if not known and not stands:
                return False
            if stands and not self._connection.patch(path, {name.field: None}, cas=standing.sight.newest):
                continue
            self._connection.destroy(path, range(1, standing.sight.newest + stands))
            self._connection.annotate(path, dict.fromkeys(standing.sight.keys_of(name.field)))
            histories = {part: one for part, one in standing.ledger.histories.items() if part != name.field}
            ledger = replace(standing.ledger, histories=histories)
            if not known or self._writer.save(name, standing, ledger, drops_value=True):
                return True
        raise busy(name)

"""What a reader asks: the value of a version, and which names there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from vantage_secrets.errors import (
    InvalidSecretNameError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.vault.connection import Sight
from vantage_secrets.stores.vault.encoding import decode
from vantage_secrets.stores.vault.ledger import History, Record
from vantage_secrets.stores.vault.ledger_text import read_ledger
from vantage_secrets.stores.vault.writing import (
    FIELDS_MARK,
    PENDING_MARK,
    TRIES,
    Standing,
    Writer,
    busy,
    foreign_id,
    sibling_of,
)

_FOLDER: Final = re.compile(r"[a-z0-9/-]*", re.ASCII)


class Reader:
    """Reads values and lists names.

    Args:
        writer: Looks at paths and ledgers.
    """

    def __init__(self, writer: Writer) -> None:
        """Keep it."""
        self._writer = writer
        self._connection = writer.connection

    def current(self, name: SecretName) -> SecretReading:
        """Return the current value: what the newest version of KV holds, or nothing. One call.

        Raises:
            VersionNotFoundError: Somebody else deleted the newest version, or there is only a pending one.
            SecretNotFoundError: There is no such secret.
        """
        sight = self._connection.read_data(self._writer.path(name))
        if sight.holds(name.field):
            return _reading(name, sight, sight.newest, Stage.CURRENT)
        if sight.newest and not sight.live:
            raise VersionNotFoundError(
                f"The newest version of '{name}', number {sight.newest}, was deleted by somebody else.",
                hint=f"Undelete it ('vault kv undelete -versions={sight.newest} …'), or promote another version.",
            )
        raise self._without_current(name)

    def previous(self, name: SecretName) -> SecretReading:
        """Return the previous value. Two calls, and both of the secret's own path, unless it is packed.

        Raises:
            VersionNotFoundError: There is none.
            SecretNotFoundError: There is no such secret.
        """
        path = self._writer.path(name)
        sight = self._connection.read_data(path)
        found = sight.entry(name.field)
        if name.field or found is None:
            return self.by_ledger(name, Stage.PREVIOUS, None) if sight.exists else self._no_previous(name)
        number = found[1].previous
        before = self._connection.read_data(path, number) if number is not None else Sight()
        if number is not None and before.live:
            return _reading(name, before, number, Stage.PREVIOUS)
        return self._no_previous(name)

    def by_ledger(self, name: SecretName, stage: Stage, version: str | None) -> SecretReading:
        """Return the value of any version, by its id or its stage, as the ledger knows it.

        Raises:
            VersionNotFoundError: There is no such version.
            VersionRetiredError: It was retired.
            SecretNotFoundError: There is no such secret.
        """
        for _ in range(TRIES):
            standing = self._writer.look(name)
            history = standing.shown(name.field)
            record = chosen(name, history, version) if version is not None else _in_stage(name, history, stage)
            if history.stage_of(record) is Stage.RETIRED:
                raise retired(name, record.id)
            value = self._value_of(name, standing, history, record)
            if value is not None:
                return SecretReading(value, history.version(name, record))
        raise busy(name)

    def names(self, prefix: str) -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order, lazily; what is no name of ours is left out."""
        path = prefix.partition("#")[0]
        return self._below(path.rpartition("/")[0], prefix) if _FOLDER.fullmatch(path) else iter(())

    def _value_of(self, name: SecretName, standing: Standing, history: History, record: Record) -> SecretValue | None:
        """Return a version's value, or ``None`` when it was promoted or retired a moment ago."""
        kept = history.values.get(record.id)
        if kept is not None:
            return decode(name, kept.shape, kept.at(name.field))
        if not name.field:
            data = self._connection.read_data(self._writer.path(name), record.first).data
        else:
            data = standing.sight.data if record.id == history.current else None
        return None if data is None else decode(name, record.shape, data)

    def _without_current(self, name: SecretName) -> SecretNotFoundError:
        """Return the error for a secret with nothing to read; one that may not see the ledger is told of absence."""
        sibling = f"{self._writer.folder}{sibling_of(name)}"
        try:
            data = self._connection.read_data(sibling).data
        except StoreAccessDeniedError:
            data = None
        if data is not None and read_ledger(sibling, data).history(name.field).records:
            return VersionNotFoundError(f"'{name}' has no current version.")
        return absent(name)

    def _no_previous(self, name: SecretName) -> SecretReading:
        self.current(name)  # Its absence is another error than that of the previous version.
        raise VersionNotFoundError(f"'{name}' has no previous version.")

    def _below(self, folder: str, prefix: str) -> Iterator[SecretName]:
        base = f"{folder}/" if folder else ""
        keys = self._connection.list_keys(f"{self._writer.folder}{folder}".rstrip("/"))
        packed = {key.removesuffix(FIELDS_MARK) for key in keys if key.endswith(FIELDS_MARK)}
        plain = (key.removesuffix(PENDING_MARK) for key in keys if not key.endswith(FIELDS_MARK) and key not in packed)
        found = {f"{base}{key}" for key in plain}
        found |= {f"{base}{path}#{part}" for path in packed for part in self._parts(f"{base}{path}")}
        for text in sorted(found):
            if text.endswith("/") and (text.startswith(prefix) or prefix.startswith(text)):
                yield from self._below(text.rstrip("/"), prefix)
            elif text.startswith(prefix):
                yield from _ours(text)

    def _parts(self, path: str) -> set[str]:
        sibling = f"{self._writer.folder}{path}{FIELDS_MARK}"
        data = self._connection.read_data(sibling).data
        return set() if data is None else {*read_ledger(sibling, data).histories}


def _reading(name: SecretName, sight: Sight, number: int, stage: Stage) -> SecretReading:
    """Return what version ``number`` of KV holds; one that we have no entry for, somebody else wrote."""
    entry = sight.entries.get((name.field, number)) if not name.field else (sight.entry(name.field) or (0, None))[1]
    if entry is None:
        version = SecretVersion(name, foreign_id(name.field, number), stage, sight.created_at, sight.created_at)
        return SecretReading(decode(name, None, sight.data or {}), version)
    version = SecretVersion(name, entry.version_id, stage, entry.created_at, entry.promoted_at)
    return SecretReading(decode(name, entry.shape, sight.data or {}), version)


def chosen(name: SecretName, history: History, version: str) -> Record:
    """Return the version with that id.

    Raises:
        SecretNotFoundError: There is no such secret.
        VersionNotFoundError: The secret has no version with that id.
    """
    record = history.record(version)
    if record is not None:
        return record
    if not history.records:
        raise absent(name)
    raise VersionNotFoundError(f"'{name}' has no version '{version}'.")


def _in_stage(name: SecretName, history: History, stage: Stage) -> Record:
    if not history.records:
        raise absent(name)
    if stage is Stage.RETIRED:
        raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
    record = next((one for one in history.records if history.stage_of(one) is stage), None)
    if record is None:
        raise VersionNotFoundError(f"'{name}' has no {stage} version.")
    return record


def _ours(text: str) -> Iterator[SecretName]:
    try:
        yield SecretName(text)
    except InvalidSecretNameError:
        return  # Somebody else's; not ours to list.


def absent(name: SecretName) -> SecretNotFoundError:
    """Return the error for a secret that is not there."""
    return SecretNotFoundError(f"There is no secret '{name}'.")


def retired(name: SecretName, version: str) -> VersionRetiredError:
    """Return the error for a version whose value is gone."""
    return VersionRetiredError(f"Version {version} of '{name}' was retired; its value is gone for good.")

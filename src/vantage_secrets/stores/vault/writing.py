"""Reading and writing what stands at a path and its ledger, in an order in which a crash anywhere is repaired.

A promotion has one moment that decides and one that shows. It is decided when the ledger names it, by check-and-set;
it is shown when the path's next version is written, by check-and-set again, with a number that the ledger foretold.
Between the two, and until the ledger says that all is done, whoever is about to write finishes the promotion first,
with the very same calls. So it does not matter who began it, or whether they still live.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Final

from vantage_secrets.errors import EnvironmentMismatchError, NameCollisionError, StoreBusyError, StoreFullError
from vantage_secrets.secret import SecretName, Stage
from vantage_secrets.stores.vault.connection import Connection, Sight
from vantage_secrets.stores.vault.encoding import ENVIRONMENT, METADATA_KEYS_MAX, Entry, entry_key
from vantage_secrets.stores.vault.ledger import History, Ledger, Promotion, Record
from vantage_secrets.stores.vault.ledger_text import MARK, read_ledger, write_ledger

PENDING_MARK: Final = "--pending"
FIELDS_MARK: Final = "--fields"

VERSIONS_ROOM: Final = 20
"""Versions of KV that a path keeps beyond those that are needed, so that writes by others do not push them out."""

TRIES: Final = 30
"""How often a change is begun anew because somebody else changed the same secret; each time one of them got further."""

_STALE_READS: Final = 3
_KEYS_ADDED: Final = 2  # The environment, and the new version's entry.


def sibling_of(name: SecretName) -> str:
    """Return where the ledger of ``name`` stands, relative to the store's folder."""
    return name.path + (FIELDS_MARK if name.field else PENDING_MARK)


@dataclass(frozen=True, slots=True)
class Standing:
    """What one path and its ledger were when they were looked at.

    Attributes:
        ledger: What the ledger says; an empty one where there is none.
        number: Number of the ledger's version of KV; 0 where there is none.
        sight: What stands at the path itself.
    """

    ledger: Ledger
    number: int
    sight: Sight

    def shown(self, part: str) -> History:
        """Return a secret's history as it is: with a promotion that is shown and not yet noted, and others' writes.

        A version that somebody else wrote counts as promoted by them. Only KV's newest version is current: when
        that is deleted, there is no current version.
        """
        history = self.noted(part)
        current = history.record(history.current)
        if current is not None and not self._holds_current(part, current):
            history = history.without(current.id, self.sight.created_at)
        previous = history.record(history.previous)
        if previous is not None and not part and previous.first not in self.sight.readable:
            history = history.without(previous.id, self.sight.created_at)
        return history

    def noted(self, part: str) -> History:
        """Return a secret's history as it is to be noted: as :meth:`shown`, but what others deleted is not given up."""
        history = self.ledger.history(part)
        promotion = self.ledger.promotion
        if promotion is not None and promotion.part == part and self.sight.newest >= promotion.number:
            record = history.record(promotion.version_id)
            if record is not None:
                history = history.with_current(record, promotion.number, promotion.at, promotion.kept)
        return self._adopted(part, history)

    def is_stale(self, part: str) -> bool:
        """Return whether the path was written after the ledger was read: then both must be looked at again."""
        found = self.sight.entry(part)
        return found is not None and found[1].version_id != self.noted(part).current

    def _adopted(self, part: str, history: History) -> History:
        sight = self.sight
        current = history.record(history.current)
        if part:
            foreign = current is None and sight.holds(part)
        else:
            foreign = sight.newest > 0 and (current is None or current.first != sight.newest)
        if not foreign:
            return history
        record = Record(foreign_id(part, sight.newest), "", "", None, sight.created_at, first=sight.newest)
        return history.with_foreign(record).with_current(record, sight.newest, sight.created_at)

    def _holds_current(self, part: str, current: Record) -> bool:
        if part:
            return self.sight.holds(part)
        return self.sight.live and current.first == self.sight.newest


def foreign_id(part: str, number: int) -> str:
    """Return the id of a version that somebody else wrote; a packed one has no number of its own."""
    return "kv" if part else f"kv-{number}"


class Writer:
    """Looks at paths and ledgers, and changes them.

    Args:
        connection: The KV engine.
        folder: Where the store's secrets stand in it, with a slash behind it, or empty.
        environment: Whose secrets may be written.
    """

    def __init__(self, connection: Connection, folder: str, environment: str) -> None:
        """Keep them."""
        self.connection = connection
        self.folder = folder
        self.environment = environment

    def path(self, name: SecretName) -> str:
        """Return where the secret itself stands."""
        return f"{self.folder}{name.path}"

    def look(self, name: SecretName) -> Standing:
        """Return what stands at a path and its ledger, looked at as if at one moment."""
        for _ in range(_STALE_READS):
            sibling = f"{self.folder}{sibling_of(name)}"
            found = self.connection.read_data(sibling)
            ledger = Ledger(self.environment) if found.data is None else read_ledger(sibling, found.data)
            look = self.connection.read_data if name.field else self.connection.read_metadata
            standing = Standing(ledger, found.newest, look(self.path(name)))
            if not standing.is_stale(name.field):
                break
        return standing

    def ready(self, name: SecretName) -> Standing:
        """Return what stands there, when nothing is left to finish; the beginning of every change.

        Raises:
            EnvironmentMismatchError: It is another environment's.
            NameCollisionError: The path holds packed secrets and ``name`` has no field, or the other way round.
        """
        for _ in range(TRIES):
            standing = self.checked(name)
            if standing.ledger.promotion is None:
                break
            self._finish(name, standing, standing.ledger.promotion)
        else:
            raise busy(name)
        ledger = standing.ledger
        if ledger.sweep > ledger.swept:
            self.connection.destroy(f"{self.folder}{sibling_of(name)}", range(ledger.swept, ledger.sweep))
            standing = replace(standing, ledger=replace(ledger, swept=ledger.sweep))
        return standing

    def checked(self, name: SecretName) -> Standing:
        """Return what stands there, when it is ours to change; see :meth:`ready`."""
        standing = self.look(name)
        owners = {standing.sight.environment, standing.ledger.environment} - {None, self.environment}
        if owners:
            raise EnvironmentMismatchError(f"'{name}' belongs to '{owners.pop()}', not to '{self.environment}'.")
        others = {part for part, _number in standing.sight.entries if bool(part) != bool(name.field)}
        if others:
            raise NameCollisionError(
                f"'{name.path}' is one secret by itself."
                if name.field
                else f"'{name.path}' packs several secrets: {', '.join(sorted(others))}.",
                hint="Use another path, or delete what is there first.",
            )
        return standing

    def decide(self, name: SecretName, standing: Standing, history: History, promotion: Promotion) -> None:
        """Write a promotion into the ledger, if that is still what ``standing`` saw; :meth:`ready` finishes it.

        Raises:
            StoreFullError: The path's metadata has no room for another entry.
        """
        if standing.sight.keys_count + _KEYS_ADDED > METADATA_KEYS_MAX:
            raise StoreFullError(
                f"'{name.path}' has no room for another packed secret in its metadata of {METADATA_KEYS_MAX} keys.",
                hint="Use another path for some of them, or remove keys of your own from its custom_metadata.",
            )
        ledger = standing.ledger.with_history(promotion.part, history)
        self.save(name, standing, replace(ledger, promotion=promotion))

    def save(self, name: SecretName, standing: Standing, ledger: Ledger, *, drops_value: bool = False) -> bool:
        """Write the ledger if it is still what ``standing`` saw; return whether it was so.

        Args:
            name: Whose ledger.
            standing: What was seen.
            ledger: What it becomes.
            drops_value: A value is gone from it: the versions of KV that still hold it are destroyed. Killed
                between, the next change destroys them.
        """
        sibling = f"{self.folder}{sibling_of(name)}"
        ledger = replace(ledger, mark=secrets.token_hex(8), sweep=standing.number + 1 if drops_value else ledger.sweep)
        if not self.connection.write(sibling, write_ledger(ledger), cas=standing.number):
            found = self.connection.read_data(sibling).data  # The writing may be ours, and its answer lost.
            if found is None or found.get(MARK) != ledger.mark:
                return False
        if ledger.sweep > ledger.swept:
            self.connection.destroy(sibling, range(ledger.swept, ledger.sweep))
        return True

    def note(self, name: SecretName, standing: Standing, history: History, *, drops_value: bool) -> bool:
        """Destroy what ``history`` has retired, then write it to the ledger; return whether nobody else was first."""
        self.connection.destroy(self.path(name), _numbers_of_retired(standing, name.field, history))
        ledger = replace(standing.ledger.with_history(name.field, history.emptied()), promotion=None)
        return self.save(name, standing, ledger, drops_value=drops_value)

    def _finish(self, name: SecretName, standing: Standing, promotion: Promotion) -> None:
        """Finish a promotion that was decided, or take it back; the caller looks again, and comes back if need be."""
        name = SecretName(f"{name.path}#{promotion.part}") if promotion.part else name
        record = standing.ledger.history(promotion.part).record(promotion.version_id)
        behind = promotion.number - standing.sight.newest
        if record is None or behind > 1:  # The path was deleted meanwhile.
            self._give_up(name, standing, promotion)
        elif behind == 1:
            if self._show(name, standing, promotion, record):
                self._note_shown(name, standing, promotion, record)
        elif self._is_shown(name, promotion):
            self._note_shown(name, standing, promotion, record)
        else:
            self._give_up(name, standing, promotion)

    def _note_shown(self, name: SecretName, standing: Standing, promotion: Promotion, record: Record) -> None:
        """Note a promotion whose version is there, after destroying what it retired."""
        part = promotion.part
        after = standing.ledger.history(part).with_current(record, promotion.number, promotion.at, promotion.kept)
        if record.first is not None:  # A roll-back: the versions of KV that it was before are not needed any more.
            last = (record.until or record.first) if part else record.first
            self.connection.destroy(self.path(name), range(record.first, last + 1))
        sight = replace(standing.sight, newest=max(standing.sight.newest, promotion.number), live=True)
        self.note(name, replace(standing, sight=sight), after, drops_value=True)

    def _show(self, name: SecretName, standing: Standing, promotion: Promotion, record: Record) -> bool:
        """Write the path's next version, after the metadata that tells which version of ours it is.

        Returns:
            Whether it was written by this call; if not, it may have been by another one like it.
        """
        sight, part, cas = standing.sight, promotion.part, promotion.number - 1
        current = standing.ledger.history(part).record(standing.ledger.history(part).current)
        previous = current.first if current is not None and not part else None
        kept = {promotion.number, *((previous,) if previous else sight.entry(part) or ())[:1]}
        custom: dict[str, str | None] = dict.fromkeys({*sight.keys_of(part)} - {entry_key(part, one) for one in kept})
        entry = Entry(record.id, promotion.value.shape, record.created_at, promotion.at, previous)
        custom |= {ENVIRONMENT: self.environment, entry_key(part, promotion.number): entry.written()}
        needed = promotion.number - (previous or promotion.number) + 1
        wanted = needed + VERSIONS_ROOM if sight.max_versions < needed + VERSIONS_ROOM // 2 else None
        self.connection.annotate(self.path(name), custom, max_versions=wanted)
        data = promotion.value.at(part)
        write = self.connection.patch if part and sight.live else self.connection.write
        return write(self.path(name), data, cas=cas)

    def _is_shown(self, name: SecretName, promotion: Promotion) -> bool:
        """Return whether the version with the foretold number is ours, and not one that somebody else wrote."""
        found = self.connection.read_data(self.path(name), promotion.number).data or {}
        wanted = promotion.value.at(promotion.part)
        return {key: found.get(key) for key in wanted} == wanted and (bool(promotion.part) or len(found) == len(wanted))

    def _give_up(self, name: SecretName, standing: Standing, promotion: Promotion) -> None:
        """Take back a promotion that somebody else's write made impossible; the version stays what it was."""
        key = entry_key(promotion.part, promotion.number)
        if standing.sight.exists:
            self.connection.annotate(self.path(name), {key: None})
        self.save(name, standing, replace(standing.ledger, promotion=None))


def busy(name: SecretName) -> StoreBusyError:
    """Return the error for a secret that others changed each time that we were about to."""
    return StoreBusyError(f"Others keep changing '{name}', or a secret packed at the same path.")


def _numbers_of_retired(standing: Standing, part: str, history: History) -> set[int]:
    """Return the versions of KV that hold retired values and are not noted as destroyed.

    A packed secret's value stands in every version from its own to the next one's. Those hold its neighbours' values
    too; what is needed of them stands in newer versions, or in the ledger.
    """
    newest = standing.sight.newest
    needed: set[int | None] = {newest} if standing.sight.live else set()
    if not part:
        needed |= {one.first for one in history.records if history.stage_of(one) is not Stage.RETIRED}
    found: set[int] = set()
    for record in history.records:
        if record.first is not None and history.stage_of(record) is Stage.RETIRED:
            found |= set(range(record.first, (record.until or newest) + 1)) if part else {record.first}
    return found - needed

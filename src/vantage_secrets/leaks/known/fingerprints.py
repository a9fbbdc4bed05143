"""The control database's memory of values, from which a retired one is told when it is found somewhere.

SECURITY: fingerprint, length and alphabet of each value are in the control database; the fingerprints' key is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known.parts import parts_of
from vantage_secrets.leaks.known.retired import Remembered, RetiredLookup, alphabet_of
from vantage_secrets.leaks.known.spelling import WINDOW_BYTES
from vantage_secrets.leaks.known.verdict import Specs, retired_version
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from vantage_secrets.database import Database


class FingerprintBook:
    """Remembers values by their fingerprints. Safe to use from several threads and processes.

    Each verb raises :class:`~vantage_secrets.errors.DatabaseError` when the control database fails.

    Args:
        database: Where they are kept.
        key: Makes the fingerprints; what was kept under another key is neither read nor changed.
        clock: The present.
    """

    def __init__(self, database: Database, key: FingerprintKey, *, clock: Clock = utc_now) -> None:
        """Keep them."""
        self._database = database
        self._key = key
        self._clock = clock

    def remember(self, name: SecretName, version_id: str, value: SecretValue) -> None:
        """Keep what will tell this value when no store returns it any more. Safe to repeat."""
        self._upsert(self._rows(name, version_id, value))

    def record(self, readings: Iterable[SecretReading]) -> None:
        """Keep that these values were there just now. Safe to repeat."""
        rows = [self._rows(version.name, version.id, value) for value, version in readings]
        self._upsert([row for some in rows for row in some])

    def retire(self, name: SecretName, version_id: str) -> None:
        """Keep that the version was retired now, where it is remembered. Safe to repeat: the first time counts."""
        from vantage_secrets.database import value_fingerprints_table as table

        mark = table.update().where(
            table.c.secret == str(name), table.c.version_id == version_id, table.c.retired_at.is_(None)
        )
        with self._database.transaction() as connection:
            connection.execute(mark.values(retired_at=self._clock()))

    def settle(
        self, described: Iterable[tuple[SecretVersion, ...]], is_gone: Callable[[SecretName], bool]
    ) -> list[SecretVersion]:
        """Keep which versions are retired or gone by now, and return the retired ones that nothing here will tell.

        Args:
            described: All versions of each secret, as its store describes them just now.
            is_gone: Whether a secret that is not among them is known not to be there any more.
        """
        from vantage_secrets.database import value_fingerprints_table as table

        versions = {
            version.name: {version.id: version for version in found} for found in described for version in found
        }
        unknown = {version for found in versions.values() for version in found.values() if _is_retired(version)}
        with self._database.transaction() as connection:
            for row in connection.execute(table.select().where(table.c.key_id == self._key.key_id)).all():
                name = SecretName(row.secret)
                if name not in versions and not is_gone(name):
                    continue
                version = versions.get(name, {}).get(row.version_id)
                unknown.discard(version)  # None is not in it
                retired_at = self._retired_at(version, row.retired_at)
                if retired_at != row.retired_at:
                    _mark(connection, row, retired_at)
        return sorted(unknown)

    def _retired_at(self, version: SecretVersion | None, noted: datetime | None) -> datetime | None:
        """Return since when a version is retired; one that its store does not list any more, since that was seen."""
        if version is not None and not _is_retired(version):
            return None
        return (version.retired_at if version else None) or noted or self._clock()

    def lookup(self, specs: Specs) -> RetiredLookup:
        """Return what tells the retired values that were remembered under this key."""
        from vantage_secrets.database import value_fingerprints_table as table

        query = table.select().where(table.c.key_id == self._key.key_id, table.c.retired_at.is_not(None))
        with self._database.transaction(writes=False) as connection:
            rows = connection.execute(query.order_by(table.c.retired_at)).all()
        return RetiredLookup(
            (
                Remembered(
                    row.fingerprint,
                    row.length,
                    row.alphabet,
                    retired_version(specs, SecretName(row.secret), row.version_id, row.retired_at),
                )
                for row in rows
            ),
            self._key,
        )

    def _rows(self, name: SecretName, version_id: str, value: SecretValue) -> list[dict[str, Any]]:
        parts = {part for part in parts_of(value) if len(part) >= WINDOW_BYTES}
        shared = {"secret": str(name), "version_id": version_id, "key_id": self._key.key_id, "seen_at": self._clock()}
        return [
            {"fingerprint": self._key.fingerprint(part), "length": len(part), "alphabet": alphabet_of(part), **shared}
            for part in parts
        ]

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        from vantage_secrets.database import value_fingerprints_table as table

        if not rows:
            return
        with self._database.transaction() as connection:
            insert = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
            statement = insert(table)
            alive = {"seen_at": statement.excluded.seen_at, "retired_at": None}
            keys = [column.name for column in table.primary_key]
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=alive), list(rows))


def _is_retired(version: SecretVersion) -> bool:
    return version.stage is Stage.RETIRED


def _mark(connection: Connection, row: Any, retired_at: datetime | None) -> None:
    from vantage_secrets.database import value_fingerprints_table as table

    same = [column == row._mapping[column.name] for column in table.primary_key]
    connection.execute(table.update().where(*same).values(retired_at=retired_at))

"""The switch with which a person, or the brake, keeps rotations from beginning."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select

from vantage_secrets.database import Database, pauses_table
from vantage_secrets.secret import SecretName

ALL = "*"
"""What is paused when everything is."""

_REASON_LENGTH_MAX, _ACTOR_LENGTH_MAX = 200, 255


class Pause(NamedTuple):
    """Why nothing begins.

    Attributes:
        since: Since when, aware UTC.
        actor: Who said so.
        reason: Why, for people.
    """

    since: datetime
    actor: str
    reason: str


class Pauses:
    """What is paused. A pause keeps a rotation from beginning; one that is under way goes on to its end.

    SECURITY: a rotation that stopped half-way would leave two credentials that open the door.

    Each verb raises :class:`~vantage_secrets.errors.DatabaseError` when the control database fails.

    Args:
        database: Where the pauses are kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def all(self) -> dict[str, Pause]:
        """Return the pauses by the text of the secret's name, or :data:`ALL`."""
        columns = [pauses_table.c[field] for field in ("subject", *Pause._fields)]
        with self._database.transaction(writes=False) as connection:
            return {row[0]: Pause(*row[1:]) for row in connection.execute(select(*columns))}

    def pause(self, name: SecretName | None, *, actor: str, reason: str, now: datetime) -> Pause:
        """Begin nothing for the secret, or for any when ``None``; a pause that is there already stays as it is.

        Returns:
            The pause that holds now.
        """
        subject = ALL if name is None else str(name)
        chosen = Pause(now, actor[:_ACTOR_LENGTH_MAX], reason[:_REASON_LENGTH_MAX])
        with self._database.transaction() as connection:
            columns = [pauses_table.c[field] for field in Pause._fields]
            found = connection.execute(select(*columns).where(pauses_table.c.subject == subject)).first()
            if found is not None:
                return Pause(*found)
            connection.execute(pauses_table.insert().values(subject=subject, **chosen._asdict()))
        return chosen

    def resume(self, name: SecretName | None) -> bool:
        """Let rotations begin again; return whether there was a pause. Safe to repeat."""
        subject = ALL if name is None else str(name)
        with self._database.transaction() as connection:
            return bool(connection.execute(delete(pauses_table).where(pauses_table.c.subject == subject)).rowcount)

"""Where the workers' queue is: a schema of its own in the control database, made for one release of Procrastinate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vantage_secrets.errors import DatabaseError, MissingExtraError, UnsupportedOperationError

if TYPE_CHECKING:
    from procrastinate import App

SCHEMA: Final = "vantage_secrets_queue"
"""Name of the schema, so that nothing of the queue meets the control database's own tables."""

_PREPARE_LOCK: Final = 7_318_349_394_477_057
"""An arbitrary number for PostgreSQL's advisory lock: two that prepare at once make one queue."""

_CONNECT_SECONDS: Final = 5
"""How long a connection is waited for, twice when the database has gone away: a worker ends soon and says why."""


class QueuePlace(NamedTuple):
    """A control database that a queue can be in.

    Attributes:
        conninfo: What libpq is given. A password comes from ``PGPASSWORD`` or a ``PGPASSFILE``.
    """

    conninfo: str

    @classmethod
    def of(cls, url: str) -> QueuePlace:
        """Return the place in the control database that ``url``, an SQLAlchemy URL, names.

        Raises:
            UnsupportedOperationError: It is not PostgreSQL.
            MissingExtraError: Procrastinate is not installed.
        """
        from sqlalchemy.engine import make_url

        parsed = make_url(url)
        if parsed.get_backend_name() != "postgresql":
            raise UnsupportedOperationError(
                f"Workers share a queue in PostgreSQL, and the control database is {parsed.get_backend_name()}.",
                hint='Write url = "postgresql://USER@HOST/NAME" under [database], or use: vantage-secrets scheduler',
            )
        try:
            import procrastinate  # noqa: F401 - whether it is there
            import psycopg  # noqa: F401 - whether it is there
        except ImportError:
            raise MissingExtraError("procrastinate", "fleet") from None
        return cls(parsed.set(drivername="postgresql").render_as_string(hide_password=False))

    def prepare(self) -> bool:
        """Make the queue, and return whether there was anything to do. Safe to repeat, and from several at once.

        A queue that another release of Procrastinate left is made anew: it holds nothing that the next tick does not
        find again. Stop the workers of that release first.

        Raises:
            DatabaseError: The database did not do it.
        """
        with _failing_as_ours(), self._connect() as connection, connection.transaction():
            connection.execute(f"SELECT pg_advisory_xact_lock({_PREPARE_LOCK})")
            if _release_of(connection) == _release():
                return False
            for statement in (
                f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
                f"CREATE SCHEMA {SCHEMA}",
                f"SET LOCAL search_path TO {SCHEMA}",
                _definition(),
                f"COMMENT ON SCHEMA {SCHEMA} IS '{_release()}'",
            ):
                connection.execute(statement)
            return True

    def check(self) -> None:
        """Return when the queue is there, made for the release of Procrastinate that is installed.

        Raises:
            DatabaseError: It is not, or the database does not answer.
        """
        with _failing_as_ours(), self._connect() as connection:
            found = _release_of(connection)
        if found != _release():
            state = "was made for another release of Procrastinate" if found else "is not there yet"
            raise DatabaseError(
                f"The workers' queue {state}.", hint="Run once, while no worker runs: vantage-secrets worker --prepare"
            )

    def app(self) -> App:
        """Return a Procrastinate application on this queue, not opened, without tasks of ours."""
        from procrastinate import App, PsycopgConnector

        options = f"-c search_path={SCHEMA}"
        return App(
            connector=PsycopgConnector(
                conninfo=self.conninfo,
                kwargs={"options": options, "connect_timeout": _CONNECT_SECONDS, "application_name": "vantage-secrets"},
                min_size=1,
                max_size=4,
                timeout=_CONNECT_SECONDS,
            )
        )

    def _connect(self) -> Any:
        import psycopg

        return psycopg.connect(self.conninfo, connect_timeout=_CONNECT_SECONDS, autocommit=True)


@contextmanager
def _failing_as_ours() -> Iterator[None]:
    """Turn what psycopg raises into a DatabaseError that names the class alone: its text holds the login."""
    import psycopg

    try:
        yield
    except psycopg.Error as exc:
        raise DatabaseError(
            f"The queue in the control database failed: {type(exc).__name__}.",
            hint="Check [database] url, PGPASSWORD or PGPASSFILE, and that the login may create a schema.",
        ) from None


def _definition() -> str:
    from procrastinate.schema import SchemaManager

    return str(SchemaManager.get_schema())


def _release() -> str:
    """Return what tells one definition of the queue's tables from another."""
    return f"Procrastinate {hashlib.sha256(_definition().encode()).hexdigest()[:16]}"


def _release_of(connection: Any) -> str | None:
    """Return which definition the queue was made from; ``None`` when there is no queue."""
    query = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
    row = connection.execute(query, [SCHEMA]).fetchone()
    return None if row is None else str(row[0])

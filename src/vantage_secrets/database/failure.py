"""What SQLAlchemy's errors mean to us, in one place."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from vantage_secrets.errors import DatabaseError

_HINTS = {
    "42501": "Let that role create tables in the database, or let the database's owner open it once.",
    "25006": "Name the server that takes writes under [database] url.",
}
"""The next action by PostgreSQL's SQLSTATE."""

_AWAY = (
    "Run the command again when the database answers. PostgreSQL's password comes from PGPASSWORD or from the file "
    "that PGPASSFILE names."
)


def failure(exc: SQLAlchemyError) -> DatabaseError:
    """Return the error to raise, ``from None``.

    SECURITY: SQLAlchemy's text holds the statement's parameters, and PostgreSQL's may quote them, so that neither they
    nor the error itself is passed on; the SQLSTATE says what was wrong.
    """
    original = exc.orig if isinstance(exc, DBAPIError) else None
    code = getattr(original, "sqlstate", None)
    hint = _HINTS.get(code or "")
    if hint is None and isinstance(exc, OperationalError) and hasattr(original, "sqlstate"):
        hint = _AWAY
    return DatabaseError(f"The control database failed: {type(exc).__name__}{f' {code}' if code else ''}.", hint=hint)

"""The servers of one target: where each is, the administrator's connection, and what psycopg's errors mean to us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError, TargetUnavailableError
from vantage_secrets.targets.postgresql.login import (
    APPLICATION_NAME,
    CLIENT,
    Answer,
    Login,
    log_in,
)

if TYPE_CHECKING:
    import psycopg

REPLAY_SECONDS_MAX = 30.0
"""How long a standby may take to follow before it counts as one that does not answer."""

_STATEMENT_SECONDS_MAX = 30
_OUTAGES = ("08", "53", "57", "58")
"""Classes of SQLSTATE that tell of the server's state: connection, resources, intervention, system."""


class Server:
    """One server that accepts logins.

    Attributes:
        name: Host and port, for messages.
    """

    def __init__(self, parameters: dict[str, str], administrator: Callable[[], Credential | str]) -> None:
        """Know where it is; ``administrator`` gives a login, or a user's name for whom libpq finds the password."""
        self._parameters = {**CLIENT, **parameters}
        self._administrator = administrator
        self.name = f"{parameters.get('host', 'the local socket')}:{parameters.get('port', '5432')}"

    def log_in(self, credential: Credential) -> Login:
        """Log in afresh as the credential's user, log out, and return what came of it."""
        return log_in(self._parameters, credential.username, credential.password.reveal_text())

    @contextmanager
    def administer(self) -> Iterator[psycopg.Connection[Any]]:
        """Give the administrator's connection in one transaction, which the block's end commits.

        Raises:
            TargetUnavailableError: The server does not answer, or not in time.
            RotationError: It answered, and refuses the administrator or what the block asks.
        """
        import psycopg

        connection = self._connect()
        try:
            with connection:
                connection.execute(f"SET statement_timeout = '{_STATEMENT_SECONDS_MAX}s'".encode())
                yield connection
        except psycopg.Error as exc:
            # SECURITY: the server's text may quote the statement, so only its first line's words are passed on.
            raise self._understood(exc) from None

    def wait_for(self, position: str) -> None:
        """Return when a standby has replayed its primary's log up to ``position``; at once where it is none.

        Raises:
            TargetUnavailableError: It does not get there in time.
        """
        deadline = time.monotonic() + REPLAY_SECONDS_MAX
        query = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() < %s::pg_lsn"
        with self.administer() as connection:
            while (row := connection.execute(query, [position]).fetchone()) and row[0]:
                if time.monotonic() > deadline:
                    raise TargetUnavailableError(f"PostgreSQL at {self.name} is behind its primary; it proves nothing.")
                time.sleep(0.02)

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg
        from psycopg.conninfo import make_conninfo

        found = self._administrator()
        login = {"user": found} if isinstance(found, str) else {"user": found.username}
        if isinstance(found, Credential):
            login["password"] = found.password.reveal_text()
        try:
            return psycopg.connect(
                make_conninfo("", **{**self._parameters, **login, "application_name": APPLICATION_NAME})
            )
        except psycopg.OperationalError:
            pass
        if isinstance(found, Credential) and self.log_in(found).answer is Answer.REFUSED:
            raise RotationError(
                f"PostgreSQL at {self.name} refuses the administrator '{login['user']}'.",
                hint="Correct admin_user, or the password that admin_secret names.",
            )
        raise TargetUnavailableError(f"PostgreSQL at {self.name} does not let the administrator in.")

    def _understood(self, exc: psycopg.Error) -> Exception:
        import psycopg

        if isinstance(exc, psycopg.InterfaceError) or (exc.sqlstate or "08")[:2] in _OUTAGES:
            return TargetUnavailableError(f"PostgreSQL at {self.name} did not answer ({exc.sqlstate or 'no code'}).")
        said = exc.diag.message_primary or type(exc).__name__
        return RotationError(
            f"PostgreSQL at {self.name} refuses: {said} ({exc.sqlstate}).",
            hint="Give the administrator the right to do it, or name the server that takes writes under url.",
        )


def servers_of(urls: tuple[str, ...], administrator: Callable[[], Credential | str]) -> tuple[Server, ...]:
    """Return the server of each URL.

    Raises:
        RotationError: One of them is not a URL of one server.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    found = []
    for url in urls:
        try:
            parameters = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError:
            parameters = {}
        if "dbname" not in parameters or "," in parameters.get("host", ""):
            raise RotationError(
                "An address of the target is not one server's, or names no database.",
                hint="Write url, and each of replicas, as postgresql://HOST:5432/DATABASE.",
            )
        found.append(Server(parameters, administrator))
    return tuple(found)

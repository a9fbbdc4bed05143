"""A client of ``clickhouse-driver`` (the native protocol) that takes a new credential between two queries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.following import Errand, FollowedSecret, Login, missing_library
from vantage_secrets.connections.refusals import is_clickhouse_refusal
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.secret import SecretName


class FollowingClient:
    """Queries with the current credential of a secret. Safe to use from many threads: one query at a time.

    ClickHouse asks for a password when a connection is made and never again. When the secret has another version,
    the connection is made anew, with that version: before the next query, or at once where none is running. What
    belongs to a connection, such as temporary tables, ends then.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        host: Where ClickHouse is.
        account: Whose password it is, where neither the value nor the manifest says so.
        options: Of ``clickhouse_driver.Client``, such as ``port``, ``secure`` and ``settings``; no user, no password.

    Raises:
        MissingExtraError: ``clickhouse-driver`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """

    def __init__(
        self, client: SecretClient, name: str | SecretName, host: str, *, account: str = "", **options: Any
    ) -> None:
        """Read the secret; the first query connects."""
        self._host = host
        self._options = options
        self._bare: Any = None
        self._version_id = ""
        self._lock = threading.RLock()
        self._build = _driver()
        self._following = FollowedSecret(client, name, account=account, kind="clickhouse")
        self._errand = Errand(self._follow)
        self._following.listen(self._errand.ask)

    def execute(self, query: str, params: Any = None, **more: Any) -> Any:
        """Return what the query gives, as ``clickhouse_driver.Client.execute``.

        A login that is refused leads to one refresh and one retry; the query has not begun then.

        Raises:
            clickhouse_driver.errors.Error: As the bare client's; a login that is refused again is a ServerException.
            VantageSecretsError: As :meth:`SecretClient.get`.
        """
        with self.connected() as bare:
            try:
                return bare.execute(query, params, **more)
            except Exception as exc:
                # The driver connects anew by itself where a connection was dropped, with what it was given once.
                if not is_clickhouse_refusal(exc):
                    raise
            self._open(self._following.after_refusal())
            return self._bare.execute(query, params, **more)

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Lend the bare client, connected with the current version, for all that :meth:`execute` does not do.

        It stays as it is until the block ends.

        Raises:
            clickhouse_driver.errors.Error: It cannot connect; a login that was refused twice is a ServerException.
            VantageSecretsError: As :meth:`SecretClient.get`.
        """
        with self._lock:
            if self._bare is None or self._following.is_outdated(self._version_id):
                self._connect()
            yield self._bare

    def close(self) -> None:
        """End the connection. Safe to repeat."""
        self._errand.stop()
        with self._lock:
            self._disconnect()
        self._following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _follow(self) -> None:
        """Connect anew where a connection is out of date; what goes wrong, the next query meets again and tells."""
        with self._lock, suppress(Exception):
            if self._bare is not None and self._following.is_outdated(self._version_id):
                self._connect()

    def _connect(self) -> None:
        try:
            self._open(self._following.now())
        except VantageSecretsError:
            raise
        except Exception as exc:
            if not is_clickhouse_refusal(exc):
                raise
            self._open(self._following.after_refusal())

    def _open(self, login: Login) -> None:
        self._disconnect()
        user, password = login.username, login.password.reveal_text()
        bare = self._build(self._host, user=user, password=password, **self._options)
        try:
            bare.execute("SELECT 1")
        except BaseException:
            bare.disconnect()
            raise
        self._bare, self._version_id = bare, login.version_id
        self._following.confirm(login.version_id)

    def _disconnect(self) -> None:
        bare, self._bare = self._bare, None
        if bare is not None:
            bare.disconnect()


def _driver() -> Any:
    try:
        from clickhouse_driver import Client
    except ImportError as exc:
        raise missing_library("clickhouse-driver") from exc
    return Client

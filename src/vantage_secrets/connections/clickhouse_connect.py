"""A client of ``clickhouse-connect`` (HTTP) that takes a new credential between two requests."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.following import Errand, FollowedSecret, Login, missing_library
from vantage_secrets.connections.refusals import is_clickhouse_refusal
from vantage_secrets.secret import SecretName


class FollowingHttpClient:
    """Has all methods of a ``clickhouse_connect`` client, and the current credential of a secret in each request.

    Made by :func:`following_client`. As safe to use from many threads as the bare client. When the secret has
    another version, a new bare client takes over; requests under way end on the one before.

    A request that is refused leads to one refresh and is made once more, unless it was given an iterator or a file
    to read from: that may be half read.
    """

    def __init__(self, following: FollowedSecret, options: dict[str, Any]) -> None:
        """Connect."""
        self._following = following
        self._options = options
        self._build = _library()
        self._bare: Any = None
        self._version_id = ""
        self._lock = threading.RLock()
        self._errand = Errand(self._follow)
        self._current()
        following.listen(self._errand.ask)

    def __getattr__(self, name: str) -> Any:
        """Return that attribute of the bare client; a method makes its request with the current version."""
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._current(), name)
        return self._method(name) if callable(found) else found

    def close(self) -> None:
        """End all connections. Safe to repeat."""
        self._errand.stop()
        with self._lock:
            bare, self._bare = self._bare, None
            if bare is not None:
                bare.close()
        self._following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _method(self, name: str) -> Any:
        def request(*arguments: Any, **named: Any) -> Any:
            bare = self._current()
            try:
                return getattr(bare, name)(*arguments, **named)
            except Exception as exc:
                if not is_clickhouse_refusal(exc):
                    raise
                self._renew_after_refusal(bare)
                if any(_is_read_once(each) for each in (*arguments, *named.values())):
                    raise
            return getattr(self._current(), name)(*arguments, **named)

        return request

    def _current(self) -> Any:
        bare = self._bare
        if bare is not None and not self._following.is_outdated(self._version_id):
            return bare
        with self._lock:
            if self._bare is None or self._following.is_outdated(self._version_id):
                self._connect()
            return self._bare

    def _renew_after_refusal(self, refused: Any) -> None:
        with self._lock:
            if self._bare is refused:  # Another thread has not done it yet.
                self._open(self._following.after_refusal())

    def _follow(self) -> None:
        """Take over at once, also where nobody makes a request; what goes wrong, the next request tells."""
        with suppress(Exception):
            self._current()

    def _connect(self) -> None:
        login = self._following.now()
        try:
            self._open(login)
        except Exception as exc:
            if not is_clickhouse_refusal(exc):
                raise
            self._open(self._following.after_refusal())

    def _open(self, login: Login) -> None:
        user, password = login.username, login.password.reveal_text()
        # The one before is let go and not closed: other threads' requests may be under way on it.
        self._bare = self._build(username=user, password=password, **self._options)
        self._version_id = login.version_id
        self._following.confirm(login.version_id)


def following_client(
    client: SecretClient, name: str | SecretName, *, account: str = "", **options: Any
) -> FollowingHttpClient:
    """Return a client that follows the secret.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        account: Whose password it is, where neither the value nor the manifest says so.
        options: Of ``clickhouse_connect.get_client``, such as ``host`` and ``port``; no user, no password.

    Raises:
        clickhouse_connect.driver.exceptions.Error: It cannot connect; refused only after a refresh and a retry.
        MissingExtraError: ``clickhouse-connect`` is not installed.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """
    return FollowingHttpClient(FollowedSecret(client, name, account=account, kind="clickhouse"), options)


def _library() -> Any:
    try:
        from clickhouse_connect import get_client
    except ImportError as exc:
        raise missing_library("clickhouse-connect") from exc
    return get_client


def _is_read_once(argument: Any) -> bool:
    return hasattr(argument, "__next__") or hasattr(argument, "read")

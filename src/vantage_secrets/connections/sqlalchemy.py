"""An SQLAlchemy engine whose connections are made with the current credential of a secret."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from vantage_secrets.client import SecretClient
from vantage_secrets.connections.following import Errand, FollowedSecret, Login
from vantage_secrets.connections.refusals import is_refusal
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_VERSION: Final = "vantage-secrets-version"


def following_engine(
    client: SecretClient, name: str | SecretName, url: str | URL, *, account: str = "", **engine_options: Any
) -> Engine:
    """Return an engine that makes every new connection with the current version of the secret.

    When the secret has another version, connections that lie in the pool are made anew at once; those in use finish
    their work first and are made anew when they are taken next. A login that is refused leads to one refresh and one
    retry. The receipt names a version for as long as one connection of it is open. ``Engine.dispose()`` ends all.

    Args:
        client: Reads the secret; it stays the caller's to close.
        name: The secret's name or one of its other spellings.
        url: Where the database is, without user and password.
        account: Whose password it is, where neither the value nor the manifest says so.
        engine_options: Of ``sqlalchemy.create_engine``.

    Raises:
        InvalidInputError: The URL holds a user or a password.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """
    from sqlalchemy import create_engine, make_url

    parsed = make_url(url)
    if parsed.username is not None or parsed.password is not None:
        raise InvalidInputError(
            "The URL holds a user or a password.", hint="Leave both out; they come from the secret."
        )
    engine = create_engine(parsed, **engine_options)
    _EngineFollower(engine, FollowedSecret(client, name, account=account, kind="engine")).start()
    return engine


class _EngineFollower:
    """Gives an engine its logins and keeps its receipt; the engine's listeners keep it alive, and nothing else does."""

    def __init__(self, engine: Engine, following: FollowedSecret) -> None:
        self._engine = engine
        self._following = following
        self._open: dict[int, str] = {}
        self._confirmed = ""
        self._lock = threading.RLock()  # The garbage collector may close a connection in the middle of anything.
        self._errand = Errand(self._renew_idle)

    def start(self) -> None:
        """Listen to the engine and to the secret."""
        from sqlalchemy import event

        event.listen(self._engine, "do_connect", self._connect)
        event.listen(self._engine, "checkout", self._check)
        event.listen(self._engine, "close", self._note_close)
        event.listen(self._engine, "close_detached", self._note_close)
        event.listen(self._engine, "engine_disposed", self._note_dispose)
        self._following.listen(self._errand.ask)

    def _connect(self, dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        login = self._following.now()
        try:
            opened = _log_in(dialect, arguments, parameters, login)
        except dialect.loaded_dbapi.Error as exc:
            if not is_refusal(exc):
                raise
            login = self._following.after_refusal()
            opened = _log_in(dialect, arguments, parameters, login)
        if record is not None:
            record.info[_VERSION] = login.version_id
        return opened

    def _check(self, connection: Any, record: Any, _proxy: Any) -> None:
        """Have a connection of another version made anew before it is used; the pool does that when this raises."""
        from sqlalchemy.exc import DisconnectionError

        version_id = record.info.get(_VERSION, "")
        if self._following.is_outdated(version_id):
            raise DisconnectionError("The credential was rotated; this connection is made anew.")
        if id(connection) not in self._open:
            with self._lock:
                self._open[id(connection)] = version_id
            self._confirm()

    def _note_close(self, connection: Any, _record: Any = None) -> None:
        with self._lock:
            self._open.pop(id(connection), None)
        if self._open:
            self._confirm()

    def _note_dispose(self, _engine: Engine) -> None:
        with self._lock:
            if not self._open:
                self._confirmed = ""
                self._following.let_go()

    def _confirm(self, idle_version_id: str = "") -> None:
        """Leave a receipt once all open connections are of one version; until then the one before stands."""
        with self._lock:
            versions = set(self._open.values()) or {idle_version_id}
            if len(versions) == 1 and versions != {self._confirmed}:
                (self._confirmed,) = versions
                self._following.confirm(self._confirmed)

    def _renew_idle(self) -> None:
        """Take each idle connection once, which makes it anew; what goes wrong, its next user meets again and tells."""
        if not self._confirmed or not self._following.is_outdated(self._confirmed):
            return
        with suppress(Exception):
            for _ in range(getattr(self._engine.pool, "checkedin", int)()):
                self._engine.raw_connection().close()
            if not self._open:  # What it opens from now on is of the current version.
                self._confirm(self._following.now().version_id)


def _log_in(dialect: Any, arguments: Any, parameters: dict[str, Any], login: Login) -> Any:
    # SECURITY: a copy, so that no settings that SQLAlchemy keeps or shows hold the password.
    named = {**parameters, "user": login.username, "password": login.password.reveal_text()}
    return dialect.connect(*arguments, **named)

"""Finding the session that comes after the one in use, and proving its login first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from vantage_secrets.connections.confluent_kafka.session import Session
from vantage_secrets.connections.following import Errand, FollowedSecret, Login
from vantage_secrets.errors import CredentialRefusedError, TargetUnavailableError, VantageSecretsError

RETRY_SECONDS: Final = 1.0
"""How long after an outage the fresh login is tried again."""


class Succession:
    """Finds the session that comes after the one in use, in a thread of its own, and proves its login first.

    A refusal is believed only when a fresh login was refused after a refresh: within a re-authentication, a broker
    reports a change of principal as an authentication error that is none.

    Args:
        following: The secret.
        build: Makes a session with a login; what it is given beside that is called when a broker refuses it.
        on_ready: Called in the thread when :attr:`ready` holds a session.

    Attributes:
        current: The session in use.
        ready: A session with a proven login that waits to be used.
        is_refused: Whether a broker refused the login of the session in use.
        is_denied: Whether a broker denied what the session in use wanted.

    Raises:
        CredentialRefusedError: Kafka refused the login, and again after a refresh.
        VantageSecretsError: As :meth:`SecretClient.get`.
    """

    def __init__(
        self,
        following: FollowedSecret,
        build: Callable[[Login, Callable[[Session], None]], Session],
        on_ready: Callable[[], object],
    ) -> None:
        """Log in; Kafka being away does not matter yet."""
        self.ready: Session | None = None
        self.is_refused = self.is_denied = False
        self._following = following
        self._build = build
        self._on_ready = on_ready
        self._failure: VantageSecretsError | None = None
        self._denied_version: str | None = None
        self._retired: list[Session] = []
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._errand = Errand(self._work)
        try:
            self.current = self._log_in()
            self._is_proven = True
            following.confirm(self.current.login.version_id)
        except TargetUnavailableError:
            self.current = build(following.now(), self.suspect)
            self._is_proven = False

    def start(self) -> None:
        """Look for a successor now and whenever the secret has another version."""
        self._following.listen(self.look)

    def look(self) -> None:
        """Have a successor made if the secret has another version than the session in use."""
        self._errand.ask()

    def suspect(self, session: Session) -> None:
        """Note that a broker refused the login of this session; one that is not in use does not matter."""
        if session is getattr(self, "current", None):
            self.is_refused = True
            self._answered.clear()
            self._errand.ask()

    def deny(self) -> bool:
        """Note that a broker denied what the session in use wanted; return whether to try once more with the next.

        It is of no use once a refresh has shown that this is the current version: its user lacks the right.
        """
        if self.current.login.version_id == self._denied_version:
            return False
        self.is_denied = True
        self._answered.clear()
        self._errand.ask()
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for what comes of :meth:`deny` or :meth:`suspect`; return whether a session is ready."""
        return self.ready is not None or (self._answered.wait(seconds) and self.ready is not None)

    def take_failure(self) -> VantageSecretsError | None:
        """Return why there is no successor, once: what was refused again."""
        failure, self._failure = self._failure, None
        return failure

    def advance(self) -> Session:
        """Make the session that is ready the current one; return the one before, for :meth:`retire`."""
        with self._lock:
            assert self.ready is not None, "nothing is ready"
            before, self.current, self.ready = self.current, self.ready, None
            self._is_proven, self.is_refused, self.is_denied = True, False, False
        return before

    def keep_current(self) -> None:
        """Note that the session in use has adopted the login that is ready."""
        with self._lock:
            assert self.ready is not None, "nothing is ready"
            ready, self.ready = self.ready, None
            self.current.login = ready.login
            self._is_proven, self.is_refused, self.is_denied = True, False, False
        self.retire(ready)

    def retire(self, session: Session) -> None:
        """Let go a session that does nothing any more; then the receipt names the current version."""
        self._retired.append(session)
        self._errand.ask()

    def close(self) -> None:
        """End the thread and let go what is not in use. Safe to repeat."""
        self._errand.stop()
        self._release_retired()
        self.ready = None
        self._following.close()

    def _work(self) -> None:
        if self._release_retired():
            self._following.confirm(self.current.login.version_id)
        try:
            while self._is_wanted():
                try:
                    self._offer(self._log_in())
                except TargetUnavailableError:
                    if not self._errand.pause(RETRY_SECONDS):
                        return
        except VantageSecretsError as exc:
            self.is_refused = self.is_denied = False
            self._failure = exc
            self._answered.set()

    def _is_wanted(self) -> bool:
        if self.ready is not None:
            return self._following.is_outdated(self.ready.login.version_id)
        is_doubtful = self.is_refused or self.is_denied or not self._is_proven
        return is_doubtful or self._following.is_outdated(self.current.login.version_id)

    def _offer(self, session: Session) -> None:
        with self._lock:
            before, self.ready = self.ready, session
            if session.login.version_id == self.current.login.version_id:
                self._denied_version = session.login.version_id
        self._answered.set()
        if before is not None:
            before.release()
        self._on_ready()

    def _log_in(self) -> Session:
        if self.is_refused or self.is_denied:
            return self._proven(self._following.after_refusal())
        try:
            return self._proven(self._following.now())
        except CredentialRefusedError:
            return self._proven(self._following.after_refusal())

    def _proven(self, login: Login) -> Session:
        session = self._build(login, self.suspect)
        try:
            session.prove(lambda: self._errand.pause(0))
        except BaseException:
            session.release()
            raise
        return session

    def _release_retired(self) -> bool:
        has_any = bool(self._retired)
        while self._retired:
            self._retired.pop().release()
        return has_any

"""One client of librdkafka with one login, and finding the one that comes after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vantage_secrets.connections.following import Errand, FollowedSecret, Login
from vantage_secrets.errors import (
    CredentialRefusedError,
    InvalidInputError,
    MissingExtraError,
    TargetUnavailableError,
    VantageSecretsError,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"
LOGIN_SECONDS_MAX: Final = 10.0
"""How long a fresh login may take before it counts as an outage."""

RETRY_SECONDS: Final = 1.0
"""How long after an outage the fresh login is tried again."""

_PIECE_SECONDS: Final = 0.25
_LOGIN_SETTINGS: Final = ("sasl.username", "sasl.password", "sasl.mechanism", "sasl.mechanisms")

DENIED: Final = frozenset({29, 30, 31})
"""TOPIC_, GROUP_ and CLUSTER_AUTHORIZATION_FAILED: the broker knows the user and refuses what it wants to do."""


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the user's settings.

    Raises:
        InvalidInputError: They hold a login, or a transactional id, which one producer at a time may use.
        MissingExtraError: ``confluent-kafka`` is not installed.
    """
    try:
        import confluent_kafka  # noqa: F401
    except ImportError as exc:
        raise MissingExtraError("confluent-kafka", "kafka") from exc
    for setting in ("sasl.username", "sasl.password"):
        if setting in config:
            raise InvalidInputError(f"The settings hold {setting}.", hint="Leave it out; it comes from the secret.")
    if "transactional.id" in config:
        raise InvalidInputError(
            "A producer with a transactional.id cannot follow: a second one would end its transactions.",
            hint="Make a new producer between two transactions, when SecretClient.on_change tells of a new version.",
        )
    return dict(config)


class Session:
    """One producer or consumer of librdkafka with one login.

    Args:
        kind: ``confluent_kafka.Producer`` or ``Consumer``.
        config: The user's settings, without a login.
        login: Who logs in.
        on_refused: Called with this session whenever a broker refuses the login; in the thread that polls.

    Attributes:
        client: The producer or consumer itself.
        login: What new connections log in with.
    """

    def __init__(
        self,
        kind: Callable[[dict[str, Any]], Any],
        config: Mapping[str, Any],
        login: Login,
        on_refused: Callable[[Session], None],
    ) -> None:
        """Build the client; it connects by itself."""
        self.login = login
        self._mechanism = _mechanism(config, login)
        self._on_refused = on_refused
        self._on_error = config.get("error_cb")
        self._was_refused = False
        others = {key: setting for key, setting in config.items() if key not in _LOGIN_SETTINGS}
        # SECURITY: librdkafka needs the password as text; the settings that hold it live for this one call.
        self.client: Any = kind(
            {
                **others,
                "sasl.mechanisms": self._mechanism,
                "sasl.username": login.username,
                "sasl.password": login.password.reveal_text(),
                "error_cb": self._note_error,
            }
        )

    def prove(self, goes_on: Callable[[], bool]) -> None:
        """Return when a broker has accepted the login.

        Args:
            goes_on: Whether anyone still waits for it.

        Raises:
            CredentialRefusedError: A broker answered, and refused it.
            TargetUnavailableError: None answered in time.
        """
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + LOGIN_SECONDS_MAX
        while goes_on() and time.monotonic() < deadline:
            try:
                self.client.list_topics(timeout=_PIECE_SECONDS)
                return
            except KafkaException:
                self.client.poll(0)
            if self._was_refused:
                raise CredentialRefusedError(f"Kafka refused the login of '{self.login.username}'.")
        raise TargetUnavailableError(f"Kafka did not answer in {LOGIN_SECONDS_MAX:.0f} s.")

    def adopt(self, login: Login) -> bool:
        """Log in with this from the next connection on; connections that live stay as they are.

        Call it from the thread that polls: beside a busy poll loop it was seen to block for minutes.

        Returns:
            Whether the login goes by the same mechanism; if not, nothing was changed.
        """
        if _mechanism({"sasl.mechanism": self._mechanism}, login) != self._mechanism:
            return False
        self.client.set_sasl_credentials(login.username, login.password.reveal_text())
        return True

    def release(self) -> None:
        """Let the client go; librdkafka ends its threads and connections."""
        self.client = None

    def _note_error(self, error: KafkaError) -> None:
        if error.code() == error._AUTHENTICATION:
            self._was_refused = True
            self._on_refused(self)
        elif self._on_error is not None:
            self._on_error(error)


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
        """Wait for what comes of :meth:`deny`; return whether a session is ready."""
        self._answered.wait(seconds)
        return self.ready is not None

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


def _mechanism(config: Mapping[str, Any], login: Login) -> str:
    return login.mechanism or config.get("sasl.mechanism") or config.get("sasl.mechanisms") or DEFAULT_MECHANISM

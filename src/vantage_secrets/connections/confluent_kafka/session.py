"""One client of librdkafka with one login."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vantage_secrets.connections.following import Login
from vantage_secrets.errors import (
    CredentialRefusedError,
    InvalidInputError,
    MissingExtraError,
    TargetUnavailableError,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

DEFAULT_MECHANISM: Final = "SCRAM-SHA-512"
LOGIN_SECONDS_MAX: Final = 10.0
"""How long a fresh login may take before it counts as an outage."""

RELEASE_SECONDS_MAX: Final = 10.0
"""How long the end of a client is waited for."""

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
        """Let the client go; librdkafka ends its threads and connections.

        It does not always come to an end of that where no broker answers (librdkafka issue 4519). It then goes on in a
        thread that nobody waits for, and the next login is followed all the same.
        """
        gone, self.client = [self.client], None
        destroying = threading.Thread(target=gone.clear, name="vantage-secrets-release", daemon=True)
        destroying.start()
        destroying.join(RELEASE_SECONDS_MAX)

    def _note_error(self, error: KafkaError) -> None:
        if error.code() == error._AUTHENTICATION:
            self._was_refused = True
            self._on_refused(self)
        elif self._on_error is not None:
            self._on_error(error)


def _mechanism(config: Mapping[str, Any], login: Login) -> str:
    return login.mechanism or config.get("sasl.mechanism") or config.get("sasl.mechanisms") or DEFAULT_MECHANISM

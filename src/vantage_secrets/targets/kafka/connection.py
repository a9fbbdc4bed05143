"""One client of Kafka's, logged in as somebody: every call is bounded, and a refusal is told from an outage.

librdkafka reports a refused login through the error callback only; the call itself ends like an outage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from vantage_secrets.errors import CredentialRefusedError, MissingExtraError, RotationError, TargetUnavailableError
from vantage_secrets.targets.kafka.login import Login

SECONDS_MAX = 5.0
"""How long one call, with the login before it, may take."""

ALLOW = "Allow the target's admin_user Alter, Describe, DescribeConfigs and AlterConfigs on the cluster."

_T = TypeVar("_T")

_PASSING = frozenset({"NETWORK_EXCEPTION", "REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE", "NOT_CONTROLLER"})
"""A broker's answers that say nothing but "not now"; beside them all of librdkafka's own, whose names begin with _."""


class BrokerRefusedError(RotationError):
    """A broker answered a call, and refused it.

    Attributes:
        name: Kafka's own name of the refusal, such as ``CLUSTER_AUTHORIZATION_FAILED``.
    """

    def __init__(self, name: str, message: str, *, hint: str | None = None) -> None:
        """Keep ``name`` beside the message."""
        super().__init__(message, hint=hint)
        self.name = name


class Connection:
    """A client that is logged in by its first call.

    Args:
        brokers: Where it logs in, ``host:port``; one address pins the login to that broker.
        login: As whom.
        settings: How brokers are talked to, in librdkafka's words.
    """

    def __init__(self, brokers: tuple[str, ...], login: Login, settings: Mapping[str, str]) -> None:
        """Make the client; nothing is sent yet.

        Raises:
            MissingExtraError: confluent-kafka is not installed.
            RotationError: librdkafka does not take the settings.
        """
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError:
            raise MissingExtraError("confluent-kafka", "kafka") from None
        self.place = ", ".join(brokers)
        self._login = login
        # No reference to self in the callback: a cycle would keep the client's threads until the next collection.
        self._words: list[tuple[str, str]] = []
        try:
            self._client = AdminClient(
                _client_settings(brokers, login) | {**settings, "error_cb": _noting(self._words)}
            )
        except KafkaException as exc:
            # SECURITY: without the cause, whose text may repeat a setting.
            raise RotationError(
                f"The settings for Kafka at {self.place} cannot be used: {exc.args[0].name()}.",
                hint="Look at 'security' and 'ca_file' of the target in vantage-secrets.toml.",
            ) from None

    def ask(self, what: str, call: Callable[[Any], Future[_T]]) -> _T:
        """Return what ``call`` of an ``AdminClient`` leads to; ``what`` completes "Kafka did not …".

        Raises:
            CredentialRefusedError: The login was refused by the broker's own word.
            BrokerRefusedError: The broker refused the call.
            TargetUnavailableError: No answer within ``SECONDS_MAX``.
        """
        return self._wait(call(self._client), what)

    def ask_all(self, what: str, call: Callable[[Any], Mapping[Any, Future[Any]]]) -> None:
        """Wait for all that one call leads to; raises as :meth:`ask` does, at the first that fails."""
        for future in call(self._client).values():
            self._wait(future, what)

    def _wait(self, future: Future[_T], what: str) -> _T:
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + SECONDS_MAX
        while True:
            try:
                return future.result(timeout=0.05)
            except TimeoutError:
                self._look_for_refusal()
                if time.monotonic() > deadline:
                    raise TargetUnavailableError(f"Kafka at {self.place} did not {what}{self._last_words()}.") from None
            except KafkaException as exc:
                self._look_for_refusal()
                self._raise_for(exc, what)

    def _raise_for(self, exc: Any, what: str) -> None:
        # SECURITY: the error's name and not its text: a broker's text can hold the whole request.
        name = exc.args[0].name()
        if name.startswith("_") or name in _PASSING:
            raise TargetUnavailableError(f"Kafka at {self.place} did not {what}: {name}{self._last_words()}.") from None
        message = f"Kafka did not {what} for '{self._login.username}': {name}."
        raise BrokerRefusedError(name, message, hint=ALLOW if "AUTHORIZATION" in name else None) from None

    def _look_for_refusal(self) -> None:
        """Raise when the broker that the login goes to has refused it.

        An authentication error alone is no refusal: librdkafka reports a connection that broke during the login so.
        """
        self._client.poll(0)
        for name, text in self._words:
            # Brokers that are learned of after the login carry their number, the first one "bootstrap".
            if name != "_AUTHENTICATION" or "/bootstrap" not in text:
                continue
            if "invalid credentials" in text.lower():
                raise CredentialRefusedError(f"Kafka at {self.place} refused the login of '{self._login.username}'.")
            if "Unsupported SASL mechanism" in text:
                raise CredentialRefusedError(
                    f"Kafka at {self.place} takes no logins by {self._login.mechanism}.",
                    hint="Add it to 'sasl.enabled.mechanisms' of the brokers, or change the target's 'mechanism'.",
                )

    def _last_words(self) -> str:
        self._client.poll(0)
        words = [text for name, text in self._words if name != "_ALL_BROKERS_DOWN"]
        return f" ({words[-1]})" if words else ""


def _noting(words: list[tuple[str, str]]) -> Callable[[Any], None]:
    def note(error: Any) -> None:
        words.append((error.name(), error.str()))

    return note


def _client_settings(brokers: tuple[str, ...], login: Login) -> dict[str, Any]:
    return {
        "bootstrap.servers": ",".join(brokers),
        "sasl.mechanism": login.mechanism,
        "sasl.username": login.username,
        "sasl.password": login.password.reveal_text(),
        "client.id": "vantage-secrets",
        "log_level": 0,  # librdkafka would write to standard error
    }

"""Doors, and whether a credential opens them: tried by bare clients that know nothing of vantage-secrets.

A refusal is an answer. A door that gives none proves nothing, and is told apart.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from vantage_secrets.credential import Credential
from vantage_secrets.secret import SecretValue

_SECONDS_MAX = 10.0
_REFUSED_BY_CLICKHOUSE = (192, 193, 516)  # unknown user, wrong password, authentication failed


class Answer(StrEnum):
    """What a door said."""

    OPENED = "accepted"
    REFUSED = "refused"
    NONE = "no answer"


Door = Callable[[SecretValue], Answer]
"""Tries a credential; never raises for what the door says."""


def http_door(port: int, method: str, path: str, body: bytes = b"") -> Door:
    """Return the door of a service on loopback that wants an ``X-API-Key``."""

    def attempt(value: SecretValue) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS_MAX)
        try:
            connection.request(method, path, body=body, headers={"X-API-Key": value.reveal_text()})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return Answer.NONE
        finally:
            connection.close()
        return {200: Answer.OPENED, 202: Answer.OPENED, 401: Answer.REFUSED}.get(status, Answer.NONE)

    return attempt


def kafka_door(bootstrap: str, account: str) -> Door:
    """Return the door of a Kafka cluster: a login and a look at the topics."""

    def attempt(value: SecretValue) -> Answer:
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import AdminClient

        refused = threading.Event()

        def note(error: Any) -> None:
            if error.code() == KafkaError._AUTHENTICATION:
                refused.set()

        login = Credential.of(value, account=account)
        settings: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "log_level": 0,
            "sasl.username": login.username,
            "sasl.password": login.password.reveal_text(),
            "error_cb": note,
        }
        client = AdminClient(settings)
        deadline = time.monotonic() + _SECONDS_MAX
        while time.monotonic() < deadline and not refused.is_set():
            try:
                client.list_topics(timeout=0.5)
                return Answer.OPENED
            except KafkaException:
                client.poll(0.1)  # the word "refused" comes through the callback
        return Answer.REFUSED if refused.is_set() else Answer.NONE

    return attempt


def clickhouse_door(host: str, port: int, account: str) -> Door:
    """Return the door of a ClickHouse server's native protocol: a login and ``SELECT 1``."""

    def attempt(value: SecretValue) -> Answer:
        from clickhouse_driver import Client
        from clickhouse_driver.errors import Error

        login = Credential.of(value, account=account)
        client = Client(
            host, port=port, user=login.username, password=login.password.reveal_text(), connect_timeout=_SECONDS_MAX
        )
        try:
            client.execute("SELECT 1")
        except Error as exc:
            return Answer.REFUSED if exc.code in _REFUSED_BY_CLICKHOUSE else Answer.NONE
        except OSError:
            return Answer.NONE
        finally:
            client.disconnect()
        return Answer.OPENED

    return attempt

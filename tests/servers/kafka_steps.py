"""What tests do to a real Apache Kafka, and to the target that rotates there."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from itertools import count
from typing import Any, NoReturn

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.canary import canary
from tests.servers.kafka import KafkaServer
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.manifest.fields import KAFKA
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.contract import TargetContext
from vantage_secrets.targets.kafka import KafkaTarget

NAME = SecretName("vantage/kafka-password")
LOGIN_SECONDS_MAX = 20
_SERIAL = count(1)


def new_account() -> str:
    """Return an account that no other test has: SCRAM credentials cannot be taken back."""
    return f"worker-{secrets.token_hex(4)}"


def make_reading(value: SecretValue) -> SecretReading:
    """Return a reading of a version that no other has."""
    return SecretReading(value, SecretVersion(NAME, f"version-{next(_SERIAL)}", Stage.PENDING, utc_now()))


def open_kafka(server: KafkaServer, account: str, *, password: str | None = None, **settings: Any) -> KafkaTarget:
    """Return a target for ``account``, with the administrator's password or another, as a manifest would give it."""
    values: dict[str, Any] = {field.name: field.default for field in KAFKA}
    values |= {"bootstrap": tuple(server.bootstrap.split(",")), "security": "sasl-plaintext", "admin_secret": "admin"}
    values |= settings
    administrator = Credential(values["admin_user"], SecretValue(password or server.password))
    spec = SecretSpec(
        "VANTAGE_KAFKA_PASSWORD",
        NAME,
        KafkaTarget.kind,
        "the event stream",
        "platform",
        ("worker",),
        timedelta(days=90),
        timedelta(days=1),
        required=True,
        feature=None,
        target="kafka",
        account=account,
    )
    table = TargetSettings("kafka", "kafka", values)
    return KafkaTarget(TargetContext(spec, table, _no_database, lambda: administrator, utc_now))


def _no_database() -> NoReturn:
    raise AssertionError("the Kafka target keeps nothing in the control database")


def give_password(server: KafkaServer, username: str, mechanism: str = "SCRAM-SHA-512") -> str:
    """Make the broker accept a fresh password, as somebody before vantage-secrets would have, and return it."""
    password = canary("kafka")
    info = ScramCredentialInfo(ScramMechanism[mechanism.replace("-", "_")], 4096)
    change = UserScramCredentialUpsertion(username, info, password.encode())
    server.admin().alter_user_scram_credentials([change])[username].result()
    wait_until(lambda: lets_in(server, username, password, mechanism))
    return password


def lets_in(server: KafkaServer, username: str, password: str, mechanism: str = "SCRAM-SHA-512") -> bool:
    """Log in with the bare SDK; an outage is an error and no answer."""
    words: list[str] = []
    more: dict[str, Any] = {"sasl.mechanism": mechanism, "error_cb": lambda error: words.append(error.name())}
    client = Producer(server.client(username, password, **more))
    deadline = time.monotonic() + LOGIN_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            client.list_topics(timeout=0.1)
        except KafkaException:
            client.poll(0)
            if "_AUTHENTICATION" in words:
                return False
        else:
            return True
    raise AssertionError(f"Kafka did not answer a login: {words}")


def wait_until(is_so: Any) -> None:
    """Return when ``is_so()`` is true."""
    deadline = time.monotonic() + LOGIN_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)

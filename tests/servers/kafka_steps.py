"""What tests do to a real Apache Kafka, and to the target that rotates there."""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.canary import canary
from tests.servers.kafka import KafkaServer
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.manifest.fields import KAFKA
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.contract import TargetContext
from vantage_secrets.targets.kafka import KafkaTarget
from vantage_secrets.targets.kafka.login import Login

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
    values |= {"bootstrap": tuple(server.bootstrap.split(",")), "admin_secret": "admin"}
    certificate = server.certificate
    values |= {"security": "sasl-plaintext" if certificate is None else "sasl-ssl"}
    values |= {"ca_file": None if certificate is None else certificate.ca_file}
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


def give_password(
    server: KafkaServer, username: str, mechanism: str = "SCRAM-SHA-512", password: str | None = None
) -> str:
    """Make the broker accept a password, a fresh one by default, as somebody before us would have, and return it."""
    password = password or canary("kafka")
    info = ScramCredentialInfo(ScramMechanism[mechanism.replace("-", "_")], 4096)
    change = UserScramCredentialUpsertion(username, info, password.encode())
    admin = server.admin()  # a client that nobody holds is ended with its calls
    admin.alter_user_scram_credentials([change])[username].result()
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


def allow(server: KafkaServer, username: str, *acls: AclBinding) -> None:
    """Give a principal ACLs; each binding's own principal is replaced."""
    change_acls(server, [of_principal(acl, username) for acl in acls])


def change_acls(server: KafkaServer, acls: list[AclBinding]) -> None:
    """Create ACLs and wait until the broker tells of them."""
    admin = server.admin()
    for future in admin.create_acls(acls).values():
        future.result()
    wait_until(lambda: {*acls} <= {acl for one in acls for acl in acls_of(server, one.principal)})


def of_principal(acl: AclBinding, username: str) -> AclBinding:
    """Return the same ACL for another principal."""
    return AclBinding(
        acl.restype,
        acl.name,
        acl.resource_pattern_type,
        f"User:{username}",
        acl.host,
        acl.operation,
        acl.permission_type,
    )


def acl(
    resource: ResourceType, name: str, operation: AclOperation, *, prefixed: bool = False, allow: bool = True
) -> AclBinding:
    """Return an ACL of nobody yet."""
    return AclBinding(
        resource,
        name,
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        "User:nobody",
        "*",
        operation,
        AclPermissionType.ALLOW if allow else AclPermissionType.DENY,
    )


def acls_of(server: KafkaServer, username: str) -> set[AclBinding]:
    """Return a principal's ACLs as the administrator sees them; takes ``User:NAME`` and ``NAME``."""
    anything: Any = None
    wanted = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        f"User:{username.removeprefix('User:')}",
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    admin = server.admin()
    return {*admin.describe_acls(wanted).result()}


def platform_acls(topic: str) -> tuple[AclBinding, ...]:
    """Return what a service needs that produces to and consumes from ``topic``, also in transactions."""
    return (
        acl(ResourceType.TOPIC, topic, AclOperation.READ),
        acl(ResourceType.TOPIC, topic, AclOperation.WRITE),
        acl(ResourceType.TOPIC, f"{topic}-dead-", AclOperation.WRITE, prefixed=True),
        acl(ResourceType.GROUP, topic, AclOperation.READ),
        acl(ResourceType.TRANSACTIONAL_ID, topic, AclOperation.WRITE, prefixed=True),
    )


def make_topic(server: KafkaServer) -> str:
    """Return a topic that no other test has."""
    topic = f"events-{secrets.token_hex(4)}"
    admin = server.admin()
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    return topic


def send(producer: Producer, topic: str, text: str) -> str:
    """Produce one message, wait for its end, and return the error's name, empty when it was delivered."""
    ends: list[str] = []
    producer.produce(topic, text, on_delivery=lambda error, message: ends.append("" if error is None else error.name()))
    wait_until(lambda: producer.poll(0.05) is not None and ends)
    return ends[0]


def receive(consumer: Consumer, count: int) -> list[str]:
    """Return the next messages' texts."""
    found: list[str] = []

    def has_all() -> bool:
        message = consumer.poll(0.1)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message.value().decode())
        return len(found) >= count

    wait_until(has_all)
    return found


Limits = dict[str, float]


def change_quotas(server: KafkaServer, username: str, limits: Limits, *, client_id: str | None = None) -> None:
    """Set a principal's quotas, by the requests of kafka-python: no client has a public call."""
    requests, ask = _quota_requests(server)
    entity = [("user", username), *([("client-id", client_id)] if client_id else [])]
    answer = ask(
        requests.AlterClientQuotasRequest(
            entries=[(entity, [(key, limit, False) for key, limit in limits.items()])], validate_only=False
        )
    )
    assert [entry.error_code for entry in answer.entries] == [0]
    wait_until(lambda: quotas_of(server, username).get(client_id or "", {}).items() >= limits.items())


def quotas_of(server: KafkaServer, username: str) -> dict[str, Limits]:
    """Return a principal's quotas by client id, empty for those that hold for all."""
    requests, ask = _quota_requests(server)
    answer = ask(requests.DescribeClientQuotasRequest(components=[("user", 0, username)], strict=False))
    found = {}
    for entry in answer.entries:
        client_ids = [part.entity_name for part in entry.entity if part.entity_type == "client-id"]
        found["".join(client_ids)] = {limit.key: limit.value for limit in entry.values}
    return found


def _quota_requests(server: KafkaServer) -> tuple[Any, Callable[[Any], Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python's own, while it is imported
        import kafka
        from kafka.protocol.admin import client_quotas

    def ask(request: Any) -> Any:
        client = kafka.KafkaAdminClient(
            bootstrap_servers=server.bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=server.username,
            sasl_plain_password=server.password,
        )
        try:
            return client._manager.run(client._manager.send, request)
        finally:
            client.close()

    return client_quotas, ask


def imported(server: KafkaServer, account: str) -> SecretReading:
    """Return a plain password that was there before vantage-secrets, as an import reads it."""
    return make_reading(SecretValue(give_password(server, account)))


def login_of(reading: SecretReading, account: str) -> Login:
    """Return what a client logs in with."""
    return Login.of(reading.value, account=account, mechanism="SCRAM-SHA-512")


def client_of(server: KafkaServer, reading: SecretReading, account: str, **more: object) -> dict[str, object]:
    """Return settings of a ``confluent_kafka`` client that logs in with ``reading``."""
    found = login_of(reading, account)
    more = {"sasl.mechanism": found.mechanism, **more}
    return server.client(found.username, found.password.reveal_text(), **more)


def rotate(target: KafkaTarget, current: SecretReading) -> SecretReading:
    """Return the next credential, installed and verified beside ``current``."""
    pending = make_reading(target.generate(current))
    target.install(pending, keep=current)
    target.verify(pending)
    return pending


def end(target: KafkaTarget, previous: SecretReading, current: SecretReading) -> None:
    """Revoke ``previous`` and see it refused, beside ``current``, which works."""
    target.revoke(previous, keep=current)
    target.verify_refused(previous)
    target.verify(current)

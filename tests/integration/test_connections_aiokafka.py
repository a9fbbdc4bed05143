"""A producer and a consumer of aiokafka follow a rotation on a real Kafka: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.connections_steps import NAME, SECONDS_MAX, ChangingSecret
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import AclOperation, ResourceType, acl, allow, give_password, make_topic, new_account
from vantage_secrets.connections.aiokafka import FollowingConsumer, FollowingProducer
from vantage_secrets.errors import CredentialRefusedError, InvalidInputError, TargetUnavailableError

pytest_plugins = ["tests.servers.kafka_fixtures"]
pytestmark = pytest.mark.xdist_group("kafka")


class Stream:
    """A topic, principals that may use it, and what went through."""

    def __init__(self, server: KafkaServer) -> None:
        self.server = server
        self.topic = make_topic(server)
        self.account = new_account()
        self.secret = ChangingSecret()
        self.sent = 0
        self.received: list[int] = []

    def rotate(self, slot: str) -> str:
        """Make another principal current in the store, and return the version."""
        name = f"{self.account}-{slot}"
        rights = [acl(kind, self.topic, AclOperation.ALL) for kind in (ResourceType.TOPIC, ResourceType.GROUP)]
        allow(self.server, name, *rights)
        return self.secret.put_login(name, give_password(self.server, name))

    def end(self, slot: str) -> None:
        """Do what a revoke does: overwrite the password, and deny everything."""
        name = f"{self.account}-{slot}"
        denials = [
            acl(kind, self.topic, AclOperation.ALL, allow=False) for kind in (ResourceType.TOPIC, ResourceType.GROUP)
        ]
        allow(self.server, name, *denials)
        give_password(self.server, name)

    @property
    def settings(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.server.bootstrap, "security_protocol": "SASL_PLAINTEXT"}

    def producer(self) -> FollowingProducer:
        return FollowingProducer(self.secret.client, NAME, **self.settings, enable_idempotence=True)

    def consumer(self, **more: Any) -> FollowingConsumer:
        more = {"group_id": self.topic, "auto_offset_reset": "earliest", "enable_auto_commit": False, **more}
        return FollowingConsumer(self.secret.client, NAME, self.topic, **self.settings, **more)

    async def send(self, producer: FollowingProducer, count: int) -> None:
        """Send numbers, each before the one before is delivered, and wait for all."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        await asyncio.gather(*[await producer.send(self.topic, str(number).encode(), b"one") for number in numbers])

    async def receive(self, consumer: FollowingConsumer) -> None:
        """Take what is there and commit it."""
        for records in (await consumer.getmany(timeout_ms=100)).values():
            self.received += [int(record.value) for record in records]
            await consumer.commit()


@asynccontextmanager
async def going_on(step: Callable[[], Any], pause_seconds: float = 0.0) -> AsyncIterator[None]:
    """Do something again and again until the block ends; what it raises is raised then."""
    is_over = False

    async def loop() -> None:
        while not is_over:
            await step()
            await asyncio.sleep(pause_seconds)

    task = asyncio.ensure_future(loop())
    try:
        yield
    finally:
        is_over = True
        await task


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.fixture
async def stream(kafka: KafkaServer) -> AsyncIterator[Stream]:
    stream = Stream(kafka)
    with stream.secret.client:
        yield stream


async def test_two_changes_of_principal_under_load_lose_and_double_nothing(stream: Stream) -> None:
    stream.rotate("a")
    async with stream.producer() as producer, stream.consumer() as consumer:
        async with going_on(lambda: stream.receive(consumer)), going_on(lambda: stream.send(producer, 5), 0.01):
            for old, new in (("a", "b"), ("b", "c")):
                version = stream.rotate(new)
                await asyncio.to_thread(stream.secret.tell)
                await until(lambda version=version: stream.secret.is_held_by_all(version))
                stream.end(old)
                seen = stream.sent
                await until(lambda seen=seen: stream.sent > seen + 100)
        await producer.flush()
        async with asyncio.timeout(SECONDS_MAX):
            while len(stream.received) < stream.sent:
                await stream.receive(consumer)
    assert stream.received == list(range(stream.sent))
    assert stream.secret.held == {}


async def test_clients_that_were_told_nothing_ask_when_they_are_denied(stream: Stream) -> None:
    stream.rotate("a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 20)
        while len(stream.received) < 20:
            await stream.receive(consumer)
        version = stream.rotate("b")
        stream.end("a")
        await stream.send(producer, 50)
        async with asyncio.timeout(SECONDS_MAX):
            while len(stream.received) < 70:
                await stream.receive(consumer)
        await until(lambda: stream.secret.is_held_by_all(version))
        assert stream.secret.fetch_count <= 3
    assert stream.received == list(range(70))


async def test_clients_whose_connections_are_cut_and_refused_find_out_by_a_fresh_login(stream: Stream) -> None:
    stream.rotate("a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 5)
        while len(stream.received) < 5:
            await stream.receive(consumer)
        version = stream.rotate("b")
        give_password(stream.server, f"{stream.account}-a")
        await asyncio.to_thread(stream.server.restart)
        async with going_on(lambda: stream.receive(consumer)):
            await stream.send(producer, 5)
            await until(lambda: len(stream.received) >= 10)
        await until(lambda: stream.secret.is_held_by_all(version))
    assert stream.received == list(range(10))


async def test_what_was_handed_out_and_not_committed_is_not_handed_out_again(stream: Stream) -> None:
    stream.rotate("a")
    async with stream.producer() as producer, stream.consumer() as consumer:
        await stream.send(producer, 30)
        numbers = [int((await consumer.getone()).value) for _ in range(20)]
        version = stream.rotate("b")
        stream.secret.tell()
        while len(numbers) < 30 or stream.secret.held[consumer._used._following.connection] != version:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                numbers += [int(record.value) for record in records]
        await consumer.commit()
    assert numbers == list(range(30))
    async with stream.consumer() as consumer:
        assert await consumer.getmany(timeout_ms=1000) == {}


async def test_a_login_that_is_refused_twice_is_an_error_after_one_refresh(stream: Stream) -> None:
    stream.secret.put_login(stream.account, canary())
    producer = stream.producer()
    with pytest.raises(CredentialRefusedError, match=stream.account):
        await producer.start()
    await producer.stop()
    assert stream.secret.fetch_count == 2
    assert stream.secret.held == {}


async def test_a_right_that_the_current_user_lacks_is_an_error_after_one_refresh(stream: Stream) -> None:
    from aiokafka.errors import TopicAuthorizationFailedError

    stream.rotate("a")
    other = make_topic(stream.server)
    async with stream.producer() as producer:
        for _ in range(3):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(other, b"x")
    assert stream.secret.fetch_count == 2


async def test_kafka_being_away_is_an_outage(stream: Stream) -> None:
    stream.secret.put_login(stream.account, canary())
    settings = {**stream.settings, "bootstrap_servers": "127.0.0.1:1"}
    for following in (
        FollowingProducer(stream.secret.client, NAME, **settings),
        FollowingConsumer(stream.secret.client, NAME, stream.topic, group_id="g", **settings),
    ):
        with pytest.raises(TargetUnavailableError):
            await following.start()
        await following.stop()
    assert stream.secret.fetch_count == 1


async def test_settings_with_a_login_or_a_transaction_are_refused(stream: Stream) -> None:
    stream.rotate("a")
    with pytest.raises(InvalidInputError, match="sasl_plain_password"):
        FollowingConsumer(stream.secret.client, NAME, stream.topic, sasl_plain_password="x")
    with pytest.raises(InvalidInputError, match="transactional"):
        FollowingProducer(stream.secret.client, NAME, transactional_id="x")

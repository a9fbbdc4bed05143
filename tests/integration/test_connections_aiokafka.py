"""A producer and a consumer of aiokafka follow a rotation on a real Kafka: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import CloseReason
from aiokafka.structs import OffsetAndMetadata

from tests.canary import canary
from tests.servers.connections_steps import NAME, SECONDS_MAX, ChangingSecret
from tests.servers.kafka import KafkaServer
from tests.servers.kafka_steps import AclOperation, ResourceType, acl, allow, give_password, make_topic, new_account
from vantage_secrets.connections.aiokafka import FollowingConsumer, FollowingProducer
from vantage_secrets.connections.aiokafka import consumer as consumer_module
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

    async def receive_all(self, consumer: FollowingConsumer, count: int) -> None:
        """Take and commit until so many came in all."""
        await until(lambda: len(self.received) >= count, f"message {count}", lambda: self.receive(consumer))


@asynccontextmanager
async def going_on(step: Callable[[], Any], pause_seconds: float = 0.0) -> AsyncIterator[None]:
    """Do something again and again until the block ends; what it raises ends the block at once."""
    is_over = False

    async def loop() -> None:
        while not is_over:
            try:
                await step()
            except asyncio.CancelledError:
                assert is_over, "a step was cancelled, and not by this test"
                raise
            await asyncio.sleep(pause_seconds)

    async with asyncio.TaskGroup() as group:
        group.create_task(loop())
        try:
            yield
        finally:
            is_over = True


async def until(is_so: Callable[[], object], what: str = "it", step: Callable[[], Any] | None = None) -> None:
    """Return when ``is_so()`` is true, doing ``step()`` meanwhile."""
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, f"{what} never came to be"
        await (step() if step is not None else asyncio.sleep(0.01))


def cut(client: Any) -> None:
    """End the connections of a client of aiokafka as a broken network would."""
    for connection in [*client._conns.values()]:
        connection.close(CloseReason.CONNECTION_BROKEN)


def ending(test: Callable[[Stream], Coroutine[Any, Any, None]]) -> Callable[[Stream], Coroutine[Any, Any, None]]:
    """Have a test fail when it hangs, and say where."""

    @functools.wraps(test)
    async def run(stream: Stream) -> None:
        try:
            async with asyncio.timeout(1.5 * SECONDS_MAX):
                await test(stream)
        except TimeoutError as exc:
            raise AssertionError(f"the test did not end in {1.5 * SECONDS_MAX:.0f} s") from exc

    return run


async def committed_slowly(bare: AIOKafkaConsumer, place: Any) -> Any:
    """Answer as a coordinator under load: what comes of a fetch is there before."""
    await asyncio.sleep(0.3)
    return (await bare._coordinator.fetch_committed_offsets([place])).get(place, OffsetAndMetadata(0, "")).offset


@pytest.fixture
async def stream(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stream]:
    for constant, seconds in (("HOLD_SECONDS_MAX", 2.0), ("QUIET_SECONDS", 1.0), ("_COMMIT_SECONDS", 0.5)):
        monkeypatch.setattr(consumer_module, constant, seconds)
    monkeypatch.setattr(AIOKafkaConsumer, "committed", committed_slowly)
    stream = Stream(kafka)
    with stream.secret.client:
        yield stream


@ending
async def test_two_changes_of_principal_under_load_lose_and_double_nothing(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer() as consumer:
        async with going_on(lambda: stream.receive(consumer)), going_on(lambda: stream.send(producer, 5), 0.01):
            for old, new in (("a", "b"), ("b", "c")):
                version = await asyncio.to_thread(stream.rotate, new)
                await asyncio.to_thread(stream.secret.tell)
                await until(lambda version=version: stream.secret.is_held_by_all(version), "the new version")
                await asyncio.to_thread(stream.end, old)
                seen = stream.sent
                await until(lambda seen=seen: stream.sent > seen + 100, "a hundred more")
        await producer.flush()
        await until(lambda: len(stream.received) >= stream.sent, "the last message", lambda: stream.receive(consumer))
    assert stream.received == list(range(stream.sent))
    assert stream.secret.held == {}


@ending
async def test_clients_that_were_told_nothing_ask_when_they_are_denied(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 20)
        await stream.receive_all(consumer, 20)
        version = await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(stream.end, "a")
        await stream.send(producer, 50)
        await stream.receive_all(consumer, 70)
        await until(lambda: stream.secret.is_held_by_all(version), "the new version")
        assert stream.secret.fetch_count <= 3
    assert stream.received == list(range(70))


@ending
async def test_clients_whose_connections_are_cut_and_refused_find_out_by_a_fresh_login(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 5)
        await stream.receive_all(consumer, 5)
        version = await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(give_password, stream.server, f"{stream.account}-a")
        await asyncio.to_thread(stream.server.restart)
        async with going_on(lambda: stream.receive(consumer)):
            await stream.send(producer, 5)
            await until(lambda: len(stream.received) >= 10, "the last message")
        await until(lambda: stream.secret.is_held_by_all(version), "the new version")
    assert stream.received == list(range(10))


@ending
async def test_a_consumer_that_is_cut_and_refused_while_its_group_forms_anew_finds_out(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.consumer(group_instance_id="one") as consumer:
        version = await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(give_password, stream.server, f"{stream.account}-a")
        broker = stream.server._processes[1].pid
        os.kill(broker, signal.SIGSTOP)
        try:
            consumer._bare._coordinator.request_rejoin()
            await until(lambda: consumer._bare._subscription.reassignment_in_progress, "a group that forms anew")
            cut(consumer._bare._client)
        finally:
            os.kill(broker, signal.SIGCONT)
        await until(lambda: stream.secret.is_held_by_all(version), "the new version", lambda: stream.receive(consumer))


@ending
async def test_a_producer_that_is_cut_and_refused_before_its_first_message_finds_out(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer:
        stream.topic = await asyncio.to_thread(make_topic, stream.server)  # One that the producer has not heard of.
        version = await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(give_password, stream.server, f"{stream.account}-a")
        cut(producer._bare.client)
        await stream.send(producer, 5)
        await until(lambda: stream.secret.is_held_by_all(version), "the new version")


@ending
async def test_a_commit_that_is_cut_and_refused_is_done_by_the_next_login(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 5)
        assert (await consumer.getone()).value == b"0"
        await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(give_password, stream.server, f"{stream.account}-a")
        cut(consumer._bare._client)
        await consumer.commit()
        assert (await consumer.getone()).value == b"1"
    async with stream.consumer(group_instance_id="one") as consumer:
        assert (await consumer.getone()).value == b"1"


@ending
async def test_a_commit_that_is_denied_is_done_by_the_next_login(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer(group_instance_id="one") as consumer:
        await stream.send(producer, 5)
        assert (await consumer.getone()).value == b"0"
        await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(stream.end, "a")
        await consumer.commit()
        assert (await consumer.getone()).value == b"1"
    async with stream.consumer(group_instance_id="one") as consumer:
        assert (await consumer.getone()).value == b"1"


@ending
async def test_what_was_handed_out_and_not_committed_is_not_handed_out_again(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    async with stream.producer() as producer, stream.consumer() as consumer:
        await stream.send(producer, 30)
        numbers = [int((await consumer.getone()).value) for _ in range(20)]
        version = await asyncio.to_thread(stream.rotate, "b")
        await asyncio.to_thread(stream.secret.tell)

        async def take() -> None:
            nonlocal numbers
            for records in (await consumer.getmany(timeout_ms=100)).values():
                numbers += [int(record.value) for record in records]

        await until(
            lambda: len(numbers) >= 30 and stream.secret.held[consumer._used._following.connection] == version,
            "the new version and the last message",
            take,
        )
        for _ in range(5):
            await take()
        await consumer.commit()
    assert numbers == list(range(30))
    async with stream.consumer() as consumer:
        assert await consumer.getmany(timeout_ms=1000) == {}


@ending
async def test_a_login_that_is_refused_twice_is_an_error_after_one_refresh(stream: Stream) -> None:
    stream.secret.put_login(stream.account, canary())
    producer = stream.producer()
    with pytest.raises(CredentialRefusedError, match=stream.account):
        await producer.start()
    await producer.stop()
    assert stream.secret.fetch_count == 2
    assert stream.secret.held == {}


@ending
async def test_a_right_that_the_current_user_lacks_is_an_error_after_one_refresh(stream: Stream) -> None:
    from aiokafka.errors import TopicAuthorizationFailedError

    await asyncio.to_thread(stream.rotate, "a")
    other = make_topic(stream.server)
    async with stream.producer() as producer:
        for _ in range(3):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(other, b"x")
    assert stream.secret.fetch_count == 2


@ending
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


@ending
async def test_settings_with_a_login_or_a_transaction_are_refused(stream: Stream) -> None:
    await asyncio.to_thread(stream.rotate, "a")
    with pytest.raises(InvalidInputError, match="sasl_plain_password"):
        FollowingConsumer(stream.secret.client, NAME, stream.topic, sasl_plain_password="x")
    with pytest.raises(InvalidInputError, match="transactional"):
        FollowingProducer(stream.secret.client, NAME, transactional_id="x")

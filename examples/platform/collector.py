"""The collector: takes events over HTTP from whoever shows a valid ``X-API-Key``, and puts them on the bus.

    POST /v1/events   {"id": "…", "kind": "click"}, or a list of such   ->   202 when the bus has them for good

Several versions of the key are valid at once while it rotates. Its own login to Kafka is the secret
``KAFKA_SASL_PASSWORD``, and its connection follows when that one rotates.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import Any, NamedTuple

from events import TOPIC, Event, MalformedEventError, events_of
from serving import Handler, Service
from settings import settings
from vantage_secrets import SecretName, default_client
from vantage_secrets.database import Database
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.manifest import find_manifest, load
from vantage_secrets.targets.api_key import ApiKeyVerifier

KEY = SecretName("vantage/api-key")
DELIVERY_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.002


class Delivery:
    """Waits until the bus has every event of one request."""

    def __init__(self, count: int) -> None:
        """Wait for ``count`` of them."""
        self._missing = count
        self._is_good = True
        self._done = threading.Event()

    def note(self, error: object) -> None:
        """Take the bus's word on one event; called in the publisher's thread only."""
        self._is_good = self._is_good and error is None
        self._missing -= 1
        if self._missing <= 0:
            self._done.set()

    def succeeded(self) -> bool:
        """Return whether the bus has them all; waits for its answer."""
        return self._done.wait(DELIVERY_SECONDS_MAX) and self._is_good


class _Waiting(NamedTuple):
    event: Event
    delivery: Delivery


class Publisher(threading.Thread):
    """The one thread that talks to the bus: a producer is used, polled and moved to a new credential here."""

    def __init__(self) -> None:
        """Get ready; ``start`` begins."""
        super().__init__(name="publisher")
        self._inbox: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._outstanding = 0
        self._is_stopping = False
        self.is_ready = threading.Event()

    def publish(self, events: list[Event]) -> Delivery:
        """Send ``events`` and return what waits for their delivery."""
        delivery = Delivery(len(events))
        for event in events:
            self._inbox.put(_Waiting(event, delivery))
        return delivery

    def stop(self) -> None:
        """Deliver what was taken, then end."""
        self._inbox.put(None)
        self.join()

    def run(self) -> None:
        """Produce and poll until all is delivered and nobody sends any more."""
        producer = open_producer()
        self.is_ready.set()
        while not self._is_stopping or self._outstanding:
            self._produce_waiting(producer)
            try:
                producer.poll(_POLL_SECONDS if self._outstanding else 0)
            except VantageSecretsError as exc:  # no login works; it goes on with the next version of the secret
                print(f"the bus: {exc}", file=sys.stderr, flush=True)
        producer.flush(DELIVERY_SECONDS_MAX)
        producer.close()

    def _produce_waiting(self, producer: Any) -> None:
        """Hand over what has come; wait a little for the first where nothing else is to be done."""
        try:
            item = self._inbox.get(timeout=0.05) if not self._outstanding else self._inbox.get_nowait()
            while item is not None:
                self._produce(producer, item)
                item = self._inbox.get_nowait()
            self._is_stopping = True
        except queue.Empty:
            pass

    def _produce(self, producer: Any, item: _Waiting) -> None:
        def delivered(error: object, _message: object) -> None:
            self._outstanding -= 1
            item.delivery.note(error)

        try:
            producer.produce(TOPIC, value=item.event.encoded(), on_delivery=delivered)
            self._outstanding += 1
        except (BufferError, VantageSecretsError) as exc:  # too much on its way, or no login that works
            item.delivery.note(exc)


def open_producer() -> Any:
    """Return a producer whose connection follows the secret; the stand-in where there is no Kafka."""
    if not settings.kafka:
        from standins import SqliteProducer

        return SqliteProducer(settings.bus_file)
    from vantage_secrets.connections.confluent_kafka import FollowingProducer

    # Idempotent: a message that is sent again after a cut is in the topic once.
    config = {**settings.kafka_config(), "enable.idempotence": True, "linger.ms": 2}
    return FollowingProducer(default_client(), "KAFKA_SASL_PASSWORD", config, account="vantage")


class Collector(Handler):
    """Answers one connection."""

    verifier: ApiKeyVerifier
    publisher: Publisher

    def handle_post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Take events: 202 when they are safe, 401 for a key that opens nothing, 503 when the bus is away."""
        if self.path != "/v1/events":
            return 404, {"error": "no such page"}
        if self.verifier.verify(KEY, self.headers.get("X-API-Key")) is None:
            return 401, {"error": "X-API-Key is missing or opens nothing"}
        try:
            events = events_of(body, received_at=int(time.time() * 1000))
        except MalformedEventError as exc:
            return 400, {"error": str(exc)}
        if events and not self.publisher.publish(events).succeeded():
            return 503, {"error": "the bus did not take it; send it again with the same id"}
        return 202, {"accepted": len(events)}


def main() -> None:
    """Serve until SIGTERM; what was accepted is on the bus then."""
    Collector.verifier = ApiKeyVerifier(Database(load(find_manifest()).database.url))
    Collector.publisher = Publisher()
    Collector.publisher.start()
    if not Collector.publisher.is_ready.wait(60):
        sys.exit("The bus cannot be reached.")
    Service(settings.port, Collector).run()
    Collector.publisher.stop()
    Collector.verifier.flush()
    default_client().close()


if __name__ == "__main__":
    main()

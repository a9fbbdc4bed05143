"""The worker: takes events off the bus and puts each one into the table once.

Every row carries the partition and the offset that its event had on the bus, and one insert is whole or not there.
So the table itself tells how far the bus is worked off, and that is what the worker trusts:

1. It inserts a batch, then commits the offsets. Killed in between, it gets the batch again. Before a partition goes to
   another worker, it does both with what it has.
2. Where an offset is not the one that follows the last, it asks the table for the highest offset of each partition
   and drops what is there already: after a start, a rebalance, a connection opened anew, an insert of which nobody
   knows how it ended.

It relies on Kafka giving a partition to one worker at a time. What remains: a worker that is halted between its
question and its insert, for longer than the group's session timeout, and then goes on, can insert what another one
has inserted meanwhile.

Its logins are the secrets ``KAFKA_SASL_PASSWORD`` and ``WORKER_CLICKHOUSE_PASSWORD``; both connections follow.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from events import FENCE, GROUP, INSERT, TOPIC, Event
from settings import settings
from vantage_secrets import default_client

BATCH_COUNT_MAX = 5_000
BATCH_SECONDS_MAX = 0.2
"""A batch is inserted when it has so many events, or when its first has waited so long."""

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 0.5


class _Row(NamedTuple):
    id: str
    kind: str
    received_at: int
    bus_partition: int
    bus_offset: int


class Worker:
    """Moves events from ``consumer`` to ``table``.

    Args:
        consumer: Has ``poll``, which returns a message or ``None``, and ``commit``.
        table: Has ``execute``.
    """

    def __init__(self, consumer: Any, table: Any) -> None:
        """Know nothing of what is in the table yet."""
        self._consumer = consumer
        self._table = table
        self._batch: list[_Row] = []
        self._batch_began = 0.0
        self._last_offset: dict[int, int] = {}
        self._stop = threading.Event()

    def stop(self, *_: object) -> None:
        """Insert what was taken, then end. Safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stop.is_set():
            message = self._consumer.poll(_POLL_SECONDS)
            if message is not None and message.error() is None:
                self._take(message)
            full = len(self._batch) >= BATCH_COUNT_MAX
            if self._batch and (full or time.monotonic() - self._batch_began >= BATCH_SECONDS_MAX):
                self._insert()
        self.finish()

    def finish(self, *_: object) -> None:
        """Insert what was taken, now; called before a partition goes to another worker."""
        if self._batch:
            self._insert()

    def give_up(self, *_: object) -> None:
        """Forget what was taken; called when another worker has the partitions already: they come to it again."""
        self._batch = []
        self._last_offset = {}

    def _take(self, message: Any) -> None:
        partition, offset = message.partition(), message.offset()
        if offset != self._last_offset.get(partition, -2) + 1:
            self._look_how_far()
        if offset <= self._last_offset.get(partition, -1):
            return  # in the table, or in the batch
        if not self._batch:
            self._batch_began = time.monotonic()
        self._batch.append(_Row(*Event.decoded(message.value()), partition, offset))
        self._last_offset[partition] = offset

    def _look_how_far(self) -> None:
        """Believe the table, not the memory: what others inserted counts as well."""
        self.finish()
        self._until_it_works(self._ask_how_far)

    def _ask_how_far(self) -> None:
        self._last_offset = dict(self._table.execute(FENCE))

    def _insert(self) -> None:
        """Put the batch into the table, then let the group go on behind it."""
        self._until_it_works(lambda: self._table.execute(INSERT, self._batch), again=self._insert_rest)
        self._batch = []
        try:
            self._consumer.commit(asynchronous=False)
        except Exception as exc:  # the group has a new member, or a broker is away: what comes again is dropped
            print(f"the bus: {type(exc).__name__}; not committed", file=sys.stderr, flush=True)

    def _insert_rest(self) -> None:
        """Insert what did not arrive: nobody knows how the insert before ended."""
        reached = dict(self._table.execute(FENCE))
        self._batch = [row for row in self._batch if row.bus_offset > reached.get(row.bus_partition, -1)]
        if self._batch:
            self._table.execute(INSERT, self._batch)

    def _until_it_works(self, call: Callable[[], object], *, again: Callable[[], object] | None = None) -> None:
        """Call the table until it does it; told to stop meanwhile, give up: what is not committed comes again."""
        while True:
            try:
                call()
                return
            except Exception as exc:
                print(f"the table: {type(exc).__name__}; trying again", file=sys.stderr, flush=True)
                if self._stop.wait(_RETRY_SECONDS):
                    raise
                call = again or call


def open_consumer() -> Any:
    """Return a consumer whose connection follows the secret; the stand-in where there is no Kafka."""
    if not settings.kafka:
        from standins import SqliteConsumer

        return SqliteConsumer(settings.bus_file, GROUP)
    from vantage_secrets.connections.confluent_kafka import FollowingConsumer

    config = {
        **settings.kafka_config(),
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    return FollowingConsumer(default_client(), "KAFKA_SASL_PASSWORD", config, account="vantage")


def open_table() -> Any:
    """Return a client whose connection follows the secret; the stand-in where there is no ClickHouse."""
    if not settings.clickhouse_host:
        from standins import SqliteClient

        return SqliteClient(settings.table_file)
    from vantage_secrets.connections.clickhouse_driver import FollowingClient

    host, port = settings.clickhouse_host, settings.clickhouse_port
    return FollowingClient(default_client(), "WORKER_CLICKHOUSE_PASSWORD", host=host, port=port, account="worker")


def main() -> None:
    """Work until SIGTERM; what was taken off the bus is in the table then."""
    consumer, table = open_consumer(), open_table()
    worker = Worker(consumer, table)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.stop)
    consumer.subscribe([TOPIC], on_revoke=worker.finish, on_lost=worker.give_up)
    table.execute(FENCE)  # a worker that cannot read the table says so now
    print("working", flush=True)
    worker.run()
    consumer.close()
    table.close()
    default_client().close()


if __name__ == "__main__":
    main()

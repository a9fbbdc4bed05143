"""The store in Vault against the vendor's bare SDK, on a real OpenBao server: one read, a hundred reads, status."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import hvac
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.vault import Engine, Server, make_engine, running_server

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.rotation.status import status_of
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.vault import VaultStore

READ_RATIO_MAX = 1.10
MANY_RATIO_MIN = 5.0
MANY_COUNT = 100
LATENCY_SECONDS = 0.005
STATUS_CALLS_MAX = 2  # For each secret. KV has no quota on metadata unless somebody sets one.


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the three bars; ``quick`` takes a tenth of the reads and of the secrets of status."""
    status_count = 100 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        engine = make_engine(server)
        with engine.open() as store:
            names = [SecretName(f"bench/secret-{number}") for number in range(status_count)]
            for name in names:
                version = store.stage(name, SecretValue(f"value-{name}-" + "x" * 32), token="bench")
                store.promote(name, version.id, expect_current=None)
            return [
                _read_row(server, engine, store, names[0], 200 if quick else 2_000),
                _many_row(server, engine, names[:MANY_COUNT]),
                _status_row(server, engine, names),
            ]


def _plain(client: hvac.Client, engine: Engine, name: SecretName) -> Callable[[], object]:
    """Return the vendor's own call."""
    path = f"{engine.folder}/{name}"
    return lambda: client.secrets.kv.v2.read_secret_version(
        path, mount_point=engine.mount, raise_on_deleted_version=True
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _read_row(server: Server, engine: Engine, store: VaultStore, name: SecretName, count: int) -> BenchRow:
    """Take turns, so that both meet the same machine."""
    plain = _plain(server.client(), engine, name)
    pairs = [(_seconds(lambda: store.read(name)), _seconds(plain)) for _ in range(count)]
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    return BenchRow(
        what=f"read of one secret, medians of {count:,} in turns",
        ours=f"{ours * 1e3:.2f} ms",
        peer=f"{peer * 1e3:.2f} ms (hvac)",
        ratio=f"{ours / peer:.2f}",
        bar=f"at most {READ_RATIO_MAX:.2f}",
        holds=ours / peer <= READ_RATIO_MAX,
    )


def _many_row(server: Server, engine: Engine, names: list[SecretName]) -> BenchRow:
    """Answers come 5 ms later than from loopback, as from another machine; the same proxy serves both sides."""
    with _slow_server(server) as slow, replace(engine, server=slow).open() as store:
        client = slow.client()
        calls = [_plain(client, engine, name) for name in names]
        store.read(names[0])
        ours, peer = [], []
        for _ in range(5):
            ours.append(_seconds(lambda: [*store.read_many(names)]))
            peer.append(_seconds(lambda: [call() for call in calls]))
    faster = statistics.median(peer) / statistics.median(ours)
    return BenchRow(
        what=f"{len(names)} secrets, each answer {LATENCY_SECONDS * 1e3:.0f} ms late by a proxy",
        ours=f"{statistics.median(ours) * 1e3:.0f} ms (read_many)",
        peer=f"{statistics.median(peer) * 1e3:.0f} ms (hvac, one by one)",
        ratio=f"{faster:.1f} times faster",
        bar=f"at least {MANY_RATIO_MIN:.0f} times",
        holds=faster >= MANY_RATIO_MIN,
    )


@contextmanager
def _slow_server(server: Server) -> Iterator[Server]:
    """Yield the same server behind a proxy in a process of its own, which takes no time from the readers."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_delay, args=(server.port, there))
    process.start()
    try:
        yield replace(server, port=here.recv())
    finally:
        here.send("end")
        process.join()


def _delay(port: int, parent: Connection) -> None:
    with CuttingProxy("127.0.0.1", port, latency=LATENCY_SECONDS) as proxy:
        parent.send(proxy.port)
        parent.recv()


def _status_row(server: Server, engine: Engine, names: list[SecretName]) -> BenchRow:
    specs = [static_spec(name) for name in names]
    required = frozenset(spec.key for spec in specs)
    with CuttingProxy("127.0.0.1", server.port) as proxy, engine.open(proxy=proxy) as store:
        [*store.list()]
        proxy.mend()
        found: list[object] = []
        seconds = _seconds(lambda: found.extend(status_of(specs, store, required=required, now=datetime.now(UTC))))
        calls = len(proxy.requests)
    if len(found) != len(names):
        raise AssertionError("status did not see every secret")
    return BenchRow(
        what=f"status of {len(names):,} secrets",
        ours=f"{calls:,} requests, {seconds:.1f} s",
        peer="no quota by default",
        ratio=f"{calls / len(names):.1f} a secret",
        bar=f"at most {STATUS_CALLS_MAX} a secret",
        holds=calls <= STATUS_CALLS_MAX * len(names),
    )

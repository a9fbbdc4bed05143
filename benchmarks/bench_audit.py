"""The audit log: durable events a second from eight threads, and records verified a second."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.table import BenchRow
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.record import encode_event
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.verify import verify

THREADS = 8
ROUNDS = 5
APPENDS_PER_SECOND_MIN = 20_000
APPEND_RATIO_MIN = 0.8
VERIFIED_PER_SECOND_MIN = 500_000


def run(quick: bool = False) -> list[BenchRow]:
    """Measure both bars; ``quick`` takes a tenth of the events, which proves nothing about the bars."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            _append_row(Path(folder), 200 if quick else 2_000),
            _verify_row(Path(folder), 40_000 if quick else 400_000),
        ]


def _event() -> AuditEvent:
    where, why = "build-7/worker/4711", "refresh"
    subject, version = "vantage/clickhouse-password", "0198c2f4-7f3a"
    now = datetime.now(UTC)
    return AuditEvent(now, "worker@build-7", Action.SECRET_READ, subject, Outcome.SUCCESS, version, where, why)


def _append_row(folder: Path, count: int) -> BenchRow:
    """Ours and the peer take turns, round by round, so that a busy moment of the disk meets both."""
    ours: list[float] = []
    peers: list[float] = []
    groups: list[int] = []
    for number in range(ROUNDS):
        rate, sizes = _append(folder / f"append-{number}", count)
        ours.append(rate)
        peers.append(THREADS * count / _plain_seconds(folder / f"plain-{number}", sizes))
        groups += sizes
    our_rate, peer_rate = statistics.median(ours), statistics.median(peers)
    ratio = statistics.median(own / peer for own, peer in zip(ours, peers, strict=True))
    per_sync = ROUNDS * THREADS * count / len(groups)
    return BenchRow(
        what=f"audit: durable append, {THREADS} threads",
        ours=f"{our_rate:,.0f} events/s ({per_sync:.1f} a sync)",
        peer=f"write + fdatasync of the same bytes in the same groups, one thread: {peer_rate:,.0f} events/s",
        ratio=f"{ratio:.2f}",
        bar=f">= {APPENDS_PER_SECOND_MIN:,} events/s, or >= {APPEND_RATIO_MIN:.2f} of the peer",
        holds=our_rate >= APPENDS_PER_SECOND_MIN or ratio >= APPEND_RATIO_MIN,
    )


def _append(folder: Path, count: int) -> tuple[float, list[int]]:
    """Return events a second, and how many bytes each sync made durable."""
    create_signing_key(folder)
    event = _event()
    with AuditLog(folder) as log, _group_sizes() as sizes:

        def work() -> None:
            for _ in range(count):
                log.append(event)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
    return THREADS * count / seconds, sizes


@contextmanager
def _group_sizes() -> Iterator[list[int]]:
    """Collect how much each write before a sync was, in bytes, while the block runs."""
    sizes: list[int] = []
    written = 0
    real_write, real_sync = os.write, os.fdatasync

    def write(handle: int, data: bytes) -> int:
        nonlocal written
        written += len(data)
        return real_write(handle, data)

    def sync(handle: int) -> None:
        nonlocal written
        sizes.append(written)
        written = 0
        real_sync(handle)

    os.write, os.fdatasync = write, sync  # type: ignore[assignment]
    try:
        yield sizes
    finally:
        os.write, os.fdatasync = real_write, real_sync


def _plain_seconds(path: Path, sizes: list[int]) -> float:
    data = b"x" * max(sizes)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        start = time.perf_counter()
        for size in sizes:
            os.write(handle, data[:size])
            os.fdatasync(handle)
        return time.perf_counter() - start
    finally:
        os.close(handle)


def _verify_row(folder: Path, count: int) -> BenchRow:
    log_folder = folder / "verify"
    key = create_signing_key(log_folder)
    body = encode_event(_event())
    with AuditLog(log_folder) as log:
        for _ in range(count // 2_000):
            log.append_encoded([body] * 2_000)
    rates, plain_rates = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = verify(log_folder, public_key=key)
        rates.append(found.records_count / (time.perf_counter() - start))
        found.raise_for_problem()
        start = time.perf_counter()
        lines = sum(path.read_bytes().count(b"\n") for path in log_folder.glob("0*.jsonl"))
        plain_rates.append(lines / (time.perf_counter() - start))
    rate, plain_rate = statistics.median(rates), statistics.median(plain_rates)
    return BenchRow(
        what=f"audit: verify {count:,} records, one process",
        ours=f"{rate:,.0f} records/s",
        peer=f"reading the files and counting lines: {plain_rate:,.0f} lines/s",
        ratio=f"{rate / plain_rate:.2f}",
        bar=f">= {VERIFIED_PER_SECOND_MIN:,} records/s",
        holds=rate >= VERIFIED_PER_SECOND_MIN,
    )

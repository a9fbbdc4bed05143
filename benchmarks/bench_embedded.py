"""The embedded store at 10,000 secrets: status of all, and the read of one that nothing has cached."""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.status import status_of
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded

STATUS_SECONDS_MAX = 2.0
READ_SECONDS_MAX = 0.001


def run(quick: bool = False) -> list[BenchRow]:
    """Measure both bars; ``quick`` takes a tenth of the secrets, which proves nothing about the bars."""
    count = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        store = create_embedded(Path(folder) / "secrets.db", environment="bench", key_file=Path(folder) / "key")
        specs = _fill(store, count)
        rows = [_status_row(store, specs), _read_row(store, specs, Path(folder) / "plain.db")]
        store.close()
    return rows


def _fill(store: EmbeddedStore, count: int) -> list[SecretSpec]:
    specs = []
    for number in range(count):
        name = SecretName(f"bench/secret-{number}")
        version = store.stage(name, SecretValue(f"value-{number}-" + "x" * 32), token=f"bench-{number}")
        store.promote(name, version.id, expect_current=None)
        specs.append(static_spec(name))
    return specs


def _status_row(store: EmbeddedStore, specs: list[SecretSpec]) -> BenchRow:
    required = frozenset(spec.key for spec in specs)
    began = time.perf_counter()
    found = list(status_of(specs, store, required=required, now=datetime.now(UTC)))
    seconds = time.perf_counter() - began
    if not all(item.state == "ok" for item in found):
        raise AssertionError("status did not see every secret as ok")
    return BenchRow(
        what=f"status of {len(specs):,} secrets",
        ours=f"{seconds:.2f} s",
        peer="-",
        ratio="-",
        bar=f"at most {STATUS_SECONDS_MAX:.0f} s",
        holds=seconds <= STATUS_SECONDS_MAX,
    )


def _read_row(store: EmbeddedStore, specs: list[SecretSpec], plain_path: Path) -> BenchRow:
    """Read 2,000 secrets in random order from the store, and as many plain rows from SQLite beside it."""
    chosen = random.Random(1).choices(specs, k=2_000)
    plain = sqlite3.connect(plain_path, isolation_level=None)
    plain.execute("CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    plain.executemany("INSERT INTO secret VALUES (?, ?)", [(spec.key, b"x" * 64) for spec in specs])
    ours, peer = [], []
    for spec in chosen:
        began = time.perf_counter()
        store.read(spec.name)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        plain.execute("SELECT value FROM secret WHERE name = ?", (spec.key,)).fetchone()
        peer.append(time.perf_counter() - began)
    plain.close()
    median, plain_median = statistics.median(ours), statistics.median(peer)
    return BenchRow(
        what=f"read of one uncached secret among {len(specs):,}",
        ours=f"{median * 1e6:.0f} us",
        peer=f"{plain_median * 1e6:.0f} us (a plain row in SQLite)",
        ratio=f"{median / plain_median:.1f}",
        bar=f"at most {READ_SECONDS_MAX * 1e3:.0f} ms",
        holds=median <= READ_SECONDS_MAX,
    )

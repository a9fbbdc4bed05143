"""The store in Azure Key Vault beside the vendor's own client, against the fake in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from azure.keyvault.secrets import SecretClient
from tests.servers.azure_credential import StaticCredential
from tests.servers.certificate import Certificate

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.rotation.status import status_of
from vantage_secrets.secret import SecretName, Spelling
from vantage_secrets.stores.azure import AzureStore, open_azure
from vantage_secrets.stores.azure.records import ENVIRONMENT, ID, NAME, PENDING_MARK, PROMOTED_AT, SEQUENCE, STAGED_AT

READ_RATIO_MAX = 1.10
MANY_RATIO_MIN = 5.0
QUOTA_CALLS = 4_000
"""Requests that a vault answers in ten seconds (Azure Key Vault service limits: all other transactions)."""
LATENCY_SECONDS = 0.015
"""Held back for each answer of the bulk read: a network away a vault takes as long; the fake on loopback takes 1 ms."""


class _Fake:
    """The fake's process, with a client of ours and one of the vendor's."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        place = f"127.0.0.1:{self._line()}"
        ca_file = str(Certificate.load(folder).ca_file)
        self.store: AzureStore = open_azure(
            f"azure://{place}", environment="bench", options={"ca_file": ca_file}, credential=StaticCredential()
        )
        self.client = SecretClient(f"https://{place}", StaticCredential(), connection_verify=ca_file)

    def requests(self, *, latency: float = 0.0) -> int:
        """Set the latency; return how many requests came since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{latency}\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def _running() -> Iterator[_Fake]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Certificate.make(folder)
        command = [sys.executable, "-m", "tests.servers.azure_key_vault", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            fake = _Fake(process, folder)
            yield fake
            fake.store.close()
            fake.client.close()
            assert process.stdin is not None
            process.stdin.close()  # Ends the fake.


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the three bars; ``quick`` takes a tenth of the sizes, which proves nothing about them."""
    with _running() as fake:
        names = _fill(fake, 100 if quick else 1_000)
        return [_read_row(fake, names, 100 if quick else 1_000), _many_row(fake, names[:100]), _status_row(fake, names)]


def _fill(fake: _Fake, count: int) -> list[SecretName]:
    """Write secrets as the store does, but with the vendor's client: a tenth of the requests."""
    now = datetime.now(UTC).isoformat()
    names = [SecretName(f"bench/secret-{number}") for number in range(count)]
    for name in names:
        tags = {NAME: str(name), ENVIRONMENT: "bench", ID: "0" * 32, STAGED_AT: now, PROMOTED_AT: now, SEQUENCE: "1"}
        place, value = name.spelled(Spelling.AZURE), f"value-of-{name}"
        fake.client.set_secret(place + PENDING_MARK, value, tags=tags, enabled=False)
        fake.client.set_secret(place, value, tags=tags, content_type="text/plain")
    return names


def _read_row(fake: _Fake, names: list[SecretName], count: int) -> BenchRow:
    """Read through us and through the vendor's client, each first in turns: the second of two is a little faster."""
    ours: list[float] = []
    peer: list[float] = []
    for number in range(count):
        name = names[number % len(names)]
        place = name.spelled(Spelling.AZURE)
        pair: list[tuple[list[float], Callable[[], object]]] = [
            (ours, partial(fake.store.read, name)),
            (peer, partial(fake.client.get_secret, place)),
        ]
        for times, call in pair if number % 2 else reversed(pair):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    median, peer_median = statistics.median(ours), statistics.median(peer)
    return BenchRow(
        what="Azure: read of one secret (fake, loopback)",
        ours=f"{median * 1e3:.2f} ms",
        peer=f"{peer_median * 1e3:.2f} ms (SecretClient.get_secret)",
        ratio=f"{median / peer_median:.2f}",
        bar=f"at most {READ_RATIO_MAX:.2f} times",
        holds=median / peer_median <= READ_RATIO_MAX,
    )


def _many_row(fake: _Fake, names: list[SecretName]) -> BenchRow:
    fake.requests(latency=LATENCY_SECONDS)
    ours, peer = [], []
    for _ in range(3):
        began = time.perf_counter()
        read = list(fake.store.read_many(names))
        between = time.perf_counter()
        for name in names:
            fake.client.get_secret(name.spelled(Spelling.AZURE))
        ours.append(between - began)
        peer.append(time.perf_counter() - between)
        if len(read) != len(names):
            raise AssertionError("read_many left secrets out")
    fake.requests()
    median, peer_median = statistics.median(ours), statistics.median(peer)
    return BenchRow(
        what=f"Azure: {len(names)} secrets (fake, {LATENCY_SECONDS * 1e3:.0f} ms an answer)",
        ours=f"{median:.2f} s",
        peer=f"{peer_median:.2f} s (one by one)",
        ratio=f"{peer_median / median:.1f} times faster",
        bar=f"at least {MANY_RATIO_MIN:.0f} times faster",
        holds=peer_median / median >= MANY_RATIO_MIN,
    )


def _status_row(fake: _Fake, names: list[SecretName]) -> BenchRow:
    specs = [static_spec(name) for name in names]
    required = frozenset(spec.key for spec in specs)
    fake.requests()
    began = time.perf_counter()
    found = list(status_of(specs, fake.store, required=required, now=datetime.now(UTC)))
    seconds = time.perf_counter() - began
    calls = fake.requests()
    if not all(item.state == "ok" for item in found):
        raise AssertionError("status did not see every secret as ok")
    return BenchRow(
        what=f"Azure: status of {len(specs):,} secrets (fake)",
        ours=f"{calls:,} calls, {seconds:.1f} s",
        peer="-",
        ratio="-",
        bar=f"at most {QUOTA_CALLS:,} calls, a vault's quota of 10 s",
        holds=calls <= QUOTA_CALLS,
    )

"""The store on Google Secret Manager beside the vendor's own client, against our fake in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from tests.servers.google_clients import AUTOMATIC, full_name, open_at, plain_client, secret_id
from tests.servers.google_secret_manager import PROJECT, FakeSecretManager

from benchmarks.table import BenchRow
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.gcp import GoogleStore
from vantage_secrets.stores.gcp.encoding import Shape
from vantage_secrets.stores.gcp.examining import METADATA_PER_MINUTE
from vantage_secrets.stores.gcp.record import Record, Row, labels

READ_RATIO_MAX = 1.10
MANY_RATIO_MIN = 5.0
LATENCY_SECONDS = 0.010
"""What the fake adds to each answer where many are fetched at once, so that waiting is what is measured: client and
fake share this machine, and without it the work of both is all there is."""


def run(quick: bool = False) -> list[BenchRow]:
    """Measure all bars; ``quick`` takes fewer rounds and secrets, which proves nothing about the bars."""
    with _fake(0.0) as address, open_at(address) as store:
        rows = [_read_row(store, address, 100 if quick else 2_000)]
    with _fake(LATENCY_SECONDS) as address, open_at(address) as store:
        rows += _many_rows(store, address, 20 if quick else 100)
    rows.append(_status_row(20 if quick else 1_000))
    return rows


@contextmanager
def _fake(latency: float) -> Iterator[str]:
    """Yield the address of a fake that is a process of its own, so that it takes no time of this one."""
    program = [sys.executable, "-m", "tests.servers.google_secret_manager", str(latency)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        if running.stdout is None:
            raise AssertionError("the fake has no output")
        yield running.stdout.readline().strip()
        running.communicate()


def _fill(store: GoogleStore, count: int) -> list[SecretName]:
    names = [SecretName(f"bench/secret-{index}") for index in range(count)]

    def make(name: SecretName) -> None:
        pending = store.stage(name, SecretValue("x" * 40), "token")
        store.promote(name, pending.id, expect_current=None)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(make, names))
    return names


def _read_row(store: GoogleStore, address: str, count: int) -> BenchRow:
    """Read through us and through the SDK in turns."""
    (name,) = _fill(store, 1)
    version = f"{full_name(name)}/versions/latest"
    ours: list[float] = []
    peer: list[float] = []
    with plain_client(address) as client:
        calls: list[tuple[list[float], Callable[[], object]]] = [
            (ours, lambda: store.read(name)),
            (peer, lambda: client.access_secret_version(name=version)),
        ]
        for _ in range(count):
            calls.reverse()
            for times, call in calls:
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
    median, plain = statistics.median(ours), statistics.median(peer)
    return BenchRow(
        what="gcp: read of one current value",
        ours=f"{median * 1e6:.0f} us",
        peer=f"{plain * 1e6:.0f} us (access_secret_version of the SDK; loopback, no TLS)",
        ratio=f"{median / plain:.2f}",
        bar=f"at most {READ_RATIO_MAX:.2f} of the SDK's",
        holds=median / plain <= READ_RATIO_MAX,
    )


def _many_rows(store: GoogleStore, address: str, count: int) -> list[BenchRow]:
    """Fetch many at once, in a process that never saw them and again, beside one by one through the SDK."""
    names = _fill(store, count)
    with plain_client(address) as client:
        client.access_secret_version(name=f"{full_name(names[0])}/versions/latest")
        began = time.perf_counter()
        for name in names:
            client.access_secret_version(name=f"{full_name(name)}/versions/latest")
        plain = time.perf_counter() - began
    rows = []
    with open_at(address) as fresh:
        fresh.read(names[0])
        for when in ("never seen before", "again"):
            began = time.perf_counter()
            if len(list(fresh.read_many(names))) != count:
                raise AssertionError("read_many did not return every secret")
            seconds = time.perf_counter() - began
            rows.append(
                BenchRow(
                    what=f"gcp: {count} secrets through read_many, {when}",
                    ours=f"{seconds * 1e3:.0f} ms",
                    peer=f"{plain * 1e3:.0f} ms (one by one through the SDK; "
                    f"the fake adds {LATENCY_SECONDS * 1e3:.0f} ms to each answer)",
                    ratio=f"{plain / seconds:.1f} times as fast",
                    bar=f"at least {MANY_RATIO_MIN:.0f} times as fast",
                    holds=plain / seconds >= MANY_RATIO_MIN,
                )
            )
    return rows


def _status_row(count: int) -> BenchRow:
    """Count the metadata calls of describing every secret from lists, and one by one."""
    with FakeSecretManager() as fake, open_at(fake.address) as store:
        names = [SecretName(f"bench/secret-{index}") for index in range(count)]
        with plain_client(fake.address) as client:
            for name in names:
                _put(client, name)
        fake.calls.clear()
        began = time.perf_counter()
        current = {Situation.of(versions).current for versions in store.describe_many(names)}
        seconds = time.perf_counter() - began
        calls = fake.calls.total()
        one_by_one = {Situation.of(store.describe(name)).current for name in names}
        one_by_one_calls = fake.calls.total() - calls
    if current != one_by_one or len(current) != count:
        raise AssertionError("the two ways do not see the same")
    return BenchRow(
        what=f"gcp: metadata calls for the status of {count:,} secrets",
        ours=f"{calls:,} by describe_many ({seconds:.2f} s)",
        peer=f"{one_by_one_calls:,} by describe, one by one",
        ratio=f"1/{one_by_one_calls / calls:.0f}",
        bar=f"at most {METADATA_PER_MINUTE}, Google's quota of a minute",
        holds=calls <= METADATA_PER_MINUTE,
    )


def _put(client: SecretManagerServiceClient, name: SecretName) -> None:
    """Make a secret with a current version as the store leaves it, without the digests that take time."""
    row = Row("1-abcdef", Shape.TEXT, "t" * 16, "d" * 22, created=10**15, promoted=10**15, numbers=(1,))
    record = Record.new(name, "test").with_rows([row])
    secret = {**AUTOMATIC, "labels": labels("test", "secret"), "annotations": record.annotations()}
    request = {"parent": f"projects/{PROJECT}", "secret_id": secret_id(name), "secret": secret}
    made = client.create_secret(request=request)
    client.add_secret_version(request={"parent": made.name, "payload": {"data": b"x" * 40}})
    made.version_aliases = {"current": 1}
    client.update_secret(request={"secret": made, "update_mask": {"paths": ["version_aliases"]}})

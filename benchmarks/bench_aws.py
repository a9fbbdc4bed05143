"""The AWS store beside the bare SDK, at moto's server: a read, a hundred reads, and the status of a thousand."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.aws import CREDENTIALS, PREFIX, MotoServer, open_store, plain_client, running_moto
from tests.servers.cutting_proxy import CuttingProxy

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.rotation.status import status_of
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.aws.marks import CURRENT, ENVIRONMENT, created_label, promoted_label, version_id

READ_RATIO_MAX = 1.10
BULK_RATIO_MIN = 5.0
LATENCY_SECONDS = 0.005
"""What the proxy adds to each answer, because a server on loopback answers faster than AWS does."""
QUOTA_CALLS_A_SECOND = 10_000
"""``DescribeSecret`` and ``GetSecretValue`` together, each region (AWS Secrets Manager quotas)."""


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the three bars; ``quick`` takes fewer reads and secrets, which proves nothing about the bars."""
    with tempfile.TemporaryDirectory() as folder, _login(), running_moto(Path(folder)) as moto:
        names = [SecretName(f"bench/secret-{number}") for number in range(100)]
        _fill(moto, names)
        rows = [_read_row(moto, names[0], 100 if quick else 1_000), _bulk_row(moto, names, 1 if quick else 5)]
        more = [SecretName(f"status/secret-{number}") for number in range(50 if quick else 1_000)]
        _fill(moto, more)
        rows.append(_status_row(moto, more))
    return rows


@contextmanager
def _login() -> Iterator[None]:
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _fill(moto: MotoServer, names: list[SecretName]) -> None:
    """Write each as the store leaves it after a first rotation."""
    client = plain_client(moto.address)
    now = datetime.now(UTC)
    for name in names:
        version = version_id("bench", str(name), "token")
        secret_id = f"{PREFIX}/{name}"
        client.create_secret(Name=secret_id, Tags=[{"Key": ENVIRONMENT, "Value": "test"}])
        client.put_secret_value(
            SecretId=secret_id,
            SecretString=f"value-of-{name}-" + "x" * 32,
            ClientRequestToken=version,
            VersionStages=[created_label(version, now, "text"), promoted_label(version, now)],
        )


def _read_row(moto: MotoServer, name: SecretName, count: int) -> BenchRow:
    """Read one secret by turns through us and through the SDK."""
    client, secret_id = plain_client(moto.address), f"{PREFIX}/{name}"
    times: dict[str, list[float]] = {"ours": [], "sdk": []}
    with open_store(moto.address) as store:
        calls: dict[str, Callable[[], Any]] = {
            "ours": lambda: store.read(name),
            "sdk": lambda: client.get_secret_value(SecretId=secret_id, VersionStage=CURRENT),
        }
        for number in range(count + 20):
            for who in ("ours", "sdk") if number % 2 else ("sdk", "ours"):
                began = time.perf_counter()
                calls[who]()
                if number >= 20:  # The first ones open connections.
                    times[who].append(time.perf_counter() - began)
    ours, sdk = (statistics.median(times[who]) for who in ("ours", "sdk"))
    return BenchRow(
        what="aws: a read",
        ours=f"{ours * 1e3:.2f} ms",
        peer=f"{sdk * 1e3:.2f} ms (boto3)",
        ratio=f"{ours / sdk:.2f}",
        bar=f"at most {READ_RATIO_MAX:.2f} times",
        holds=ours / sdk <= READ_RATIO_MAX,
    )


def _bulk_row(moto: MotoServer, names: list[SecretName], rounds: int) -> BenchRow:
    ours, sdk = [], []
    with CuttingProxy("127.0.0.1", moto.port, latency=LATENCY_SECONDS) as proxy:
        address = f"http://{proxy.address}"
        client = plain_client(address)
        with open_store(address) as store:
            for _ in range(rounds):
                began = time.perf_counter()
                found = sum(1 for _ in store.read_many(names))
                ours.append(time.perf_counter() - began)
                began = time.perf_counter()
                for name in names:
                    client.get_secret_value(SecretId=f"{PREFIX}/{name}", VersionStage=CURRENT)
                sdk.append(time.perf_counter() - began)
                if found != len(names):
                    raise AssertionError(f"{found} of {len(names)} secrets were read")
    ratio = statistics.median(sdk) / statistics.median(ours)
    return BenchRow(
        what=f"aws: {len(names)} secrets at once, server {LATENCY_SECONDS * 1e3:.0f} ms away",
        ours=f"{statistics.median(ours) * 1e3:.0f} ms",
        peer=f"{statistics.median(sdk) * 1e3:.0f} ms (boto3, one by one)",
        ratio=f"{ratio:.1f}",
        bar=f"at least {BULK_RATIO_MIN:.0f} times faster",
        holds=ratio >= BULK_RATIO_MIN,
    )


def _status_row(moto: MotoServer, names: list[SecretName]) -> BenchRow:
    with CuttingProxy("127.0.0.1", moto.port) as proxy, open_store(f"http://{proxy.address}") as store:
        specs = [static_spec(name) for name in names]
        began = time.perf_counter()
        found = list(status_of(specs, store, required=frozenset(), now=datetime.now(UTC)))
        seconds = time.perf_counter() - began
        calls = len(proxy.requests)
    if not all(item.state == "ok" for item in found):
        raise AssertionError("status did not see every secret as ok")
    rate = calls / seconds
    return BenchRow(
        what=f"aws: status of {len(names):,} secrets",
        ours=f"{calls:,} calls, {rate:,.0f} a second",
        peer=f"{QUOTA_CALLS_A_SECOND:,} calls a second (AWS's quota)",
        ratio=f"{rate / QUOTA_CALLS_A_SECOND:.2f}",
        bar="one call a secret, inside the quota",
        holds=calls == len(names) and rate <= QUOTA_CALLS_A_SECOND,
    )

"""The Kubernetes store beside the vendor's own client, on a real API server: one read, a hundred, status of many."""

from __future__ import annotations

import base64
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.kube import KubeServer, client, config

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.rotation.status import status_of
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.kubernetes import KubernetesStore
from vantage_secrets.stores.kubernetes.place import Place

READ_RATIO_MAX = 1.10
MANY_RATIO_MIN = 5.0
LATENCY_SECONDS = 0.003
"""What a way through a real network adds to each answer; loopback adds nothing."""

_MANY = 100


def run(quick: bool = False) -> list[BenchRow]:
    """Measure all bars; ``quick`` reads less often and fills a tenth, which proves nothing about them."""
    with tempfile.TemporaryDirectory() as folder:
        server = KubeServer(Path(folder))
        trust = ssl.create_default_context(cadata=server.authority())
        with CuttingProxy("127.0.0.1", server.port, connect_tls=trust) as proxy:
            login = server.login(Path(folder) / "proxied", server=f"http://{proxy.address}")
            try:
                return [
                    _read_row(server, 50 if quick else 500),
                    _many_row(server, proxy, login),
                    _status_row(server, proxy, login, 100 if quick else 1_000),
                ]
            finally:
                server.stop()


def _filled(server: KubeServer, count: int) -> Place:
    place = Place(server.namespace(), "bench")
    with server.open(place, timeout="60s") as store:
        for name in _names(count):
            version = store.stage(name, SecretValue(f"value-of-{name}".ljust(48, "x")), "bench")
            store.promote(name, version.id, expect_current=None)
    return place


def _names(count: int) -> list[SecretName]:
    return [SecretName(f"bench/secret-{number}") for number in range(count)]


def _plain(core: Any, place: Place, name: SecretName) -> bytes:
    """Read as an application does that has only the vendor's client."""
    found = core.read_namespaced_secret(place.secret, place.namespace)
    return base64.b64decode(found.data[str(name).replace("/", ".")])


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _read_row(server: KubeServer, rounds: int) -> BenchRow:
    """Read one secret of five through each, in turn."""
    place, name = _filled(server, 5), _names(1)[0]
    ours, peer = [], []
    with server.open(place) as store, server.admin() as api:
        core = client.CoreV1Api(api)
        _plain(core, place, name)
        store.read(name)
        for _ in range(rounds):
            ours.append(_seconds(lambda: store.read(name)))
            peer.append(_seconds(lambda: _plain(core, place, name)))
    median, plain_median = statistics.median(ours), statistics.median(peer)
    return BenchRow(
        what="Kubernetes: read of one secret, against the Python client's own call",
        ours=f"{median * 1000:.2f} ms",
        peer=f"{plain_median * 1000:.2f} ms",
        ratio=f"{median / plain_median:.2f}",
        bar=f"at most {READ_RATIO_MAX:.2f}",
        holds=median <= READ_RATIO_MAX * plain_median,
    )


def _many_row(server: KubeServer, proxy: CuttingProxy, login: Path) -> BenchRow:
    """Read a hundred secrets of one object, with a latency that the proxy adds to both sides."""
    place, names = _filled(server, _MANY), _names(_MANY)
    proxy.latency = LATENCY_SECONDS
    with server.open(place, login) as store, config.new_client_from_config(str(login)) as api:
        core = client.CoreV1Api(api)
        ours = statistics.median(_seconds(lambda: [*store.read_many(names)]) for _ in range(5))
        peer = statistics.median(_seconds(lambda: [_plain(core, place, name) for name in names]) for _ in range(3))
    proxy.latency = 0.0
    return BenchRow(
        what=f"Kubernetes: {_MANY} secrets, against one by one ({LATENCY_SECONDS * 1000:.0f} ms latency added)",
        ours=f"{ours * 1000:.1f} ms",
        peer=f"{peer * 1000:.1f} ms",
        ratio=f"{peer / ours:.0f}",
        bar=f"at least {MANY_RATIO_MIN:.0f} times faster",
        holds=peer >= MANY_RATIO_MIN * ours,
    )


def _status_row(server: KubeServer, proxy: CuttingProxy, login: Path, count: int) -> BenchRow:
    """Count the calls of ``status``: Kubernetes has no quota of its own for them, and throttles by load."""
    place = _filled(server, count)
    with server.open(place, login) as store:
        proxy.requests.clear()
        seconds = _seconds(lambda: _all_ok(store, count))
    calls = len(proxy.requests)
    return BenchRow(
        what=f"Kubernetes: status of {count:,} secrets in one object",
        ours=f"{calls:,} call(s), {seconds:.2f} s",
        peer="-",
        ratio="-",
        bar="one call for all",
        holds=calls == 1,
    )


def _all_ok(store: KubernetesStore, count: int) -> None:
    specs = [static_spec(name) for name in _names(count)]
    required = frozenset(spec.key for spec in specs)
    found = list(status_of(specs, store, required=required, now=datetime.now(UTC)))
    if not all(item.state == "ok" for item in found):
        raise AssertionError("status did not see every secret as ok")

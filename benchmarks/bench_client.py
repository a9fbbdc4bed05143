"""What a cached read costs beside AWS's own caching client, and what the first read costs a process that starts."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import BenchRow

READ_MICROSECONDS_MAX = 0.4
TIMES_FASTER_MIN = 100
START_MILLISECONDS_MAX = 60
SECRET = "vantage/api-key"
HEAVY = frozenset(
    {
        *("azure", "boto3", "google", "hvac", "kubernetes"),
        *("fastapi", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "starlette", "typer"),
    }
)
FIRST_READ = "from vantage_secrets import get_secret; get_secret('vantage/api-key')"


def run(quick: bool = False) -> list[BenchRow]:
    """Measure both bars in this process and its children; ``quick`` takes fewer rounds."""
    with tempfile.TemporaryDirectory(prefix="vantage-bench-") as name:
        folder = Path(name)
        _make_workspace(folder)
        return [_cached_read(folder, quick), _first_read(folder, quick), _imports(folder)]


def _make_workspace(folder: Path) -> None:
    from vantage_secrets.bootstrap import initialise, open_workspace
    from vantage_secrets.secret import SecretName, SecretValue

    initialise(folder, environment="bench")
    workspace = open_workspace(folder / "vantage-secrets.toml", why="benchmark")
    staged = workspace.store.stage(SecretName(SECRET), SecretValue(os.urandom(16).hex()), "bench")
    workspace.store.promote(SecretName(SECRET), staged.id, expect_current=None)
    workspace.close()


def _cached_read(folder: Path, quick: bool) -> BenchRow:
    """Time both clients' cached reads in turns, so that a busy machine slows both alike."""
    rounds, count = (5, 2_000) if quick else (25, 10_000)
    with _aws_cache() as read_aws, _own_get_secret(folder) as get_secret:
        get_secret(SECRET)
        read_aws(SECRET)
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_microseconds_each(get_secret, count * 10))
            theirs.append(_microseconds_each(read_aws, count))
    own, peer = statistics.median(ours), statistics.median(theirs)
    return BenchRow(
        what="cached get_secret beside aws_secretsmanager_caching get_secret_string",
        ours=f"{own:.3f} µs",
        peer=f"{peer:.1f} µs",
        ratio=f"{peer / own:.0f}x",
        bar=f"at most {READ_MICROSECONDS_MAX} µs and at least {TIMES_FASTER_MIN}x",
        holds=own <= READ_MICROSECONDS_MAX and peer / own >= TIMES_FASTER_MIN,
    )


@contextmanager
def _own_get_secret(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Yield ``vantage_secrets.get_secret`` over the manifest in ``folder``."""
    from vantage_secrets import default_client, get_secret

    os.environ["VANTAGE_SECRETS_MANIFEST"] = str(folder / "vantage-secrets.toml")
    try:
        yield get_secret
    finally:
        default_client().close()
        del os.environ["VANTAGE_SECRETS_MANIFEST"]


def _microseconds_each(read: Callable[[str], object], count: int) -> float:
    name, rounds = SECRET, range(count)
    began = time.perf_counter()
    for _ in rounds:
        read(name)
    return (time.perf_counter() - began) / count * 1e6


@contextmanager
def _aws_cache() -> Iterator[Callable[[str], Any]]:
    """Yield the cached read of AWS's client, over a moto server of its own."""
    import boto3
    from aws_secretsmanager_caching import SecretCache

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_answer(url, server)
        client = boto3.client(
            "secretsmanager",
            endpoint_url=url,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_secret(Name=SECRET, SecretString=os.urandom(16).hex())
        yield SecretCache(client=client).get_secret_string
    finally:
        server.terminate()
        server.wait(10)


def _await_answer(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the moto server did not start")


def _first_read(folder: Path, quick: bool) -> BenchRow:
    """Time whole processes, the bare one and ours in turns."""
    bare, reading = [], []
    for _ in range(7 if quick else 31):
        bare.append(_process_milliseconds("pass", folder))
        reading.append(_process_milliseconds(FIRST_READ, folder))
    ours, peer = statistics.median(reading), statistics.median(bare)
    return BenchRow(
        what="import and first embedded read above a bare 'python -c pass', whole processes",
        ours=f"{ours:.0f} ms",
        peer=f"{peer:.0f} ms",
        ratio=f"+{ours - peer:.0f} ms",
        bar=f"at most +{START_MILLISECONDS_MAX} ms",
        holds=ours - peer <= START_MILLISECONDS_MAX,
    )


def _process_milliseconds(code: str, folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return (time.perf_counter() - began) * 1e3


def _imports(folder: Path) -> BenchRow:
    code = f"{FIRST_READ}; import json, sys; print(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    heavy = sorted(HEAVY.intersection(json.loads(done.stdout)))
    return BenchRow(
        what="SDKs, web frameworks and database toolkits imported by that first read",
        ours=", ".join(heavy) or "none",
        peer="",
        ratio="",
        bar="none",
        holds=not heavy,
    )

"""Many due secrets on four worker processes beside one: a real PostgreSQL, a store and a target that wait."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.servers.postgresql import PostgresqlServer, running_postgresql

from benchmarks.fleet_worker import LATENCY_SECONDS
from benchmarks.table import BenchRow
from vantage_secrets.bootstrap import Workspace, open_workspace
from vantage_secrets.drivers.queue_place import QueuePlace
from vantage_secrets.drivers.scheduler import ticker_of
from vantage_secrets.rotation.pauses import Pauses
from vantage_secrets.rotation.sightings import Sighting, Sightings
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.embedded import create_embedded

WORKERS = 4
RATIO_MIN = 3.0
DUE_COUNT = 1_000

_MEMORY = Path("/dev/shm")
_ROOT = Path(__file__).parents[1]
_MANIFEST = """\
environment = "bench"

[store]
url = "embedded:{folder}/secrets.db"
key_file = "{folder}/key"

[audit]
folder = "{folder}/audit-{number}"
spool = "{folder}/audit-spool-{number}"

[database]
url = "{url}"

[schedule]
offset = "0s"
"""
_SECRET = """
[secrets.K{number}]
name = "bench/key-{number}"
kind = "api-key"
purpose = "benchmark"
owner = "benchmark"
max_age = "20d"
grace = "0s"
"""


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the bar; ``quick`` takes a twentieth of the secrets, which proves nothing about it."""
    count = DUE_COUNT // 20 if quick else DUE_COUNT
    # In memory where there is such a folder: workers of a fleet do not share one disk.
    place = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder, running_postgresql(Path(folder)) as server:
        os.environ["PGPASSWORD"] = server.password
        try:
            one, four = (_seconds(server, Path(folder) / f"of-{workers}", workers, count) for workers in (1, WORKERS))
        finally:
            del os.environ["PGPASSWORD"]
    ratio = one / four
    return [
        BenchRow(
            f"{count:,} due API keys rotated from queue to refusal by {WORKERS} worker processes; each call to store "
            f"and target takes {LATENCY_SECONDS * 1000:.0f} ms more, as over a network; beside it, 1 worker",
            f"{four:.1f} s",
            f"{one:.1f} s",
            f"{ratio:.2f} times as fast",
            f"≥ {RATIO_MIN:g}",
            ratio >= RATIO_MIN,
        )
    ]


def _seconds(server: PostgresqlServer, folder: Path, workers: int, count: int) -> float:
    """Return how long so many workers take from the end of a pause of everything until all secrets are at rest anew."""
    folder.mkdir()
    server.execute(f"CREATE DATABASE workers_{workers}")
    url = server.url(f"workers_{workers}", user=server.superuser)
    create_embedded(folder / "secrets.db", environment="bench", key_source="file", key_file=folder / "key")
    manifests = [_manifest(folder, number, url, count) for number in range(workers + 1)]
    workspace = open_workspace(manifests.pop())
    try:
        _fill(workspace)
        before = Sightings(workspace.database).all()
        if len(before) != count or any(sighting.is_under_way for sighting in before.values()):
            raise AssertionError("not all secrets are at rest before it begins")
        QueuePlace.of(url).prepare()
        with _working(manifests):
            Pauses(workspace.database).resume(None)
            began = time.monotonic()
            _wait_until_rotated(workspace, before)
            return time.monotonic() - began
    finally:
        workspace.close()


def _manifest(folder: Path, number: int, url: str, count: int) -> Path:
    """Write one worker's manifest: only its audit log is its own, as on a machine of its own."""
    path = folder / f"vantage-secrets-{number}.toml"
    text = _MANIFEST.format(folder=folder, number=number, url=url)
    path.write_text(text + "".join(_SECRET.format(number=each) for each in range(count)))
    return path


def _fill(workspace: Workspace) -> None:
    """Write a key for each secret that has been due for a while, look at all of them, and pause all."""
    Pauses(workspace.database).pause(None, actor="benchmark", reason="not yet", now=workspace.clock())
    long_ago = datetime.now(UTC) - timedelta(days=30)
    for spec in workspace.manifest.secrets:
        target = workspace.target(spec)
        if target is None:
            raise AssertionError(spec.key)
        version = workspace.store.stage(spec.name, target.generate(None), token="bench", created_at=long_ago)
        target.install(workspace.store.read(spec.name, version=version.id), keep=None)
        workspace.store.promote(spec.name, version.id, expect_current=None)
    ticker_of(workspace).plans()


@contextmanager
def _working(manifests: list[Path]) -> Iterator[None]:
    command = (sys.executable, "-m", "benchmarks.fleet_worker")
    processes = [subprocess.Popen([*command, str(path)], cwd=_ROOT, stdout=subprocess.PIPE) for path in manifests]
    try:
        for process in processes:
            if process.stdout is None or not process.stdout.readline().startswith(b"Working"):
                raise AssertionError("a worker did not begin")
        yield
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait() for process in processes]
    if any(codes):
        raise AssertionError(f"workers ended with {codes}")


def _wait_until_rotated(workspace: Workspace, before: Mapping[SecretName, Sighting]) -> None:
    sightings = Sightings(workspace.database)
    while True:
        known = sightings.all()
        if any(sighting.failure_count for sighting in known.values()):
            raise AssertionError("a rotation failed")
        if not any(
            known[name].is_under_way or known[name].version_id == sighting.version_id
            for name, sighting in before.items()
        ):
            return
        time.sleep(0.25)

"""The work of one rotation, without the overlap, against the bare SDK and driver calls that it consists of.

Ours is the whole of what every driver calls: the lock, the audit log, the versions in the store, the proof that the
new credential works and the old one does not. The calls that it consists of are timed where they happen, inside of
hvac, psycopg and libpq. A second row stands beside a script of the fewest calls, which keeps no record, cannot be
resumed and notices no rival; there is no bar for it.
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import hvac
import psycopg
from psycopg import sql
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.vault import Engine, make_engine, running_server

from benchmarks.table import BenchRow
from vantage_secrets.bootstrap import Workspace, initialise
from vantage_secrets.manifest import parse
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.targets.postgresql import login, roles

RATIO_MAX = 1.5
ACCOUNT = "bench_worker"

_MANIFEST = """
[targets.postgresql]
url = "{server}"
admin_secret = "bench/administrator"
[secrets.WORKER_PASSWORD]
name = "bench/worker-password"
kind = "postgresql-password"
account = "{account}"
purpose = "What is rotated here"
owner = "the benchmark"
"""


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the bar on OpenBao and PostgreSQL; ``quick`` takes a fifth of the rotations."""
    count = 5 if quick else 25
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own
        engine = make_engine(stack.enter_context(running_server(folder)))
        server = stack.enter_context(running_postgresql(folder))
        server.execute(f"CREATE ROLE {ACCOUNT} NOLOGIN", "CREATE ROLE bare_a LOGIN", "CREATE ROLE bare_b LOGIN")
        workspace = stack.enter_context(_workspace(folder, engine, server))
        calls = stack.enter_context(_timed_calls())
        bare = _bare(engine, server)
        ours = _ours(workspace)
        for work in (ours, bare, ours, bare):  # the first makes the roles, and connections to the store
            work()
        rounds = [(*calls.around(ours), _seconds(bare)) for _ in range(count)]
    whole_ms, inside_ms, script_ms = (1000 * statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(whole / inside for whole, inside, _ in rounds)
    what = "one rotation in Vault and PostgreSQL, without the overlap"
    return [
        BenchRow(
            what=what,
            ours=f"{whole_ms:.1f} ms",
            peer=f"{inside_ms:.1f} ms in its {calls.count} calls of hvac, psycopg and libpq",
            ratio=f"{ratio:.2f}",
            bar=f"at most {RATIO_MAX}",
            holds=ratio <= RATIO_MAX,
        ),
        BenchRow(
            what=f"{what}, beside the shortest script",
            ours=f"{whole_ms:.1f} ms",
            peer=f"{script_ms:.1f} ms",
            ratio=f"{whole_ms / script_ms:.2f}",
            bar="none",
            holds=True,
        ),
    ]


class _Calls:
    """How long this process spends inside of the SDK and the driver."""

    def __init__(self) -> None:
        self.seconds, self.count = 0.0, 0
        self._depth = 0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its time counted; not twice where one calls another."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - began
                    self.count += 1

        return wrapped

    def around(self, work: Callable[[], object]) -> tuple[float, float]:
        """Return how long ``work`` took, and how much of that was spent in calls."""
        self.seconds, self.count = 0.0, 0
        whole = _seconds(work)
        return whole, self.seconds


@contextmanager
def _timed_calls() -> Iterator[_Calls]:
    """Count what passes through hvac's adapter, psycopg's connections, and libpq.

    libpq is written in C and cannot be watched itself. The logins and the verifiers that it makes are timed in the
    two functions of ours that do nothing else: ``_poll`` waits for a login to end, ``_alter`` makes a verifier and
    sends it.
    """
    calls = _Calls()
    places: list[tuple[Any, str]] = [(hvac.adapters.JSONAdapter, "request"), (psycopg, "connect")]
    places += [(login, "_poll"), (roles, "_alter")]
    places += [(psycopg.Connection, name) for name in ("execute", "commit", "rollback", "close")]
    before = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, call in before:
        setattr(place, name, calls.timed(call))
    try:
        yield calls
    finally:
        for place, name, call in before:
            setattr(place, name, call)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _workspace(folder: Path, engine: Engine, server: PostgresqlServer) -> Iterator[Workspace]:
    os.environ["VAULT_TOKEN"] = engine.server.token
    place = folder / "workspace"
    place.mkdir()
    manifest = initialise(place, environment="test", store_url=f"{engine.url()}?tls=off")
    text = manifest.path.read_text() + _MANIFEST.format(server=server.url(), account=ACCOUNT)
    workspace = Workspace(parse(text, manifest.path), why="benchmark")
    name = SecretName("bench/administrator")
    version = workspace.store.stage(name, SecretValue(server.password), token="bench")
    workspace.store.promote(name, version.id, expect_current=None)
    try:
        yield workspace
    finally:
        workspace.close()
        del os.environ["VAULT_TOKEN"]


def _ours(workspace: Workspace) -> Callable[[], object]:
    spec = workspace.manifest.find("WORKER_PASSWORD")
    return lambda: workspace.reconcile(spec, begin=True, grace=timedelta(0))


def _bare(engine: Engine, server: PostgresqlServer) -> Callable[[], object]:
    """Return what a careful script would do: write the new one aside, change the role, try it, publish, end the old."""
    kv, users = engine.kv(), ["bare_a", "bare_b"]
    path, pending = f"{engine.folder}/bare", f"{engine.folder}/bare-pending"
    kv.create_or_update_secret(path, {"username": users[1], "password": "none"}, mount_point=engine.mount)

    def rotate() -> None:
        found = kv.read_secret_version(path, mount_point=engine.mount, raise_on_deleted_version=True)["data"]
        old, version = found["data"], found["metadata"]["version"]
        new = {"username": users[0], "password": secrets.token_urlsafe(32)}
        users.reverse()
        kv.create_or_update_secret(pending, new, mount_point=engine.mount)
        with server.connect() as admin:
            _alter(admin, new["username"], new["password"])
        server.connect(new["username"], new["password"]).close()
        kv.create_or_update_secret(path, new, cas=version, mount_point=engine.mount)
        kv.delete_metadata_and_all_versions(pending, mount_point=engine.mount)
        with server.connect() as admin:
            _alter(admin, old["username"], secrets.token_urlsafe(32))
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [old["username"]]
            )
        try:
            server.connect(old["username"], old["password"]).close()
        except psycopg.OperationalError:
            kv.destroy_secret_versions(path, [version], mount_point=engine.mount)
        else:
            raise AssertionError("the old credential still works")

    return rotate


def _alter(admin: psycopg.Connection[Any], username: str, password: str) -> None:
    verifier = admin.pgconn.encrypt_password(password.encode(), username.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    admin.execute(statement.format(sql.Identifier(username), sql.Literal(verifier)))

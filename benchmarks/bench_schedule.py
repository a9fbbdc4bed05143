"""One tick over 10,000 secrets of which none is due, and beside it a tick that asks the store for each secret."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.specs import static_spec
from benchmarks.table import BenchRow
from vantage_secrets.database import Database
from vantage_secrets.manifest import Manifest, SecretSpec, parse, render_default
from vantage_secrets.manifest.model import ScheduleSettings
from vantage_secrets.rotation.pauses import Pauses
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.sightings import Sightings
from vantage_secrets.rotation.steps import Age, Situation
from vantage_secrets.rotation.tick import Ticker
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded

TICK_SECONDS_MAX = 2.0
CONSUMERS = 200
"""Each secret has two of so many consumers, so that the offsets between them are computed too."""


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the bar; ``quick`` takes a tenth of the secrets, which proves nothing about it."""
    count = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        store = create_embedded(Path(folder) / "secrets.db", environment="bench", key_file=Path(folder) / "key")
        database = Database(f"sqlite:///{folder}/control.db")
        try:
            return [_tick_row(store, database, _fill(store, count))]
        finally:
            database.close()
            store.close()


def _fill(store: Store, count: int) -> list[SecretSpec]:
    specs = []
    for number in range(count):
        name = SecretName(f"bench/secret-{number}")
        version = store.stage(name, SecretValue(f"value-{number}-" + "x" * 32), token=f"bench-{number}")
        store.promote(name, version.id, expect_current=None)
        consumers = (f"service-{number % CONSUMERS}", f"service-{number * 7 % CONSUMERS}")
        specs.append(static_spec(name)._replace(kind="api-key", consumers=consumers))
    return specs


def _manifest(specs: list[SecretSpec]) -> Manifest:
    text = render_default(environment="bench", store_url="embedded:secrets.db", key_file=None, audit_public_key=None)
    settings = ScheduleSettings(
        windows=("Mon-Fri 09:00-16:00",),
        timezone="Europe/Berlin",
        jitter=timedelta(days=1),
        offset=timedelta(hours=1),
        failures=3,
    )
    return parse(text, Path("/vantage-secrets.toml"))._replace(secrets=tuple(specs), schedule=settings)


class _Counted:
    """A store's ``describe_many``, and how many names it was asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def look(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        chosen = list(names)
        self.asked["names"] += len(chosen)
        return self._store.describe_many(chosen)


def _never(spec: SecretSpec, *, begin: bool) -> RotationReport:
    raise AssertionError(f"nothing is due, and {spec.key} was to be run (begin: {begin})")


def _tick_row(store: Store, database: Database, specs: list[SecretSpec]) -> BenchRow:
    counted = _Counted(store)
    ticker = Ticker(_manifest(specs), Sightings(database), Pauses(database), look=counted.look, reconcile=_never)
    ticker.tick()  # the first one asks for all
    if counted.asked["names"] != len(specs):
        raise AssertionError("the first tick did not ask for every secret")
    counted.asked.clear()
    ours = min(_seconds(ticker) for _ in range(3))
    peer = _naive_seconds(store, specs)
    calls = counted.asked["names"]
    return BenchRow(
        what=f"one tick over {len(specs):,} secrets, none due",
        ours=f"{ours:.2f} s, {calls} store calls",
        peer=f"{peer:.2f} s, {len(specs):,} store calls (describes each)",
        ratio=f"{ours / peer:.2f}",
        bar=f"at most {TICK_SECONDS_MAX:.0f} s, 0 store calls",
        holds=ours <= TICK_SECONDS_MAX and calls == 0,
    )


def _seconds(ticker: Ticker) -> float:
    began = time.perf_counter()
    report = ticker.tick()
    seconds = time.perf_counter() - began
    if report.done or any(plan.times is None for plan in report.plans):
        raise AssertionError("a tick of which nothing is due did something")
    return seconds


def _naive_seconds(store: Store, specs: list[SecretSpec]) -> float:
    """Return how long it takes to describe each secret in turn and to compute its due date, and nothing more."""
    began, now, due_count = time.perf_counter(), datetime.now(UTC), 0
    for spec in specs:
        age = Age.of(Situation.of(store.describe(spec.name)), max_age=spec.max_age, grace=spec.grace)
        due_count += age is not None and age.due_at <= now
    if due_count:
        raise AssertionError("nothing should be due")
    return time.perf_counter() - began

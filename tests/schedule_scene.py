"""What tests of the schedule share: manifests, sightings, and a world in which rotations need no store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from tests.canary import canary
from vantage_secrets.database import Database
from vantage_secrets.errors import SecretNotFoundError, StoreError, TargetError
from vantage_secrets.manifest import Manifest, SecretSpec, parse, render_default
from vantage_secrets.manifest.model import ScheduleSettings
from vantage_secrets.rotation.pauses import Pauses
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.sightings import Sighting, Sightings
from vantage_secrets.rotation.steps import SEQUENCE, Situation, Step
from vantage_secrets.rotation.tick import Ticker
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.testing import FakeClock, MemoryStore

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday."""

_EMPTY = parse(
    render_default(environment="test", store_url="embedded:secrets.db", key_file=None, audit_public_key=None),
    Path("/vantage-secrets.toml"),
)


def spec(key: str, **more: Any) -> SecretSpec:
    """A secret that an API-key target serves, of 90 days with a grace of one."""
    known: dict[str, Any] = {
        "key": key,
        "name": SecretName(f"test/{key.lower().replace('_', '-')}"),
        "kind": "api-key",
        "purpose": "a test",
        "owner": "tests",
        "consumers": (),
        "max_age": 90 * DAY,
        "grace": DAY,
        "required": True,
        "feature": None,
    }
    return SecretSpec(**(known | more))


def manifest_of(*specs: SecretSpec, **schedule: Any) -> Manifest:
    """A manifest with these secrets; at any hour, without jitter and offset unless they are given."""
    known: dict[str, Any] = {"windows": (), "timezone": "UTC", "jitter": timedelta(0), "offset": timedelta(0)}
    settings = ScheduleSettings(**(known | {"failures": 3} | schedule))
    return _EMPTY._replace(secrets=specs, schedule=settings)


def seen(written_at: datetime, **more: Any) -> Sighting:
    """What is known of a secret at rest whose value was written then."""
    known: dict[str, Any] = {"version_id": "1", "current_at": written_at, "oldest_at": written_at}
    return Sighting(**(known | {"is_under_way": False, "looked_at": written_at} | more))


class TickScene:
    """A ticker over a store in memory; a rotation is over at once, unless the secret stands in ``broken`` or ``slow``.

    Attributes:
        broken: What the reconcile of a secret raises, by key.
        slow: Keys of secrets whose overlap stays open for an hour.
        looks: How often the store was asked for each name.
        runs: Each call of reconcile: key, and whether it was told to begin.
    """

    def __init__(self, manifest: Manifest, url: str = "sqlite:///:memory:") -> None:
        self.manifest = manifest
        self.clock = FakeClock(START)
        self.store = MemoryStore(clock=self.clock)
        self.database = Database(url)
        self.sightings, self.pauses = Sightings(self.database), Pauses(self.database)
        self.broken: dict[str, Exception] = {}
        self.slow: set[str] = set()
        self.looks: Counter[SecretName] = Counter()
        self.runs: list[tuple[str, bool]] = []
        self.ticker = Ticker(
            manifest, self.sightings, self.pauses, look=self.look, reconcile=self.reconcile, clock=self.clock
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def put(self, one: SecretSpec) -> SecretVersion:
        """Make another value the only one, as somebody does who tells nobody."""
        version = self.store.put(one.name, canary())
        if (previous := self.situation(one.name).previous) is not None:
            self.store.retire(one.name, previous.id)
        return version

    def look(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        asked = list(names)
        self.looks.update(asked)
        return self.store.describe_many(asked)

    def situation(self, name: SecretName) -> Situation:
        try:
            return Situation.of(self.store.describe(name))
        except SecretNotFoundError:
            return Situation(None, None, None)

    def reconcile(self, spec: SecretSpec, *, begin: bool) -> RotationReport:
        """Do what the workspace's own does, with a target that needs no time."""
        self.runs.append((spec.key, begin))
        error = self.broken.get(spec.key)
        if isinstance(error, StoreError | TargetError):
            self.sightings.note_failure(spec.name, now=self.clock())
        if error is not None:
            raise error
        before = self.situation(spec.name)
        steps: tuple[Step, ...] = ()
        if begin and before.is_at_rest:
            staged = self.store.stage(spec.name, SecretValue(canary()), f"{len(self.runs)}")
            before = Situation(staged, before.current, None)
            steps = SEQUENCE[:1]
        if before.pending is not None:
            current = before.current.id if before.current else None
            self.store.promote(spec.name, before.pending.id, expect_current=current)
            steps += SEQUENCE[1:4]
        after = self.situation(spec.name)
        until = after.overlap_ends_at(HOUR if spec.key in self.slow else timedelta(0))
        if after.previous is not None and until is not None and self.clock() >= until:
            self.store.retire(spec.name, after.previous.id)
            steps, after, until = steps + SEQUENCE[4:], self.situation(spec.name), None
        self.sightings.note(spec.name, after, now=self.clock(), begun=Step.CREATE in steps, retry_at=until)
        return RotationReport(spec.name, steps, after, until)

    def current(self, one: SecretSpec) -> str | None:
        found = self.situation(one.name).current
        return found.id if found else None

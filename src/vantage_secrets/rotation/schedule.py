"""When the next rotation of each secret begins: rules only, no I/O.

For a secret at rest, counted from when its current version was written:

- ``due_at`` = maximum age - grace - margin: from then on it begins at any hour.
- ``last_at`` = maximum age - grace: from then on it begins whatever other rotations do, because the old value would
  outlive its maximum age otherwise.
- ``begins_at``, planned: before ``due_at`` by a jitter that is the secret's own; inside a window, where there is one
  in the second half of the life; and, for each consumer, an offset before the next one that it has to follow.

Now begins what has reached ``begins_at`` and is inside a window, or has reached ``due_at``. Of the secrets of one
consumer the most urgent goes first; the others wait until ``offset`` has passed since, or until ``last_at``.
Nothing begins in the first half of ``maximum age - grace``, so that no setting makes a rotation follow the last one
at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from vantage_secrets.manifest import Manifest, SecretSpec
from vantage_secrets.manifest.fields import TARGET_KINDS
from vantage_secrets.rotation.pauses import ALL, Pause
from vantage_secrets.rotation.sightings import Sighting
from vantage_secrets.rotation.steps import due_after
from vantage_secrets.rotation.windows import Windows
from vantage_secrets.secret import SecretName

_FAR = datetime.max.replace(tzinfo=UTC)
_LAST_MOMENTS = timedelta(minutes=1)


class Standing(StrEnum):
    """Why a secret's rotation begins now, or why it does not."""

    NOW = "now"
    """It begins now."""
    NOT_YET = "not yet"
    """Its time has not come."""
    WINDOW = "window"
    """Its time has come, and it waits for a window, or for ``due_at``."""
    OFFSET = "offset"
    """A rotation that the same consumer follows has begun a moment ago."""
    PAUSED = "paused"
    """Somebody has paused it, or all."""
    RETRY = "retry"
    """It has failed and is tried again later."""
    UNDER_WAY = "under way"
    """It is being rotated."""
    BY_HAND = "by hand"
    """Nothing here can change it at its target: a person does."""
    MISSING = "missing"
    """The platform needs it, and the store does not have it: a person brings the first value."""
    UNUSED = "unused"
    """The platform does not need it, and the store does not have it."""
    UNSEEN = "unseen"
    """The store was not asked yet, or by a clock that was wrong."""


class Times(NamedTuple):
    """The instants of one secret at rest, as the module's text has them; aware UTC."""

    begins_at: datetime
    due_at: datetime
    last_at: datetime


class Plan(NamedTuple):
    """How one secret stands in the schedule.

    Attributes:
        spec: The secret.
        standing: One word.
        sighting: What the store said last of it, where it was asked.
        times: When it begins, for one that has a current version and is at rest.
        until: What it waits for, where that is known.
        reason: More words for a person: who paused it and why, or which other rotation it waits for.
    """

    spec: SecretSpec
    standing: Standing
    sighting: Sighting | None
    times: Times | None = None
    until: datetime | None = None
    reason: str = ""


def can_rotate(spec: SecretSpec) -> bool:
    """Return whether the manifest says where the secret can be changed."""
    return spec.kind != "static" and (spec.kind not in TARGET_KINDS or spec.target is not None)


class Schedule:
    """The rules of one manifest.

    Args:
        manifest: What it says of the schedule and of the secrets.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Keep what does not change from tick to tick."""
        settings = manifest.schedule
        self._specs = manifest.secrets
        self._required = frozenset(spec.key for spec in manifest.required_secrets())
        self._windows = Windows(settings.windows, settings.timezone)
        self._jitter, self._offset = settings.jitter, settings.offset
        self._salt = manifest.environment.encode()[:64]

    def plan(
        self, sightings: Mapping[SecretName, Sighting], pauses: Mapping[str, Pause], *, now: datetime
    ) -> list[Plan]:
        """Return how each secret stands at ``now``, in the manifest's order; all that say ``NOW`` may begin together.

        Args:
            sightings: What the store said last of each secret.
            pauses: What is paused, by name or :data:`~vantage_secrets.rotation.pauses.ALL`.
            now: The present, aware UTC.
        """
        times = self._all_times(sightings, now)
        plans: dict[str, Plan] = {}
        ready: list[Plan] = []
        is_open = self._windows.contain(now)
        for spec in self._specs:
            plan = self._plan_one(spec, sightings.get(spec.name), times.get(spec.key), pauses, now, is_open)
            plans[spec.key] = plan
            if plan.standing is Standing.NOW:
                ready.append(plan)
        if ready and self._offset:
            plans.update(self._with_offsets(ready, sightings, now))
        return list(plans.values())

    def _all_times(self, sightings: Mapping[SecretName, Sighting], now: datetime) -> dict[str, Times]:
        """Return the times of all that are at rest, each planned an offset before the next of its consumers."""
        own = [
            (spec, self._times(spec, sighting))
            for spec in self._specs
            if (sighting := sightings.get(spec.name)) is not None
            and sighting.current_at is not None
            and not sighting.is_under_way
            and sighting.is_credible(now)
        ]
        own.sort(key=lambda pair: (pair[1].begins_at, pair[1].last_at, pair[0].key), reverse=True)
        next_of: dict[str, datetime] = {}
        found: dict[str, Times] = {}
        for spec, times in own:
            found[spec.key] = self._before_others(spec, times, next_of) if can_rotate(spec) else times
        return found

    def _times(self, spec: SecretSpec, sighting: Sighting) -> Times:
        """Return the times of one secret as if it were alone."""
        written_at = sighting.current_at or sighting.looked_at
        floor = written_at + (spec.max_age - spec.grace) / 2
        due_at = max(due_after(written_at, max_age=spec.max_age, grace=spec.grace), floor)
        last_at = written_at + spec.max_age - spec.grace
        share = self._share(spec.name, sighting.version_id or "")
        jittered_at = max(due_at - share * min(self._jitter, spec.max_age / 10), floor)
        return Times(self._in_window(jittered_at, floor, due_at, share), due_at, last_at)

    def _share(self, name: SecretName, version_id: str) -> float:
        """Return a number from 0 to 1 that is the version's own and stays the same from tick to tick."""
        digest = blake2b(f"{name}\0{version_id}".encode(), key=self._salt, digest_size=6).digest()
        return int.from_bytes(digest) / 2**48

    def _in_window(self, instant: datetime, floor: datetime, due_at: datetime, share: float) -> datetime:
        """Return ``instant``, or one inside the window after or before it, from ``floor`` to ``due_at``."""
        if self._windows.contain(instant):
            return instant
        after = self._windows.next_after(instant)
        if after.begins_at < due_at:
            return after.begins_at + share * (min(after.ends_at, due_at) - after.begins_at)
        before = self._windows.last_before(instant)
        chosen = before.begins_at + share * (before.ends_at - before.begins_at)
        return chosen if chosen >= floor else due_at

    def _before_others(self, spec: SecretSpec, times: Times, next_of: dict[str, datetime]) -> Times:
        """Plan the secret an offset before the next rotation that one of its consumers has to follow."""
        latest = min((next_of[consumer] for consumer in spec.consumers if consumer in next_of), default=_FAR)
        begins_at = times.begins_at
        if latest is not _FAR and begins_at > latest - self._offset:
            floor = times.last_at - (spec.max_age - spec.grace) / 2
            begins_at = min(max(self._earlier(latest - self._offset), floor), begins_at)
        next_of.update(dict.fromkeys(spec.consumers, begins_at))
        return times._replace(begins_at=begins_at)

    def _earlier(self, instant: datetime) -> datetime:
        """Return ``instant``, or an offset before the end of the window before it."""
        if self._windows.contain(instant):
            return instant
        before = self._windows.last_before(instant)
        return max(before.begins_at, before.ends_at - max(self._offset, _LAST_MOMENTS))

    def _plan_one(
        self,
        spec: SecretSpec,
        sighting: Sighting | None,
        times: Times | None,
        pauses: Mapping[str, Pause],
        now: datetime,
        is_open: bool,
    ) -> Plan:
        """Return how a secret stands, its consumers' other secrets aside."""
        if sighting is None or not sighting.is_credible(now):
            return Plan(spec, Standing.UNSEEN, sighting)
        if sighting.is_under_way:
            standing = Standing.RETRY if sighting.failure_count else Standing.UNDER_WAY
            return Plan(spec, standing, sighting, None, sighting.retry_at)
        if times is None:
            return Plan(spec, Standing.MISSING if spec.key in self._required else Standing.UNUSED, sighting)
        if not can_rotate(spec):
            return Plan(spec, Standing.BY_HAND, sighting, times, times.due_at)
        if pause := pauses.get(str(spec.name)) or pauses.get(ALL):
            return Plan(spec, Standing.PAUSED, sighting, times, None, f"by {pause.actor}: {pause.reason}")
        if now < times.begins_at:
            return Plan(spec, Standing.NOT_YET, sighting, times, times.begins_at)
        if sighting.failure_count and sighting.is_waiting(now):
            return Plan(spec, Standing.RETRY, sighting, times, sighting.retry_at)
        if not is_open and now < times.due_at:
            until = min(self._windows.next_after(now).begins_at, times.due_at)
            return Plan(spec, Standing.WINDOW, sighting, times, until)
        return Plan(spec, Standing.NOW, sighting, times)

    def _with_offsets(
        self, ready: Iterable[Plan], sightings: Mapping[SecretName, Sighting], now: datetime
    ) -> dict[str, Plan]:
        """Return the plans of those that are ready, all but the first of each consumer's put off."""
        begun = self._begun_lately(sightings, now)
        found: dict[str, Plan] = {}
        for plan in sorted(ready, key=urgency):
            spec, times = plan.spec, plan.times
            others = [pair for consumer in spec.consumers for pair in begun.get(consumer, ()) if pair[1] != spec.key]
            latest = max(others, default=None)
            if latest is not None and times is not None and now < times.last_at:
                until = min(latest[0] + self._offset, times.last_at)
                found[spec.key] = plan._replace(standing=Standing.OFFSET, until=until, reason=f"after {latest[1]}")
                continue
            found[spec.key] = plan
            for consumer in spec.consumers:
                begun.setdefault(consumer, []).append((now, spec.key))
        return found

    def _begun_lately(
        self, sightings: Mapping[SecretName, Sighting], now: datetime
    ) -> dict[str, list[tuple[datetime, str]]]:
        """Return, for each consumer, the rotations that have begun less than an offset ago."""
        begun: dict[str, list[tuple[datetime, str]]] = {}
        for spec in self._specs:
            sighting = sightings.get(spec.name)
            begun_at = None if sighting is None else sighting.begun_at
            if begun_at is not None and begun_at <= now < begun_at + self._offset:
                for consumer in spec.consumers:
                    begun.setdefault(consumer, []).append((begun_at, spec.key))
        return begun


def urgency(plan: Plan) -> tuple[datetime, str]:
    """Return what plans are sorted by, the most urgent first."""
    return (plan.times.last_at if plan.times else _FAR, plan.spec.key)

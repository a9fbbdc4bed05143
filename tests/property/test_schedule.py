"""Whatever the settings: every secret begins in time, once, and those of one consumer not at the same time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule_scene import HOUR, MINUTE, START, TickScene, manifest_of, seen, spec
from vantage_secrets.manifest import Manifest
from vantage_secrets.rotation.schedule import Schedule, Standing
from vantage_secrets.rotation.sightings import Sighting
from vantage_secrets.rotation.windows import Windows
from vantage_secrets.secret import SecretName

TICK = 10 * MINUTE
AGE, GRACE = 40 * HOUR, 4 * HOUR  # the margin is 4 hours: due at 32, last at 36
_WINDOWS = st.sampled_from([(), ("02:00-05:00",), ("Mon 10:00-12:00", "22:00-01:00"), ("Sun 00:00-24:00",)])


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    consumers = st.sets(st.sampled_from(["web", "mail", "jobs"]), max_size=2)
    specs = [
        spec(f"KEY_{number}", consumers=tuple(sorted(draw(consumers))), max_age=AGE, grace=GRACE)
        for number in range(draw(st.integers(2, 7)))
    ]
    return manifest_of(
        *specs,
        windows=draw(_WINDOWS),
        timezone=draw(st.sampled_from(["UTC", "America/New_York"])),
        jitter=draw(st.sampled_from([timedelta(0), 2 * HOUR, 100 * HOUR])),
        offset=draw(st.sampled_from([timedelta(0), HOUR, 5 * HOUR])),
    )


class _World:
    """Rotations begin when the schedule says so, and are at rest again two hours later."""

    def __init__(self, manifest: Manifest, ages: list[timedelta]) -> None:
        self.schedule = Schedule(manifest)
        self.known: dict[SecretName, Sighting] = {
            one.name: seen(START - age) for one, age in zip(manifest.secrets, ages, strict=False)
        }
        self.begun: list[tuple[datetime, SecretName, datetime, datetime]] = []

    def tick(self, now: datetime) -> None:
        for name, known in self.known.items():
            if known.is_under_way and known.begun_at is not None and now >= known.begun_at + 2 * HOUR:
                self.known[name] = known._replace(is_under_way=False)
        for plan in self.schedule.plan(self.known, {}, now=now):
            if plan.standing is Standing.NOW and plan.times is not None and plan.sighting is not None:
                name, number = plan.spec.name, int(plan.sighting.version_id or 0) + 1
                self.begun.append((now, name, plan.sighting.current_at or now, plan.times.begins_at))
                self.known[name] = seen(now, version_id=str(number), begun_at=now, is_under_way=True)


@settings(max_examples=60, deadline=None)
@given(manifests(), st.lists(st.integers(0, 30).map(lambda hours: hours * HOUR), min_size=7, max_size=7))
def test_every_rotation_begins_in_time_inside_windows_and_apart_from_its_consumers_others(
    manifest: Manifest, ages: list[timedelta]
) -> None:
    world = _World(manifest, ages)
    for number in range(int(80 * HOUR / TICK)):
        world.tick(START + number * TICK)
    windows = Windows(manifest.schedule.windows, manifest.schedule.timezone)
    consumers = {one.name: set(one.consumers) for one in manifest.secrets}
    last = AGE - GRACE
    for at, name, written_at, _planned in world.begun:
        age = at - written_at
        assert age < last + TICK, "the old value would outlive its maximum age"
        assert age >= last / 2, "nothing begins in the first half"
        assert windows.contain(at) or age >= last - AGE / 10, "outside of the windows only what is due"
        near = [
            other
            for then, other, *_ in world.begun
            if other != name and consumers[other] & consumers[name] and then <= at < then + manifest.schedule.offset
        ]
        assert not near or age >= last or _was_first(world, at, name), f"{name} too near to {near}"
    for one in manifest.secrets:
        times = [at for at, name, *_ in world.begun if name == one.name]
        assert times, "never begun"
        assert all(later - sooner >= last / 2 for sooner, later in pairwise(times))


def _was_first(world: _World, at: datetime, name: SecretName) -> bool:
    """Whether those that were begun in the same tick had no choice: their last moment had come."""
    same = [(other, written) for then, other, written, _ in world.begun if then == at and other != name]
    return bool(same) and all(at - written >= AGE - GRACE for _other, written in same)


@settings(max_examples=40, deadline=None)
@given(manifests(), st.lists(st.integers(-400, 400).map(lambda hours: hours * HOUR), min_size=1, max_size=4))
def test_a_clock_that_jumps_begins_nothing_twice_and_leaves_nothing_out(
    manifest: Manifest, jumps: list[timedelta]
) -> None:
    with TickScene(manifest) as scene:
        for one in manifest.secrets:
            scene.put(one)
        lowest = dict.fromkeys((one.key for one in manifest.secrets), scene.clock())

        def tick() -> set[str]:
            now = scene.clock()
            for key in lowest:
                lowest[key] = min(lowest[key], now)
            begun = [done.work.spec.key for done in scene.ticker.tick().done if done.work.begin]
            for key in begun:
                assert now - lowest[key] >= (AGE - GRACE) / 2, f"{key} was begun twice"
                lowest[key] = now
            return set(begun)

        for jump in jumps:
            scene.clock.advance(jump)
            tick()
            scene.clock.advance(TICK)
            tick()
        begun: set[str] = set()
        for _ in range(10):  # 40 hours, in which the clock goes as it should
            scene.clock.advance(4 * HOUR)
            begun |= tick()
        assert begun == set(lowest), "left out for good"

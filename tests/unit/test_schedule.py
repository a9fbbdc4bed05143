"""When a rotation begins: due date, jitter, windows, offsets, pauses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.schedule_scene import DAY, HOUR, MINUTE, START, manifest_of, seen, spec
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.pauses import ALL, Pause
from vantage_secrets.rotation.schedule import Plan, Schedule, Standing
from vantage_secrets.rotation.sightings import Sighting
from vantage_secrets.rotation.windows import Windows

SECOND = timedelta(seconds=1)
DUE = START + 88 * DAY  # 90 days, less a day's grace, less a day's margin
KEY = spec("KEY")


def _plans(
    *specs: SecretSpec,
    now: datetime,
    sightings: Mapping[str, Sighting] | None = None,
    pauses: Mapping[str, Pause] | None = None,
    **schedule: object,
) -> dict[str, Plan]:
    known = {one.name: (sightings or {}).get(one.key, seen(START)) for one in specs}
    found = Schedule(manifest_of(*specs, **schedule)).plan(known, pauses or {}, now=now)
    return {plan.spec.key: plan for plan in found}


def _standing(*specs: SecretSpec, now: datetime, **more: object) -> Standing:
    return next(iter(_plans(*specs, now=now, **more).values())).standing  # type: ignore[arg-type]


def test_a_secret_begins_at_its_due_date_and_not_before() -> None:
    assert _standing(KEY, now=DUE - SECOND) is Standing.NOT_YET
    assert _standing(KEY, now=DUE) is Standing.NOW


def test_jitter_is_earlier_and_the_versions_own_and_never_more_than_a_tenth_of_the_age() -> None:
    specs = [spec(f"KEY_{number}") for number in range(40)]
    found = [plan.times for plan in _plans(*specs, now=START, jitter=DAY).values()]
    begins = {times.begins_at for times in found if times}
    assert len(begins) == 40
    assert DUE - DAY < min(begins) < DUE - DAY / 2 < max(begins) <= DUE
    again = [plan.times for plan in _plans(*specs, now=START + 50 * DAY, jitter=DAY).values()]
    assert again == found, "another tick finds the same"
    other = _plans(specs[0], now=START, jitter=DAY, sightings={"KEY_0": seen(START, version_id="2")})
    assert other["KEY_0"].times not in found
    wild = [plan.times for plan in _plans(*specs, now=START, jitter=1000 * DAY).values()]
    assert all(times and times.begins_at > DUE - 9 * DAY for times in wild)


def test_inside_a_window_it_begins_and_outside_it_waits_until_it_is_due() -> None:
    window = {"windows": ("Sat 02:00-04:00",)}
    [plan] = _plans(KEY, now=START, **window).values()  # type: ignore[arg-type]
    assert plan.times is not None
    begins = plan.times.begins_at
    assert DUE - 7 * DAY < begins < DUE
    assert Windows(window["windows"]).contain(begins)
    assert _standing(KEY, now=begins - SECOND, **window) is Standing.NOT_YET
    assert _standing(KEY, now=begins, **window) is Standing.NOW
    late = _plans(KEY, now=begins + 3 * HOUR, **window)["KEY"]  # type: ignore[arg-type]
    assert (late.standing, late.until) == (Standing.WINDOW, DUE), "missed it, as while nothing ran"
    assert _standing(KEY, now=DUE, **window) is Standing.NOW


def test_a_window_that_would_come_too_early_in_its_life_is_let_go() -> None:
    short = spec("SHORT", max_age=2 * DAY, grace=HOUR)
    sunday = datetime(2026, 3, 1, 12, tzinfo=UTC)
    found = _plans(short, now=START, sightings={"SHORT": seen(START)}, windows=("Sun 10:00-13:00",))["SHORT"]
    assert found.times is not None
    assert sunday < START < found.times.begins_at
    assert found.times.begins_at == found.times.due_at


def test_a_grace_that_takes_nearly_all_of_the_age_never_makes_rotations_follow_at_once() -> None:
    tight = spec("TIGHT", max_age=10 * DAY, grace=9 * DAY + 12 * HOUR)
    found = _plans(tight, now=START)["TIGHT"]
    assert found.standing is Standing.NOT_YET
    assert found.until == START + 6 * HOUR, "half of what is left"


def test_of_one_consumers_secrets_the_most_urgent_begins_and_the_others_wait_an_offset() -> None:
    first, second, other = (spec(key, consumers=(who,)) for key, who in (("B", "web"), ("A", "web"), ("C", "mail")))
    sightings = {"B": seen(START - MINUTE), "A": seen(START), "C": seen(START)}
    plans = _plans(first, second, other, now=DUE, sightings=sightings, offset=HOUR)
    assert [plans[key].standing for key in "BAC"] == [Standing.NOW, Standing.OFFSET, Standing.NOW]
    assert (plans["A"].until, plans["A"].reason) == (DUE + HOUR, "after B")
    sightings["B"] = seen(DUE, begun_at=DUE, is_under_way=True)
    assert _plans(first, second, now=DUE + HOUR - SECOND, sightings=sightings, offset=HOUR)["A"].standing == "offset"
    assert _plans(first, second, now=DUE + HOUR, sightings=sightings, offset=HOUR)["A"].standing == "now"


def test_an_offset_never_holds_a_secret_past_its_last_moment() -> None:
    specs = [spec(key, consumers=("web",)) for key in ("A", "B")]
    last = DUE + DAY
    sightings = {"A": seen(START), "B": seen(START)}
    plans = _plans(*specs, now=last - MINUTE, sightings=sightings, offset=HOUR)
    assert (plans["B"].standing, plans["B"].until) == (Standing.OFFSET, last)
    plans = _plans(*specs, now=last, sightings=sightings, offset=HOUR)
    assert {plan.standing for plan in plans.values()} == {Standing.NOW}


def test_many_secrets_of_one_consumer_are_planned_an_offset_apart_before_they_are_due() -> None:
    specs = [spec(f"KEY_{number:02}", consumers=("web",)) for number in range(50)]
    times = sorted(plan.times.begins_at for plan in _plans(*specs, now=START, offset=HOUR).values() if plan.times)
    assert times == [DUE - number * HOUR for number in reversed(range(50))]


def test_many_secrets_of_one_consumer_are_planned_into_earlier_windows() -> None:
    specs = [spec(f"KEY_{number}", consumers=("web",)) for number in range(4)]
    windows = Windows(["Sat 02:00-04:00"])
    found = _plans(*specs, now=START, offset=HOUR, windows=("Sat 02:00-04:00",))
    times = sorted(plan.times.begins_at for plan in found.values() if plan.times)
    assert all(windows.contain(instant) for instant in times)
    assert times[0] < times[-1] - 6 * DAY


def test_a_pause_of_one_and_of_all_keep_from_beginning_and_say_who_and_why() -> None:
    pause = Pause(START, "ada@ops", "a freeze")
    for subject in (str(KEY.name), ALL):
        plan = _plans(KEY, now=DUE, pauses={subject: pause})["KEY"]
        assert (plan.standing, plan.reason) == (Standing.PAUSED, "by ada@ops: a freeze")
    assert _standing(KEY, now=DUE, pauses={"test/other": pause}) is Standing.NOW


def test_what_fails_waits_for_its_retry_and_what_is_under_way_does_not_begin() -> None:
    failed = {"KEY": seen(START, failure_count=2, retry_at=DUE + HOUR)}
    assert _standing(KEY, now=DUE, sightings=failed) is Standing.RETRY
    assert _standing(KEY, now=DUE + HOUR, sightings=failed) is Standing.NOW
    assert _standing(KEY, now=DUE, sightings={"KEY": seen(START, is_under_way=True)}) is Standing.UNDER_WAY


@pytest.mark.parametrize(
    ("one", "standing"),
    [
        (spec("KEY", kind="static"), Standing.BY_HAND),
        (spec("KEY", kind="kafka-password"), Standing.BY_HAND),
        (spec("KEY", kind="kafka-password", target="kafka"), Standing.NOW),
    ],
)
def test_what_nothing_here_can_change_is_for_a_person(one: SecretSpec, standing: Standing) -> None:
    assert _standing(one, now=DUE) is standing


def test_what_the_store_does_not_have_is_missing_only_where_it_is_required() -> None:
    nothing = {"KEY": seen(START, version_id=None, current_at=None, oldest_at=None)}
    assert _standing(KEY, now=DUE, sightings=nothing) is Standing.MISSING
    assert _standing(spec("KEY", required=False), now=DUE, sightings=nothing) is Standing.UNUSED


def test_what_a_clock_in_the_future_has_seen_counts_as_unseen() -> None:
    future = {"KEY": seen(START + 400 * DAY)}
    assert _standing(KEY, now=START, sightings=future) is Standing.UNSEEN
    skewed = {"KEY": seen(START + 2 * SECOND)}
    assert _standing(KEY, now=START, sightings=skewed) is Standing.NOT_YET


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("window", "zone", "instant", "is_inside"),
    [
        ("Mon-Fri 09:00-16:00", "UTC", datetime(2026, 3, 2, 9, tzinfo=UTC), True),
        ("Mon-Fri 09:00-16:00", "UTC", datetime(2026, 3, 2, 16, tzinfo=UTC), False),
        ("Mon-Fri 09:00-16:00", "UTC", datetime(2026, 3, 7, 12, tzinfo=UTC), False),
        ("Fri-Mon 09:00-16:00", "UTC", datetime(2026, 3, 7, 12, tzinfo=UTC), True),
        ("Fri-Mon 09:00-16:00", "UTC", datetime(2026, 3, 4, 12, tzinfo=UTC), False),
        ("Fri 22:00-02:00", "UTC", datetime(2026, 3, 7, 1, 59, tzinfo=UTC), True),
        ("Sun 22:00-02:00", "UTC", datetime(2026, 3, 2, 1, 59, tzinfo=UTC), True),
        ("Sun 22:00-02:00", "UTC", datetime(2026, 3, 2, 2, tzinfo=UTC), False),
        ("22:00-02:00", "UTC", datetime(2026, 3, 4, 23, tzinfo=UTC), True),
        ("20:00-24:00", "UTC", datetime(2026, 3, 4, 23, 59, tzinfo=UTC), True),
        ("20:00-24:00", "UTC", datetime(2026, 3, 5, 0, 0, tzinfo=UTC), False),
        ("02:00-04:00", BERLIN, datetime(2026, 1, 5, 1, 30, tzinfo=UTC), True),
        ("02:00-04:00", BERLIN, datetime(2026, 7, 6, 1, 30, tzinfo=UTC), True),
        ("02:00-04:00", BERLIN, datetime(2026, 7, 6, 2, 30, tzinfo=UTC), False),
    ],
)
def test_windows_are_wall_time_of_their_zone(window: str, zone: str, instant: datetime, is_inside: bool) -> None:
    assert Windows([window], zone).contain(instant) is is_inside


def test_the_next_and_the_last_window_are_found_across_weeks_and_a_change_of_clocks() -> None:
    windows = Windows(["Sun 02:00-04:00"], BERLIN)
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    opening = windows.next_after(saturday)
    assert opening.ends_at == datetime(2026, 3, 29, 2, tzinfo=UTC), "02:00 is skipped on that day; 04:00 is 02:00 UTC"
    assert windows.last_before(saturday) == (
        datetime(2026, 3, 22, 1, tzinfo=UTC),
        datetime(2026, 3, 22, 3, tzinfo=UTC),
    )
    assert windows.next_after(opening.ends_at).begins_at == datetime(2026, 4, 5, 0, tzinfo=UTC)

"""One tick: what the store is asked, what goes on, what begins, and when the brake holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.canary import canary
from tests.schedule_scene import DAY, HOUR, MINUTE, START, TickScene, manifest_of, spec
from vantage_secrets.database import Database
from vantage_secrets.drivers.command import run_all
from vantage_secrets.errors import (
    DatabaseError,
    MissingExtraError,
    StoreUnavailableError,
    TargetUnavailableError,
)
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.pauses import ALL
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.schedule import Standing
from vantage_secrets.rotation.sightings import RETRY_MAX, RETRY_MIN, Sightings, backoff
from vantage_secrets.rotation.tick import LOOK_AGAIN, Done, Stopped, Ticker, TickReport, Work
from vantage_secrets.secret import SecretName, SecretValue

DUE = 88 * DAY
SPECS = tuple(spec(f"KEY_{number}") for number in range(5))
FIRST = SPECS[0]


@pytest.fixture
def scene() -> Iterator[TickScene]:
    """Five secrets, fresh."""
    with TickScene(manifest_of(*SPECS)) as scene:
        for one in SPECS:
            scene.put(one)
        yield scene


def _began(report: TickReport) -> list[str]:
    return [done.work.spec.key for done in report.done if done.work.begin and done.error is None]


def test_what_is_known_and_not_due_is_asked_of_nobody(scene: TickScene) -> None:
    assert scene.ticker.tick().done == ()
    assert scene.looks.total() == 5, "unknown: each was asked for once"
    scene.clock.advance(DUE - MINUTE)
    assert scene.ticker.tick().done == ()
    assert (scene.looks.total(), scene.runs) == (5, [])


def test_what_is_due_begins_once(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    assert _began(scene.ticker.tick()) == [one.key for one in SPECS]
    assert scene.ticker.tick().done == ()
    assert len(scene.runs) == 5


def test_an_open_overlap_goes_on_when_its_time_has_come_and_not_before(scene: TickScene) -> None:
    scene.slow.add(FIRST.key)
    scene.ticker.tick()
    scene.clock.advance(DUE)
    scene.ticker.tick()
    assert scene.situation(FIRST.name).previous is not None
    scene.runs.clear()
    scene.clock.advance(HOUR - MINUTE)
    scene.ticker.plans(look_at_all=True)  # somebody looks meanwhile
    assert scene.ticker.tick().done == ()
    scene.clock.advance(MINUTE)
    [done] = scene.ticker.tick().done
    assert (done.work, scene.runs) == (Work(FIRST, begin=False), [(FIRST.key, False)])
    assert scene.situation(FIRST.name).is_at_rest


def test_an_end_that_a_clock_of_the_future_had_set_is_not_waited_for(scene: TickScene) -> None:
    scene.slow.add(FIRST.key)
    scene.ticker.tick()
    scene.clock.advance(400 * DAY)
    scene.ticker.tick()
    scene.clock.advance(-400 * DAY)
    assert [done.work for done in scene.ticker.tick().done] == [Work(FIRST, begin=False)]


def test_what_another_machine_left_pending_goes_on(scene: TickScene) -> None:
    scene.store.stage(FIRST.name, SecretValue(canary()), "left")
    [done] = scene.ticker.tick().done
    assert done.work == Work(FIRST, begin=False)
    assert scene.situation(FIRST.name).is_at_rest


def test_an_old_job_or_another_process_that_was_first_begins_nothing(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    work = scene.ticker.work(scene.ticker.plans())[0]
    scene.put(work.spec)  # somebody rotates it meanwhile, without a word to the control database
    current = scene.current(work.spec)
    assert scene.ticker.do(work) is None
    assert (scene.current(work.spec), scene.runs) == (current, [])
    assert work.spec.key not in _began(scene.ticker.tick()), "and the next tick knows"


def test_a_pause_that_comes_while_a_tick_runs_holds_at_once(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick(
        on_done=lambda _done: scene.pauses.pause(None, actor="ada", reason="stop", now=scene.clock()) and None
    )
    assert len(_began(report)) - sum(done.report is None for done in report.done) == 1
    assert report.brake is None or report.brake.actor == "ada"


def test_a_failure_ends_no_other_and_is_tried_again_after_a_while_that_grows(scene: TickScene) -> None:
    scene.broken[FIRST.key] = TargetUnavailableError("The target did not answer.")
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick()
    assert [done.work.spec.key for done in report.failed] == [FIRST.key]
    assert len(_began(report)) == 4
    assert scene.ticker.tick().done == (), "not yet again"
    scene.clock.advance(RETRY_MIN)
    assert len(scene.ticker.tick().failed) == 1
    scene.clock.advance(RETRY_MIN)
    assert scene.ticker.tick().done == (), "twice as long this time"
    scene.clock.advance(RETRY_MIN)
    scene.broken.clear()
    assert _began(scene.ticker.tick()) == [FIRST.key]
    assert scene.sightings.all()[FIRST.name].failure_count == 0


def test_a_rotation_that_failed_after_its_promotion_is_finished_and_not_begun_again(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    scene.slow.add(FIRST.key)
    scene.reconcile(FIRST, begin=True)
    current = scene.current(FIRST)
    scene.sightings.note_failure(FIRST.name, now=scene.clock())  # it saw no more than the failure
    scene.clock.advance(2 * HOUR)
    scene.ticker.tick()
    assert (scene.current(FIRST), scene.runs.count((FIRST.key, True))) == (current, 1)
    assert scene.situation(FIRST.name).is_at_rest


def test_after_too_many_failures_nothing_more_begins_until_a_person_resumes(scene: TickScene) -> None:
    for one in SPECS:
        scene.broken[one.key] = TargetUnavailableError("The target did not answer.")
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick()
    assert len(report.failed) == 3
    assert report.brake is not None
    assert (report.brake.actor, report.brake.reason) == ("brake", "3 rotations failed: KEY_0, KEY_1, KEY_2")
    scene.broken.clear()
    again = scene.ticker.tick()
    assert (again.done, again.brake) == ((), None)
    assert {plan.standing for plan in again.plans} == {Standing.RETRY, Standing.PAUSED}
    scene.pauses.resume(None)
    scene.sightings.forgive()
    assert len(_began(scene.ticker.tick())) == 5


def test_the_brake_counts_failures_of_earlier_ticks_and_of_other_processes(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    for one in SPECS[:3]:
        scene.sightings.note_failure(one.name, now=scene.clock())
    assert scene.ticker.tick().brake is not None
    assert scene.runs == []


def test_failures_of_what_is_not_due_any_more_do_not_hold_the_brake(scene: TickScene) -> None:
    scene.ticker.tick()
    for one in SPECS[:3]:
        scene.sightings.note_failure(one.name, now=scene.clock())  # begun by hand, and nothing came of it
    scene.clock.advance(HOUR)
    assert scene.ticker.tick().brake is None
    assert scene.pauses.all() == {}


def test_a_rotation_under_way_goes_on_though_all_is_paused(scene: TickScene) -> None:
    scene.pauses.pause(None, actor="ada", reason="stop", now=START)
    scene.store.stage(FIRST.name, SecretValue(canary()), "left")
    scene.ticker.tick()
    assert scene.situation(FIRST.name).is_at_rest


def test_a_fault_of_ours_is_a_failure_of_that_secret_alone(scene: TickScene) -> None:
    scene.broken[FIRST.key] = ZeroDivisionError("x")
    scene.broken[SPECS[1].key] = MissingExtraError("kafka", "kafka")
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick()
    assert len(report.failed) == 2
    assert len(_began(report)) == 3
    assert [scene.sightings.all()[one.name].failure_count for one in SPECS[:3]] == [1, 1, 0]


def test_a_lock_that_another_run_holds_is_no_failure_of_the_secret(scene: TickScene) -> None:
    scene.broken[FIRST.key] = DatabaseError("Another process has held the lock.")
    scene.ticker.tick()
    scene.clock.advance(DUE)
    assert len(scene.ticker.tick().failed) == 1
    assert scene.sightings.all()[FIRST.name].failure_count == 0


def test_a_store_that_is_away_ends_the_tick_and_counts_against_no_secret(scene: TickScene) -> None:
    with scene.store.outage(), pytest.raises(StoreUnavailableError):
        scene.ticker.tick()
    assert scene.sightings.all() == {}
    scene.ticker.tick()
    scene.clock.advance(DUE - MINUTE)
    with scene.store.outage():
        assert scene.ticker.tick().failed == (), "nothing to ask, nothing to fail"


def test_a_store_that_is_away_when_many_are_due_needs_no_person_afterwards(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    with scene.store.outage():
        report = scene.ticker.tick()
    assert (len(report.done), len(report.failed), report.brake) == (1, 1, None)
    assert len(_began(scene.ticker.tick())) == 5


def test_a_refusal_just_before_the_beginning_is_that_secrets_failure(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    scene.store.denied.add(FIRST.name)
    report = scene.ticker.tick()
    assert (len(report.failed), len(_began(report))) == (1, 4)
    assert scene.sightings.all()[FIRST.name].failure_count == 1


def test_what_somebody_else_has_just_promoted_counts_for_the_offset() -> None:
    specs = [spec(key, consumers=("web",)) for key in ("A", "B")]
    with TickScene(manifest_of(*specs, offset=HOUR)) as scene:
        for one in specs:
            scene.put(one)
        scene.clock.advance(DUE)
        scene.put(specs[0])  # at a vendor's console
        assert _began(scene.ticker.tick()) == []
        scene.clock.advance(HOUR)
        assert _began(scene.ticker.tick()) == ["B"]


def test_a_secret_that_the_store_refuses_keeps_no_other_from_its_turn(scene: TickScene) -> None:
    scene.store.denied.add(FIRST.name)
    report = scene.ticker.tick()
    assert report.plans[0].standing is Standing.RETRY
    scene.clock.advance(DUE)
    assert len(_began(scene.ticker.tick())) == 4


def test_what_only_a_person_can_do_is_looked_at_now_and_then() -> None:
    one = spec("HAND", kind="static")
    with TickScene(manifest_of(one)) as scene:
        assert scene.ticker.tick().plans[0].standing is Standing.MISSING
        scene.put(one)
        scene.clock.advance(LOOK_AGAIN - MINUTE)
        assert scene.ticker.tick().plans[0].standing is Standing.MISSING
        scene.clock.advance(MINUTE)
        assert scene.ticker.tick().plans[0].standing is Standing.BY_HAND
        scene.clock.advance(DUE)
        scene.ticker.tick()
        looks = scene.looks.total()
        scene.put(one)
        scene.clock.advance(LOOK_AGAIN)
        plan = scene.ticker.tick().plans[0]
        assert scene.looks.total() == looks + 1
        assert plan.until == scene.clock() - LOOK_AGAIN + DUE
        assert scene.runs == []


def test_a_tick_that_is_told_to_stop_begins_nothing_more(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick(should_stop=lambda: len(scene.runs) == 2)
    assert len(report.done) == 2


def test_a_step_after_which_it_stops_is_no_failure(scene: TickScene) -> None:
    scene.broken[FIRST.key] = Stopped()
    scene.ticker.tick()
    scene.clock.advance(DUE)
    report = scene.ticker.tick()
    assert (len(report.done), report.failed) == (1, ())
    assert scene.sightings.all()[FIRST.name].failure_count == 0


def test_two_tickers_at_once_begin_each_secret_once(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(DUE)

    def let_the_other_go_first(names: Iterable[SecretName]) -> object:
        if len(scene.runs) == 1:
            scene.ticker.tick()
        return scene.look(names)

    other = Ticker(
        scene.manifest, scene.sightings, scene.pauses,
        look=let_the_other_go_first, reconcile=scene.reconcile, clock=scene.clock,
    )  # type: ignore[arg-type]  # fmt: skip
    other.tick()
    assert sorted(key for key, begin in scene.runs if begin) == [one.key for one in SPECS]


def test_backoff_grows_from_a_minute_to_an_hour() -> None:
    assert [backoff(count) / MINUTE for count in (0, 1, 2, 3, 6, 7)] == [1, 1, 2, 4, 32, 60]
    assert backoff(10**9) == RETRY_MAX


def test_a_version_written_in_the_future_counts_from_when_it_was_first_seen(scene: TickScene) -> None:
    scene.clock.advance(400 * DAY)
    scene.put(FIRST)
    scene.clock.advance(-400 * DAY)
    situation = scene.situation(FIRST.name)
    for hours in (0, 5, 9):
        scene.sightings.note_looks({FIRST.name: situation}, now=START + hours * HOUR)
    found = scene.sightings.all()[FIRST.name]
    assert found.current_at == START


def test_many_secrets_are_noted_and_read_at_once(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/control.db")
    sightings = Sightings(database)
    with TickScene(manifest_of()) as scene:
        situation = scene.situation(SecretName("nothing"))
    names = [SecretName(f"secret-{number}") for number in range(40_000)]
    sightings.note_looks(dict.fromkeys(names, situation), now=START)
    assert len(sightings.all()) == 40_000
    database.close()


def test_a_failure_keeps_what_was_known_and_resume_forgets_it_for_one_or_for_all(scene: TickScene) -> None:
    scene.ticker.tick()
    known = scene.sightings.all()
    for one in SPECS[:2]:
        scene.sightings.note_failure(one.name, now=scene.clock())
    found = scene.sightings.all()[FIRST.name]
    assert found == known[FIRST.name]._replace(is_under_way=True, failure_count=1, retry_at=START + RETRY_MIN)
    scene.sightings.forgive(FIRST.name)
    assert (FIRST.name in scene.sightings.all(), SPECS[1].name in scene.sightings.all()) == (False, True)
    scene.sightings.forgive()
    assert set(scene.sightings.all()) == {one.name for one in SPECS[2:]}


def test_a_pause_that_is_there_stays_and_is_lifted_once(scene: TickScene) -> None:
    first = scene.pauses.pause(FIRST.name, actor="ada", reason="a freeze", now=START)
    assert scene.pauses.pause(FIRST.name, actor="bob", reason="another", now=START + HOUR) == first
    assert scene.pauses.all() == {str(FIRST.name): first}
    assert scene.pauses.resume(FIRST.name)
    assert not scene.pauses.resume(FIRST.name)
    assert scene.pauses.pause(None, actor="a" * 900, reason="r" * 900, now=START) == scene.pauses.all()[ALL]


def test_a_command_over_several_goes_on_after_a_failure_and_begins_nothing_after_too_many() -> None:
    ran: list[str] = []

    def reconcile(spec: SecretSpec, *, begin: bool) -> RotationReport:
        ran.append(spec.key)
        raise ZeroDivisionError

    work = [*(Work(one, begin=True) for one in SPECS), Work(FIRST, begin=False)]
    told: list[Done] = []
    done = run_all(work, reconcile, failures_max=3, on_done=told.append)
    assert ran == ["KEY_0", "KEY_1", "KEY_2", "KEY_0"], "what is under way goes on"
    assert told == done
    assert [str(one.error) for one in done[3:5]] == ["Not begun, because 3 rotations have failed."] * 2

"""One tick of the schedule: what is under way goes on, what is due begins, and the brake holds when too much fails.

Every driver does the same work: one process in a loop, a command from cron, many workers on a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    DatabaseError,
    RotationError,
    StoreError,
    StoreUnavailableError,
    TargetError,
)
from vantage_secrets.manifest import Manifest, SecretSpec
from vantage_secrets.rotation.pauses import ALL, Pause, Pauses
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.schedule import Plan, Schedule, Standing, urgency
from vantage_secrets.rotation.sightings import Sighting, Sightings
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretName, SecretVersion

LOOK = Callable[[Iterable[SecretName]], Iterable[tuple[SecretVersion, ...]]]
"""Asks the store, as :meth:`Store.describe_many <vantage_secrets.stores.contract.Store.describe_many>` does."""

LOOK_AGAIN = timedelta(minutes=15)
"""How often the store is asked of what only a person can do: whether somebody has done it."""

BRAKE = "brake"
"""In whose name the brake pauses all."""

_FOR_A_PERSON = frozenset({Standing.MISSING, Standing.UNUSED, Standing.BY_HAND, Standing.PAUSED})


class Stopped(Exception):  # noqa: N818 - no error: somebody wants this process to end
    """Raised by a listener between two steps: the one under way has finished, and no other one begins."""


class Reconcile(Protocol):
    """Runs the rotation of one secret as far as it goes now, under its lock, and notes how it ended.

    Raises whatever the store or the target raises.
    """

    def __call__(self, spec: SecretSpec, *, begin: bool) -> RotationReport:
        """Begin one from rest only where ``begin`` says so."""


class Work(NamedTuple):
    """What is to be done for one secret; all of it may stand in a queue.

    Attributes:
        spec: The secret.
        begin: Whether a rotation begins; otherwise the one under way goes on.
        version_id: The version that was current when this was found, where one begins.
    """

    spec: SecretSpec
    begin: bool
    version_id: str | None = None


class Done(NamedTuple):
    """What came of a piece of work.

    Attributes:
        work: What was to be done.
        report: How far it came; ``None`` when it failed, or when somebody else had done it meanwhile.
        error: Why it failed.
    """

    work: Work
    report: RotationReport | None = None
    error: Exception | None = None


class TickReport(NamedTuple):
    """What one tick did.

    Attributes:
        at: When it began.
        plans: How each secret stood in the schedule then, in the manifest's order.
        done: What was done, in order.
        brake: The pause of everything that this tick began, if it did.
    """

    at: datetime
    plans: Sequence[Plan]
    done: tuple[Done, ...] = ()
    brake: Pause | None = None

    @property
    def failed(self) -> tuple[Done, ...]:
        """What failed, in order."""
        return tuple(one for one in self.done if one.error is not None and not isinstance(one.error, Stopped))


class Ticker:
    """Finds the work of a tick and does it. Safe to use from several processes at once.

    Args:
        manifest: What there is.
        sightings: What the store said last.
        pauses: What a person, or the brake, has paused.
        look: Asks the store for versions; called only for what is not known.
        reconcile: Runs one rotation.
        clock: The present.
    """

    def __init__(
        self,
        manifest: Manifest,
        sightings: Sightings,
        pauses: Pauses,
        *,
        look: LOOK,
        reconcile: Reconcile,
        clock: Clock = utc_now,
    ) -> None:
        """Keep them."""
        self._specs = manifest.secrets
        self._failures_max = manifest.schedule.failures
        self._schedule = Schedule(manifest)
        self._sightings, self._pauses = sightings, pauses
        self._look_at, self._reconcile, self._clock = look, reconcile, clock

    def plans(self, *, look_at_all: bool = False) -> list[Plan]:
        """Return how each secret stands in the schedule; the store is asked only for what is not known.

        Args:
            look_at_all: Ask the store for every secret, for a person who looks.

        Raises:
            StoreUnavailableError: The store did not answer.
            DatabaseError: The control database failed.
        """
        now = self._clock()
        known, pauses = self._sightings.all(), self._pauses.all()
        plans = self._schedule.plan(known, pauses, now=now)
        unknown = [plan.spec.name for plan in plans if look_at_all or _is_worth_a_look(plan, now)]
        if not unknown:
            return plans
        self._look(unknown, now)
        return self._schedule.plan(self._sightings.all(), pauses, now=now)

    def work(self, plans: Iterable[Plan]) -> list[Work]:
        """Return what is to be done now: first what goes on, then what begins, the most urgent first.

        Nothing begins when the brake is on; this puts it on when too many rotations have failed.

        Raises:
            DatabaseError: The control database failed.
        """
        chosen = list(plans)
        found = work_of(chosen, self._clock())
        if self._brake(_failing(chosen, self._clock())) is None:
            return found
        return [work for work in found if not work.begin]

    def do(self, work: Work) -> RotationReport | None:
        """Do it, unless it was done or paused meanwhile; ``None`` then.

        Before a rotation begins, the store is asked: whatever a clock, an old job in a queue or another process may
        have said, one begins only from the version that was found due.

        Raises:
            StoreError: The store failed; it is tried again later.
            TargetError: The target failed; it is tried again later.
            RotationError: A step could not be taken; it is tried again later.
            DatabaseError: The control database failed, or another run holds the secret for too long.
        """
        begin = work.begin
        try:
            if begin:
                situation = self._situation_noting(work.spec.name)
                begin = situation.is_at_rest
                if begin and not self._may_begin(work, situation):
                    self._sightings.note_looks({work.spec.name: situation}, now=self._clock())
                    return None
            return self._reconcile(work.spec, begin=begin)
        except (StoreError, TargetError, RotationError, DatabaseError, Stopped):
            raise  # counted where it came from; and where the control database fails, nothing can be counted
        except Exception:
            self._sightings.note_failure(work.spec.name, now=self._clock())
            raise

    def tick(
        self, *, on_done: Callable[[Done], None] | None = None, should_stop: Callable[[], bool] | None = None
    ) -> TickReport:
        """Do what is to be done now, one after the other; a failure of one ends no other.

        Args:
            on_done: Told each piece of work when it is done.
            should_stop: Asked before each piece of work.

        Raises:
            StoreUnavailableError: The store did not answer when it was asked for what is not known.
            DatabaseError: The control database failed.
        """
        began_at, plans = self._clock(), self.plans()
        failing = _failing(plans, began_at)
        brake = self._pauses.all().get(ALL)
        was_paused = brake is not None
        done: list[Done] = []
        for work in self.work(plans):
            if should_stop is not None and should_stop():
                break
            if work.begin and brake is not None:
                continue
            done.append(self._attempt(work))
            if on_done is not None:
                on_done(done[-1])
            if isinstance(done[-1].error, Stopped | StoreUnavailableError):
                break  # while the store is away, all else would fail too, and the brake would need a person
            (failing.add if done[-1].error is not None else failing.discard)(work.spec.key)
            brake = brake or self._brake(failing)
        brake = brake or self._pauses.all().get(ALL)
        return TickReport(began_at, plans, tuple(done), None if was_paused else brake)

    def _attempt(self, work: Work) -> Done:
        try:
            return Done(work, self.do(work))
        except Exception as error:
            return Done(work, error=error)

    def _may_begin(self, work: Work, situation: Situation) -> bool:
        current = situation.current
        is_same = current is not None and current.id == work.version_id
        paused = self._pauses.all()
        return is_same and ALL not in paused and str(work.spec.name) not in paused

    def _situation_noting(self, name: SecretName) -> Situation:
        """Return where the secret stands; a refusal is its failure, and an outage is nobody's."""
        try:
            found = list(self._look_at([name]))
        except StoreUnavailableError:
            raise
        except StoreError:
            self._sightings.note_failure(name, now=self._clock())
            raise
        return Situation.of(found[0] if found else ())

    def _brake(self, failing: set[str]) -> Pause | None:
        """Return the pause of everything, which begins here when too many have failed."""
        if len(failing) < self._failures_max:
            return None
        reason = f"{len(failing)} rotations failed: {', '.join(sorted(failing))}"
        return self._pauses.pause(None, actor=BRAKE, reason=reason, now=self._clock())

    def _look(self, names: list[SecretName], now: datetime) -> None:
        """Ask the store and keep what it says; what it refuses for one secret is that secret's failure."""
        try:
            answers = list(self._look_at(names))
        except StoreUnavailableError:
            raise
        except StoreError:
            answers = [versions for name in list(names) for versions in self._look_alone(name, names, now)]
        found = {versions[0].name: Situation.of(versions) for versions in answers if versions}
        nothing = Situation(None, None, None)
        self._sightings.note_looks({name: found.get(name, nothing) for name in names}, now=now)

    def _look_alone(self, name: SecretName, names: list[SecretName], now: datetime) -> list[tuple[SecretVersion, ...]]:
        try:
            return list(self._look_at([name]))
        except StoreUnavailableError:
            raise
        except StoreError:
            names.remove(name)
            self._sightings.note_failure(name, now=now)
            return []


def work_of(plans: Iterable[Plan], now: datetime) -> list[Work]:
    """Return what the plans say is to be done: first what goes on, then what begins, the most urgent first."""
    chosen = list(plans)
    ready = sorted((plan for plan in chosen if plan.standing is Standing.NOW), key=urgency)
    going = [Work(plan.spec, begin=False) for plan in chosen if _goes_on(plan, now)]
    return going + [Work(plan.spec, True, plan.sighting and plan.sighting.version_id) for plan in ready]


def _is_worth_a_look(plan: Plan, now: datetime) -> bool:
    """Return whether the store knows more than the sighting does."""
    sighting = plan.sighting
    if plan.standing is Standing.UNSEEN or sighting is None:
        return True
    if sighting.failure_count:  # nobody knows what it left behind
        return not sighting.is_waiting(now)
    if plan.standing in _FOR_A_PERSON and (plan.times is None or now >= plan.times.begins_at):
        return now >= sighting.looked_at + LOOK_AGAIN
    return False


def _goes_on(plan: Plan, now: datetime) -> bool:
    sighting: Sighting | None = plan.sighting
    if plan.standing not in (Standing.UNDER_WAY, Standing.RETRY) or sighting is None:
        return False
    return sighting.is_under_way and not sighting.is_waiting(now)


def _failing(plans: Iterable[Plan], now: datetime) -> set[str]:
    """Return the keys of those whose last run failed, as long as it matters: it is under way, or due."""
    return {
        plan.spec.key
        for plan in plans
        if plan.sighting is not None
        and plan.sighting.failure_count
        and (plan.sighting.is_under_way or (plan.times is not None and now >= plan.times.begins_at))
    }

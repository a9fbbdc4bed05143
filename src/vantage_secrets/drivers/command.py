"""What the command does when it is told to rotate several secrets: which ones, and one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vantage_secrets.bootstrap import Workspace
from vantage_secrets.drivers.scheduler import ticker_of
from vantage_secrets.errors import RotationError
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.schedule import Standing, can_rotate
from vantage_secrets.rotation.tick import Done, Reconcile, Work, work_of


def work_due(workspace: Workspace) -> list[Work]:
    """Return what the schedule would do now; nothing is done.

    Raises:
        StoreUnavailableError: The store did not answer.
        DatabaseError: The control database failed.
    """
    return work_of(ticker_of(workspace).plans(), workspace.clock())


def work_for_all(workspace: Workspace, *, begin: bool) -> tuple[list[Work], list[SecretSpec]]:
    """Return the work for every secret that has a target and a value, and the required ones that have no value yet.

    Raises:
        StoreUnavailableError: The store did not answer.
        DatabaseError: The control database failed.
    """
    plans = [plan for plan in ticker_of(workspace).plans(look_at_all=True) if can_rotate(plan.spec)]
    missing = [plan.spec for plan in plans if plan.standing is Standing.MISSING]
    there = [plan.spec for plan in plans if plan.standing not in (Standing.MISSING, Standing.UNUSED)]
    return [Work(spec, begin) for spec in there], missing


def run_all(
    work: Iterable[Work], reconcile: Reconcile, *, failures_max: int, on_done: Callable[[Done], object]
) -> list[Done]:
    """Do the work, one piece after the other; a failure of one ends no other, and after too many nothing begins.

    Args:
        work: What is to be done.
        reconcile: Runs one rotation.
        failures_max: After how many failures nothing begins.
        on_done: Told each piece of work when it is done.
    """
    done: list[Done] = []
    failed_count = 0
    for item in work:
        if item.begin and failed_count >= failures_max:
            done.append(Done(item, error=RotationError(f"Not begun, because {failed_count} rotations have failed.")))
        else:
            done.append(_attempt(item, reconcile))
            failed_count += done[-1].error is not None
        on_done(done[-1])
    return done


def _attempt(work: Work, reconcile: Reconcile) -> Done:
    try:
        return Done(work, reconcile(work.spec, begin=work.begin))
    except Exception as error:
        return Done(work, error=error)

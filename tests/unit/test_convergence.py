from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vantage_secrets.receipts import Holder
from vantage_secrets.rotation.convergence import HOLD_LOOK, Ending, Evidence, OverlapRules, Verdict, judge
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse

PROMOTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
CURRENT = SecretVersion(SecretName("vantage/api-key"), "new", Stage.CURRENT, PROMOTED, PROMOTED)
PREVIOUS = SecretVersion(CURRENT.name, "old", Stage.PREVIOUS, PROMOTED - timedelta(days=80))
RULES = OverlapRules(
    timedelta(hours=24), quiet=timedelta(minutes=10), at_grace_end="force", consumers=("collector", "worker")
)
BOTH = frozenset({"collector", "worker"})
LATER = PROMOTED + timedelta(hours=1)


def holder(service: str, version: str = "new", *, since: datetime = PROMOTED, is_known: bool = True) -> Holder:
    return Holder(
        service=service,
        instance=f"host/{service}/1",
        version_id=version,
        since=since,
        seen_at=since,
        is_known=is_known,
    )


def verdict(
    *holders: Holder,
    services: frozenset[str] = BOTH,
    last_use: LastUse = UNKNOWN_USE,
    now: datetime = LATER,
    rules: OverlapRules = RULES,
) -> Verdict:
    evidence = Evidence(holders, services, last_use)
    return judge(rules, evidence, current=CURRENT, previous=PREVIOUS, ends_at=PROMOTED + rules.grace, now=now)


def test_the_overlap_is_over_when_all_have_moved_and_the_old_one_is_quiet() -> None:
    found = verdict(holder("collector"), holder("worker"))
    assert found.ending is Ending.CONVERGED
    assert found.is_over


def test_one_instance_that_holds_the_old_version_keeps_it_alive() -> None:
    found = verdict(holder("collector"), holder("worker"), holder("worker", "old"))
    assert found.ending is Ending.OPEN
    assert found.reason == "worker still on the old one"
    assert found.look_again_at <= LATER + timedelta(seconds=30)


def test_an_instance_that_vanished_counts_as_one_that_has_not_moved() -> None:
    found = verdict(holder("collector"), holder("worker", "old", is_known=False), holder("worker"))
    assert found.ending is Ending.OPEN
    assert found.reason == "worker not heard of any more"


def test_an_instance_that_vanished_after_it_had_moved_holds_nothing_up() -> None:
    assert verdict(holder("collector", is_known=False), holder("worker")).is_over


def test_whoever_vanished_with_an_older_version_is_not_touched_by_this_end() -> None:
    assert verdict(holder("collector"), holder("worker"), holder("worker", "older", is_known=False)).is_over


def test_a_consumer_that_never_left_a_receipt_is_waited_for() -> None:
    found = verdict(holder("collector"), services=frozenset({"collector"}))
    assert found.ending is Ending.OPEN
    assert found.reason == "no receipt of worker"


def test_a_consumer_that_said_goodbye_holds_nothing_up() -> None:
    assert verdict(holder("collector")).is_over


def test_without_any_receipt_there_is_no_evidence() -> None:
    found = verdict(services=frozenset(), rules=RULES._replace(consumers=()))
    assert found.ending is Ending.OPEN
    assert found.reason == "nobody leaves receipts"


@pytest.mark.parametrize(
    ("holders", "last_use"),
    [
        ((holder("collector"), holder("worker", since=LATER)), UNKNOWN_USE),
        ((holder("collector"), holder("worker")), LastUse(is_known=True, at=LATER)),
    ],
    ids=["moved a moment ago", "used a moment ago"],
)
def test_the_old_one_must_have_been_quiet_since_the_last_move_and_the_last_use(
    holders: tuple[Holder, ...], last_use: LastUse
) -> None:
    soon = verdict(*holders, last_use=last_use)
    assert soon.ending is Ending.OPEN
    assert soon.look_again_at == LATER + RULES.quiet
    assert verdict(*holders, last_use=last_use, now=soon.look_again_at).is_over


def test_a_promotion_is_followed_by_the_quiet_time_even_when_nobody_held_the_old_one() -> None:
    found = verdict(now=PROMOTED)
    assert found.look_again_at == PROMOTED + RULES.quiet
    assert not found.is_over


def test_at_the_end_of_the_grace_the_rules_decide() -> None:
    late = PROMOTED + RULES.grace
    slow = holder("worker", "old")
    forced = verdict(holder("collector"), slow, now=late)
    assert forced.ending is Ending.EXPIRED
    assert forced.is_over
    assert "worker still on the old one" in forced.reason
    held = verdict(holder("collector"), slow, now=late, rules=RULES._replace(at_grace_end="hold"))
    assert held.ending is Ending.HELD
    assert not held.is_over
    assert held.look_again_at == late + HOLD_LOOK


def test_an_overlap_that_was_held_ends_when_the_last_one_moves() -> None:
    late = PROMOTED + timedelta(days=3)
    rules = RULES._replace(at_grace_end="hold")
    moved = holder("worker", since=late)
    assert verdict(holder("collector"), moved, now=late, rules=rules).ending is Ending.HELD
    assert verdict(holder("collector"), moved, now=late + RULES.quiet, rules=rules).is_over


def test_in_an_emergency_nothing_is_held_and_nobody_is_waited_for() -> None:
    rules = RULES._replace(grace=timedelta(0), at_grace_end="hold")
    found = verdict(holder("worker", "old"), now=PROMOTED, rules=rules)
    assert found.ending is Ending.EXPIRED
    assert found.reason == "no grace"


def test_the_evidence_is_never_looked_at_later_than_the_end_of_the_grace() -> None:
    nearly = PROMOTED + RULES.grace - timedelta(seconds=5)
    assert verdict(holder("worker", "old"), now=nearly).look_again_at == PROMOTED + RULES.grace

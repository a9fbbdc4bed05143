"""Two runs over one secret at once, without the lock that keeps them apart: every order of their calls is allowed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model_target import ModelReceipts, ModelTarget, key_of
from tests.rotation_bench import EventList
from vantage_secrets.audited_store import Recorder
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    PendingVersionExistsError,
    StoreError,
)
from vantage_secrets.rotation.convergence import OverlapRules
from vantage_secrets.rotation.rotator import Rotator
from vantage_secrets.secret import SecretName, Stage
from vantage_secrets.targets.contract import Overlap
from vantage_secrets.testing import FakeClock, MemoryStore

NAME = SecretName("vantage/api-key")
WAIT_SECONDS = 20


class Turns:
    """Lets two threads make one call each at a time, in the order that it is given; after that, as they like."""

    def __init__(self, order: list[int]) -> None:
        self.calls: list[tuple[int, str]] = []
        self._order = order
        self._turn = threading.Condition()

    def wrap(self, thing: Any, who: int) -> Any:
        return _InTurn(thing, self, who)

    def call(self, who: int, name: str, work: Callable[[], Any]) -> Any:
        with self._turn:
            assert self._turn.wait_for(lambda: self._is_next(who), WAIT_SECONDS), "nobody's turn came"
            try:
                self.calls.append((who, name))
                return work()
            finally:
                if self._order:
                    self._order.pop(0)
                self._turn.notify_all()

    def finish(self, who: int) -> None:
        with self._turn:
            self._order = [each for each in self._order if each != who]
            self._turn.notify_all()

    def has_late_install(self) -> bool:
        """Whether one run installed between the other's proof that the old one is dead and its retirement.

        That is what the lock is for (decision 0021): nothing below it can see this.
        """
        proven: set[int] = set()
        for who, name in self.calls:
            if name == "verify_refused":
                proven.add(who)
            elif name == "retire":
                proven.discard(who)
            elif name == "install" and proven - {who}:
                return True
        return False

    def _is_next(self, who: int) -> bool:
        return not self._order or self._order[0] == who


class _InTurn:
    def __init__(self, thing: Any, turns: Turns, who: int) -> None:
        self._thing, self._turns, self._who = thing, turns, who

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._thing, name)
        if not callable(member):
            return member
        return lambda *args, **kwargs: self._turns.call(self._who, name, lambda: member(*args, **kwargs))


@given(
    order=st.lists(st.integers(0, 1), max_size=40),
    graces=st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1])),
    begins=st.tuples(st.booleans(), st.booleans()),
)
@settings(max_examples=250, deadline=None)
def test_whatever_the_order_one_credential_is_left(
    order: list[int], graces: tuple[int, int], begins: tuple[bool, bool]
) -> None:
    clock = FakeClock()
    store, target = MemoryStore(clock=clock), ModelTarget(Overlap.TWO_CREDENTIALS, clock)
    recorder = Recorder(EventList(), actor="test@here", clock=clock)
    Rotator(store, target, recorder, clock=clock).rotate(NAME, overlap=OverlapRules(timedelta(0)))
    store.stage(NAME, target.generate(None), token="left by a run that was killed")
    turns = Turns(list(order))
    failures: list[BaseException] = []

    def run(who: int) -> None:
        store_, target_ = turns.wrap(store, who), turns.wrap(target, who)
        rotator = Rotator(store_, target_, recorder, receipts=ModelReceipts(), clock=clock)  # type: ignore[arg-type]
        work = rotator.rotate if begins[who] else rotator.reconcile
        try:
            work(NAME, overlap=OverlapRules(timedelta(hours=graces[who])))
        except (CredentialAcceptedError, CredentialRefusedError, PendingVersionExistsError, StoreError):
            pass  # overtaken, and said so: the other one is at work, and a later run finishes
        except BaseException as exc:
            failures.append(exc)
        finally:
            turns.finish(who)

    threads = [threading.Thread(target=run, args=(who,)) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    if turns.has_late_install():
        return
    alive = [version for version in store.describe(NAME) if version.stage is not Stage.RETIRED]
    values = {key_of(store.read(NAME, version=version.id).value) for version in alive}
    assert target.accepted <= values, "an orphan opens the door"
    assert key_of(store.read(NAME).value) in target.accepted, "readers hold what opens nothing"
    clock.advance(timedelta(days=1))
    report = Rotator(store, target, recorder, clock=clock).reconcile(NAME, overlap=OverlapRules(timedelta(hours=1)))
    assert report.situation.is_at_rest
    assert target.accepted == {key_of(store.read(NAME).value)}

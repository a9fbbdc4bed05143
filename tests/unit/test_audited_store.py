"""Every access of a store is on record before its answer is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import pytest

from tests.canary import canary
from tests.rotation_bench import EventList
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audited_store import AuditedStore, Recorder
from vantage_secrets.errors import (
    AuditUnwritableError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreUnavailableError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, Stage
from vantage_secrets.testing import FakeClock, MemoryStore

NAME, OTHER = SecretName("vantage/api-key"), SecretName("other")


class _Refusing(MemoryStore):
    """Answers every call with one error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def read(self, *_: Any, **__: Any) -> NoReturn:
        raise self.error

    stage = promote = retire = delete = read

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        raise self.error
        yield


class _FullDisk:
    def append(self, event: AuditEvent) -> NoReturn:
        raise AuditUnwritableError("The audit log cannot be written.")

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def events() -> EventList:
    return EventList()


def _watched(store: MemoryStore, sink: Any) -> AuditedStore:
    return AuditedStore(store, Recorder(sink, actor="test@here", why="a reason", clock=FakeClock()))


def _calls(store: AuditedStore) -> dict[Action, Any]:
    value = SecretValue(canary())
    return {
        Action.SECRET_READ: lambda: store.read(NAME),
        Action.VERSION_STAGE: lambda: store.stage(NAME, value, "token"),
        Action.VERSION_PROMOTE: lambda: store.promote(NAME, "1", expect_current=None),
        Action.VERSION_RETIRE: lambda: store.retire(NAME, "1"),
        Action.SECRET_DELETE: lambda: store.delete(NAME),
    }


def test_each_verb_leaves_one_event_with_its_version(events: EventList) -> None:
    store = _watched(MemoryStore(), events)
    first = store.stage(NAME, SecretValue(canary()), "one")
    store.promote(NAME, first.id, expect_current=None)
    second = store.stage(NAME, SecretValue(canary()), "two")
    store.read(NAME)
    store.retire(NAME, second.id)
    store.delete(NAME)
    assert [(event.action, event.version_id) for event in events.events] == [
        (Action.VERSION_STAGE, first.id),
        (Action.VERSION_PROMOTE, first.id),
        (Action.VERSION_STAGE, second.id),
        (Action.SECRET_READ, first.id),
        (Action.VERSION_RETIRE, second.id),
        (Action.SECRET_DELETE, ""),
    ]
    assert {(event.actor, event.outcome, event.why, event.subject) for event in events.events} == {
        ("test@here", Outcome.SUCCESS, "a reason", str(NAME))
    }
    assert all(event.at.tzinfo for event in events.events)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreAccessDeniedError("no"), Outcome.DENIED),
        (SecretNotFoundError("nothing"), Outcome.ABSENT),
        (StoreUnavailableError("away"), Outcome.FAILED),
        (VersionConflictError("second"), Outcome.FAILED),
    ],
    ids=lambda item: getattr(item, "code", None),
)
def test_each_refusal_is_on_record_with_its_code(events: EventList, error: Any, outcome: Outcome) -> None:
    store = _watched(_Refusing(error), events)
    for action, call in _calls(store).items():
        with pytest.raises(type(error)):
            call()
        event = events.events[-1]
        assert (event.action, event.outcome, event.why) == (action, outcome, error.code)


def test_many_reads_are_each_on_record_before_they_are_given(events: EventList) -> None:
    store = _watched(MemoryStore(), events)
    for name in (NAME, OTHER):
        store.promote(name, store.stage(name, SecretValue(canary()), "one").id, expect_current=None)
    events.events.clear()
    for count, _reading in enumerate(store.read_many([NAME, SecretName("absent"), OTHER]), start=1):
        assert len(events.events) == count
    assert {event.subject for event in events.events} == {str(NAME), str(OTHER)}
    assert {event.action for event in events.events} == {Action.SECRET_READ}


def test_a_refusal_of_many_reads_is_on_record(events: EventList) -> None:
    store = _watched(_Refusing(StoreAccessDeniedError("no")), events)
    with pytest.raises(StoreAccessDeniedError):
        list(store.read_many([NAME]))
    assert [(event.outcome, event.why) for event in events.events] == [(Outcome.DENIED, "store_access_denied")]


def test_no_answer_is_given_that_cannot_be_put_on_record() -> None:
    inner = MemoryStore()
    inner.promote(NAME, inner.stage(NAME, SecretValue(canary()), "one").id, expect_current=None)
    store = _watched(inner, _FullDisk())
    with pytest.raises(AuditUnwritableError):
        store.read(NAME)
    with pytest.raises(AuditUnwritableError):
        next(store.read_many([NAME]))


def test_names_and_stages_hold_no_value_and_leave_no_event(events: EventList) -> None:
    inner = MemoryStore()
    inner.stage(NAME, SecretValue(canary()), "one")
    store = _watched(inner, events)
    assert list(store.list()) == [NAME]
    assert store.describe(NAME)[0].stage is Stage.PENDING
    assert list(store.examine())
    assert events.events == []


def test_it_says_of_itself_what_the_store_inside_says(events: EventList) -> None:
    inner = MemoryStore()
    store = _watched(inner, events)
    assert (store.url, store.capabilities) == (inner.url, inner.capabilities)


def test_a_reason_can_be_given_for_one_event_and_may_be_empty(events: EventList) -> None:
    recorder = Recorder(events, actor="test@here", why="a reason", clock=FakeClock())
    recorder.record(Action.COMMAND_RUN, "list", Outcome.SUCCESS, why="")
    recorder.record(Action.COMMAND_RUN, "list", Outcome.SUCCESS)
    assert [event.why for event in events.events] == ["", "a reason"]

"""A store whose every access is on record before its answer is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Protocol, TypeVar

from vantage_secrets.audit.event import Action, AuditEvent, AuditSink, Outcome
from vantage_secrets.audit.place import here
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import SecretNotFoundError, StoreAccessDeniedError, VantageSecretsError
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Examination, Store

_T = TypeVar("_T")


class Recorder:
    """Writes events in one actor's name.

    Args:
        sink: Where events go.
        actor: Who acts, as ``user@host`` or a service's name.
        why: The reason that stands in each event, one line, such as the command's words.
        clock: The present.
    """

    def __init__(self, sink: AuditSink, *, actor: str, why: str = "", clock: Clock = utc_now) -> None:
        """Keep them."""
        self._sink = sink
        self._actor = actor
        self._why = why
        self._clock = clock

    def record(
        self, action: Action, subject: str, outcome: Outcome, *, version_id: str = "", why: str | None = None
    ) -> None:
        """Make one event durable; ``why`` is the recorder's own reason where none is given.

        Raises:
            AuditUnwritableError: The log cannot be written, and it was told to refuse.
        """
        self._sink.append(
            AuditEvent(
                at=self._clock(),
                actor=self._actor,
                action=action,
                subject=subject,
                outcome=outcome,
                version_id=version_id,
                where=here()[1],  # asked each time: a fork is another process
                why=self._why if why is None else why,
            )
        )

    def during(self, action: Action, subject: str, call: Callable[[], _T], *, version_id: str = "") -> _T:
        """Return what ``call`` returns, and record how it ended: success, refusal, or an error by its code.

        SECURITY: the record is durable before the caller has the answer; when it cannot be written, the answer
        is not given.
        """
        try:
            answer = call()
        except VantageSecretsError as exc:
            self.record(action, subject, _outcome_of(exc), version_id=version_id, why=exc.code)
            raise
        self.record(action, subject, Outcome.SUCCESS, version_id=version_id or _version_of(answer))
        return answer


def _outcome_of(error: VantageSecretsError) -> Outcome:
    if isinstance(error, StoreAccessDeniedError):
        return Outcome.DENIED
    return Outcome.ABSENT if isinstance(error, SecretNotFoundError) else Outcome.FAILED


def _version_of(answer: object) -> str:
    if isinstance(answer, SecretReading):
        return answer.version.id
    return answer.id if isinstance(answer, SecretVersion) else ""


class ValueMemory(Protocol):
    """Keeps what will tell a value once it can no longer be read; neither verb raises."""

    def remember(self, name: SecretName, version_id: str, value: SecretValue) -> None:
        """Keep what tells this value; safe to repeat."""

    def retire(self, name: SecretName, version_id: str) -> None:
        """Keep that it can no longer be read; safe to repeat."""


def _no_memory() -> ValueMemory | None:
    return None


class AuditedStore(Store):
    """The store inside, with an event for each read, write, promotion, retirement and denial.

    ``describe`` and ``list`` hold no values and leave no event of their own.

    Args:
        store: The store to watch; it is closed with this one.
        recorder: Writes the events.
        memory: Returns what is told each value that is written, or read by its version: those are about to go.
            An application's reads, of the current value, are not told.
    """

    scheme = "audited"

    def __init__(self, store: Store, recorder: Recorder, memory: Callable[[], ValueMemory | None] = _no_memory) -> None:
        """Stand in front of ``store``."""
        self._store = store
        self._recorder = recorder
        self._memory = memory
        self.url = store.url
        self.capabilities = store.capabilities  # type: ignore[misc]  # those of the store inside, not of the class

    @property
    def inside(self) -> Store:
        """The store inside, for what only that kind of store can do; whoever uses it writes the events."""
        return self._store

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Read, on record."""
        reading = self._recorder.during(
            Action.SECRET_READ, str(name), lambda: self._store.read(name, stage=stage, version=version)
        )
        if version is not None:
            self._remember(name, reading.version.id, reading.value)
        return reading

    def _remember(self, name: SecretName, version_id: str, value: SecretValue) -> None:
        memory = self._memory()
        if memory is not None:
            memory.remember(name, version_id, value)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Describe; no value, no event."""
        return self._store.describe(name)

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """List; no value, no event."""
        return self._store.list(prefix)

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Write a pending version, on record."""
        staged = self._recorder.during(
            Action.VERSION_STAGE, str(name), lambda: self._store.stage(name, value, token, created_at=created_at)
        )
        self._remember(name, staged.id, value)
        return staged

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Promote, on record."""
        return self._recorder.during(
            Action.VERSION_PROMOTE,
            str(name),
            lambda: self._store.promote(name, version, expect_current=expect_current),
            version_id=version,
        )

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Retire, on record."""
        retired = self._recorder.during(
            Action.VERSION_RETIRE, str(name), lambda: self._store.retire(name, version), version_id=version
        )
        memory = self._memory()
        if memory is not None:
            memory.retire(name, retired.id)
        return retired

    def delete(self, name: SecretName) -> bool:
        """Delete, on record."""
        return self._recorder.during(Action.SECRET_DELETE, str(name), lambda: self._store.delete(name))

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Read many, each on record before it is given."""
        readings = self._store.read_many(names)
        while True:
            try:
                reading = next(readings, None)
            except VantageSecretsError as exc:  # which of the names it was, the store does not say
                self._recorder.record(Action.SECRET_READ, "", _outcome_of(exc), why=exc.code)
                raise
            if reading is None:
                return
            self._recorder.record(
                Action.SECRET_READ, str(reading.version.name), Outcome.SUCCESS, version_id=reading.version.id
            )
            yield reading

    def describe_many(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        """Describe many; no value, no event."""
        return self._store.describe_many(names)

    def watch(self, on_change: Callable[[SecretName], None]) -> Callable[[], None]:
        """Watch; no value, no event."""
        return self._store.watch(on_change)

    def examine(self) -> Iterator[Examination]:
        """Examine; no value, no event."""
        return self._store.examine()

    def close(self) -> None:
        """Close the store inside."""
        self._store.close()

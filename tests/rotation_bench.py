"""A store, an API-key target and a clock on real files, for tests of rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from vantage_secrets.audit.event import AuditEvent
from vantage_secrets.audited_store import AuditedStore, Recorder
from vantage_secrets.clock import Clock
from vantage_secrets.credential import Credential
from vantage_secrets.database import Database
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.rotator import Rotator
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded
from vantage_secrets.targets.api_key import ApiKeyTarget, ApiKeyVerifier
from vantage_secrets.targets.contract import TargetContext
from vantage_secrets.testing import FakeClock

NAME = SecretName("vantage/api-key")
GRACE = timedelta(hours=1)


class Killed(BaseException):
    """Stands for a process that was killed between two calls."""


@dataclass
class DyingAfter:
    """Counts calls to everything it wraps, and dies before or after the N-th; or fails there, with another error."""

    calls_left: float = float("inf")
    before: bool = False
    error: Callable[[], BaseException] = Killed
    calls: list[str] = field(default_factory=list)

    def wrap(self, thing: Any) -> Any:
        return _Mortal(thing, self)

    def around(self, name: str, call: Any, args: Any, kwargs: Any) -> Any:
        self.calls_left -= 1
        self.calls.append(name)
        if self.calls_left == 0 and self.before:
            raise self.error()
        answer = call(*args, **kwargs)
        if self.calls_left == 0:
            raise self.error()
        return answer


class _Mortal:
    def __init__(self, thing: Any, death: DyingAfter) -> None:
        self._thing, self._death = thing, death

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._thing, name)
        if not callable(member):
            return member
        return lambda *args, **kwargs: self._death.around(name, member, args, kwargs)


class EventList:
    """An audit sink in memory."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def append(self, event: AuditEvent) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing is open."""


def no_administrator() -> Credential:
    """For targets that need none."""
    raise AssertionError("this target asked for an administrator")


def target_context(database: Database, clock: Clock, **changes: Any) -> TargetContext:
    """Return what an API-key target is opened with; ``changes`` are those of its secret's spec."""
    spec = SecretSpec(
        key="VANTAGE_API_KEY",
        name=NAME,
        kind="api-key",
        purpose="Collector authentication",
        owner="platform team",
        consumers=(),
        max_age=timedelta(days=90),
        grace=GRACE,
        required=True,
        feature=None,
    )._replace(**changes)
    return TargetContext(spec, None, lambda: database, no_administrator, clock)


class RotationBench:
    """Everything that a rotation needs, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.audit = EventList()
        self.recorder = Recorder(self.audit, actor="test@here", clock=self.clock)
        self.embedded = create_embedded(
            folder / "secrets.db", environment="test", key_file=folder / "key", clock=self.clock
        )
        self.store: Store = AuditedStore(self.embedded, self.recorder)
        self.database_url = f"sqlite:///{folder / 'control.db'}"
        self.database = Database(self.database_url)
        self.target = ApiKeyTarget(target_context(self.database, self.clock))

    def rotator(self, death: DyingAfter | None = None) -> Rotator:
        store, target = (death.wrap(self.store), death.wrap(self.target)) if death else (self.store, self.target)
        return Rotator(store, target, self.recorder, clock=self.clock)

    def opens(self, value: SecretValue) -> bool:
        """Whether the collector's door opens, asked of a verifier that remembers nothing."""
        verifier = ApiKeyVerifier(self.database, clock=self.clock)
        return verifier.verify(NAME, value.reveal_text()) is not None

    def current(self) -> SecretValue:
        return self.store.read(NAME).value

    def close(self) -> None:
        self.target.close()
        self.database.close()
        self.store.close()

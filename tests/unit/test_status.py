"""One word for each secret, and the instants behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import StoreUnavailableError
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.status import ACTIONABLE, SecretStatus, State, status_of
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded
from vantage_secrets.testing import FakeClock

NAME = SecretName("vantage/api-key")
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
SPEC = SecretSpec(
    key="VANTAGE_API_KEY", name=NAME, kind="api-key", purpose="", owner="", consumers=(),
    max_age=90 * DAY, grace=DAY, required=True, feature=None,
)  # fmt: skip


class _Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store: EmbeddedStore = create_embedded(
            folder / "secrets.db", environment="test", key_file=folder / "key", clock=self.clock
        )

    def stage(self) -> SecretVersion:
        return self.store.stage(NAME, SecretValue(canary()), canary("token"))

    def promote(self, version: SecretVersion) -> None:
        current = [v.id for v in self.store.describe(NAME) if v.stage == "current"]
        self.store.promote(NAME, version.id, expect_current=current[0] if current else None)

    def status(self, *, required: bool = True, now: datetime | None = None) -> SecretStatus:
        keys = frozenset({SPEC.key} if required else ())
        [found] = status_of([SPEC], self.store, required=keys, now=now or self.clock())
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[_Scene]:
    scene = _Scene(tmp_path)
    yield scene
    scene.store.close()


def test_what_the_store_does_not_have_is_missing_only_where_it_is_required(scene: _Scene) -> None:
    assert scene.status().state is State.MISSING
    assert scene.status(required=False).state is State.UNUSED
    assert scene.status().oldest_at is None
    assert scene.status().due_at is None


def test_a_first_version_that_is_not_current_yet_is_rotating(scene: _Scene) -> None:
    scene.stage()
    assert scene.status().state is State.ROTATING


def test_a_fresh_secret_is_ok_until_the_moment_it_is_due_and_expired_at_its_maximum_age(scene: _Scene) -> None:
    written = scene.clock()
    scene.promote(scene.stage())
    due = written + 90 * DAY - DAY - DAY  # maximum age, less the grace, less a day's margin
    assert scene.status().due_at == due
    assert scene.status(now=due - SECOND).state is State.OK
    assert scene.status(now=due).state is State.DUE
    assert scene.status(now=written + 90 * DAY - SECOND).state is State.DUE
    assert scene.status(now=written + 90 * DAY).state is State.EXPIRED


def test_during_an_overlap_the_oldest_value_that_opens_the_door_is_the_previous_one(scene: _Scene) -> None:
    first = scene.clock()
    scene.promote(scene.stage())
    scene.clock.advance(50 * DAY)
    scene.promote(scene.stage())
    found = scene.status()
    assert (found.state, found.oldest_at, found.overlap_ends_at) == (State.OVERLAP, first, scene.clock() + DAY)
    assert scene.status(now=first + 90 * DAY).state is State.EXPIRED, "the old one still opens the door"


def test_a_pending_version_beside_a_current_one_is_rotating_unless_that_one_has_expired(scene: _Scene) -> None:
    written = scene.clock()
    scene.promote(scene.stage())
    scene.stage()
    assert scene.status().state is State.ROTATING
    assert scene.status(now=written + 89 * DAY).state is State.ROTATING
    assert scene.status(now=written + 90 * DAY).state is State.EXPIRED


def test_what_a_person_must_act_on_is_missing_due_or_expired() -> None:
    assert {State.MISSING, State.EXPIRED, State.DUE} == ACTIONABLE


def test_a_store_that_is_away_is_an_error_and_no_state(scene: _Scene, tmp_path: Path) -> None:
    scene.store.close()
    with pytest.raises(StoreUnavailableError):
        scene.status()

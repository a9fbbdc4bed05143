"""Cut at every request and promoted by rivals, a secret at Google comes to the one state that was meant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import FailedPrecondition, NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from grpc import StatusCode

from tests.canary import canary
from tests.servers.cutting_proxy import Cut, CuttingProxy
from tests.servers.google_clients import NAME, full_name, make_current, open_as, open_at
from tests.servers.google_secret_manager import FakeSecretManager
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreUnavailableError,
    VersionConflictError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretValue, Stage
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.gcp import GoogleStore
from vantage_secrets.testing import FakeClock

pytest_plugins = ("tests.servers.google_fixtures",)

REQUESTS_MAX = 15


class Plain:
    """What somebody without us sees of the secret."""

    def __init__(self, client: SecretManagerServiceClient) -> None:
        self._client = client

    def latest(self) -> str:
        return self.read("latest")

    def read(self, version: str) -> str:
        """Return what a version holds; nothing when there is none."""
        try:
            found = self._client.access_secret_version(name=f"{full_name(NAME)}/versions/{version}")
        except NotFound:
            return ""
        return found.payload.data.decode()

    def payloads(self, suffix: str = "") -> list[str]:
        """Return what every version holds that is not destroyed, the newest first."""
        try:
            versions = [*self._client.list_secret_versions(parent=full_name(NAME) + suffix)]
        except NotFound:
            return []
        found = []
        for version in versions:
            try:
                found.append(self._client.access_secret_version(name=version.name).payload.data.decode())
            except FailedPrecondition:
                continue
        return found


@pytest.fixture
def plain(owner: SecretManagerServiceClient) -> Plain:
    return Plain(owner)


@pytest.fixture
def cut_store(google_proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStore]:
    """A store whose requests can be cut, and that does not try again: as if it had been killed."""
    monkeypatch.setattr("vantage_secrets.stores.gcp.calls._retry", lambda *_: None)
    monkeypatch.setattr("vantage_secrets.stores.gcp.promoting._POLITE_TRIES", 1)
    with open_at(google_proxy.address) as store:
        yield store


def stages(store: Store) -> dict[Stage, str]:
    """Return the values of the secret by stage."""
    found = {}
    for version in store.describe(NAME):
        if version.stage is not Stage.RETIRED:
            found[version.stage] = store.read(NAME, version=version.id).value.reveal_text()
            if version.stage is not Stage.PENDING:
                assert store.read(NAME, stage=version.stage).version == version
    return found


class Cutter:
    """Cuts each request of a verb in turn, before and after the server did it, and has the verb called again.

    Args:
        proxy: What cuts.
        cut: The store behind it.
        whole: A store that is not cut.
    """

    def __init__(self, proxy: CuttingProxy, cut: GoogleStore, whole: GoogleStore) -> None:
        self._proxy = proxy
        self._cut = cut
        self._whole = whole

    def run(
        self,
        prepare: Callable[[], None],
        verb: Callable[[Store], object],
        between: Callable[[], None],
        after: Callable[[], None],
    ) -> int:
        """Return how many requests the verb has."""
        for number in range(1, REQUESTS_MAX):
            for when in Cut:
                prepare()
                self._proxy.mend()
                self._proxy.cut(number, when, stay_down=False)
                try:
                    verb(self._cut)
                except StoreUnavailableError:
                    between()
                if not self._proxy.has_cut:
                    return number - 1
                verb(self._whole)
                after()
        raise AssertionError("the verb has more requests than expected")


@pytest.fixture
def cutter(google_proxy: CuttingProxy, cut_store: GoogleStore, google_store: GoogleStore) -> Cutter:
    return Cutter(google_proxy, cut_store, google_store)


# cut at every request


def test_stage_cut_at_any_request_shows_nobody_the_value_and_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    values: list[str] = []

    def prepare() -> None:
        google.reset()
        values[:] = canary(), canary()
        make_current(google_store, values[0])

    def between() -> None:
        assert plain.latest() == values[0]
        assert google_store.read(NAME).value.matches(values[0])

    def verb(store: Store) -> object:
        return store.stage(NAME, SecretValue(values[1]), "second")

    def after() -> None:
        assert stages(google_store) == {Stage.CURRENT: values[0], Stage.PENDING: values[1]}
        assert len(google_store.describe(NAME)) == 2
        assert plain.payloads() == [values[0]]
        # What a run left beside the secret is destroyed by the next write, at the latest by the next stage.
        assert set(plain.payloads("--pending")) == {values[1]}

    assert cutter.run(prepare, verb, between, after) == 4


def test_the_first_stage_of_a_secret_cut_at_any_request_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    value = canary()

    def between() -> None:
        assert plain.latest() == ""
        with pytest.raises(SecretNotFoundError):
            google_store.read(NAME)

    def verb(store: Store) -> object:
        return store.stage(NAME, SecretValue(value), "first")

    def after() -> None:
        assert stages(google_store) == {Stage.PENDING: value}
        assert [*google_store.list()] == [NAME]

    assert cutter.run(google.reset, verb, between, after) == 7


def test_promote_cut_at_any_request_always_leaves_a_value_that_opens_and_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    values: list[str] = []
    ids: list[str] = []

    def prepare() -> None:
        google.reset()
        values[:] = [canary() for _ in range(3)]
        ids[:] = [make_current(google_store, value).id for value in values[:2]]
        ids.append(google_store.stage(NAME, SecretValue(values[2]), "third").id)

    def between() -> None:
        assert plain.latest() in values[1:]
        assert plain.read("current") in values[1:]
        assert google_store.read(NAME).value.matches(plain.read("current"))

    def verb(store: Store) -> object:
        return store.promote(NAME, ids[2], expect_current=ids[1])

    def after() -> None:
        assert stages(google_store) == {Stage.CURRENT: values[2], Stage.PREVIOUS: values[1]}
        assert plain.latest() == plain.read("current") == values[2]
        assert plain.read("previous") == values[1]
        assert set(plain.payloads()) == set(values[1:])
        assert plain.payloads("--pending") == []

    assert cutter.run(prepare, verb, between, after) == 9


def test_a_roll_back_cut_at_any_request_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    values: list[str] = []
    ids: list[str] = []

    def prepare() -> None:
        google.reset()
        values[:] = canary(), canary()
        ids[:] = [make_current(google_store, value).id for value in values]

    def between() -> None:
        assert plain.latest() in values
        assert google_store.read(NAME).value.matches(plain.read("current"))

    def verb(store: Store) -> object:
        return store.promote(NAME, ids[0], expect_current=ids[1])

    def after() -> None:
        assert stages(google_store) == {Stage.CURRENT: values[0], Stage.PREVIOUS: values[1]}
        assert plain.latest() == plain.read("current") == values[0]
        google_store.promote(NAME, ids[1], expect_current=ids[0])
        google_store.retire(NAME, ids[0])
        assert set(plain.payloads()) == {values[1]}

    assert cutter.run(prepare, verb, between, after) == 7


def test_retire_cut_at_any_request_never_calls_retired_what_can_be_read_and_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    values: list[str] = []
    ids: list[str] = []

    def prepare() -> None:
        google.reset()
        values[:] = canary(), canary()
        ids[:] = [make_current(google_store, value).id for value in values]

    def between() -> None:
        assert plain.latest() == values[1]
        is_retired = google_store.describe(NAME)[1].stage is Stage.RETIRED
        assert not (is_retired and values[0] in plain.payloads())

    def verb(store: Store) -> object:
        return store.retire(NAME, ids[0])

    def after() -> None:
        assert stages(google_store) == {Stage.CURRENT: values[1]}
        assert plain.payloads() == [values[1]]
        assert plain.read("previous") == ""

    assert cutter.run(prepare, verb, between, after) == 4


def test_delete_cut_at_any_request_is_finished_by_the_next_call(
    google: FakeSecretManager, google_store: GoogleStore, cutter: Cutter, plain: Plain
) -> None:
    def prepare() -> None:
        google.reset()
        make_current(google_store, canary())
        google_store.stage(NAME, SecretValue(canary()), "second")

    def verb(store: Store) -> object:
        return store.delete(NAME)

    def after() -> None:
        assert [*google_store.list()] == []
        assert plain.payloads() == plain.payloads("--pending") == []

    assert cutter.run(prepare, verb, lambda: None, after) == 3


def test_what_a_killed_stage_left_beside_the_secret_is_destroyed_by_the_next(
    google_store: GoogleStore, google_proxy: CuttingProxy, cut_store: GoogleStore, plain: Plain
) -> None:
    make_current(google_store, canary())
    google_proxy.cut(3, Cut.BEFORE)
    with pytest.raises(StoreUnavailableError):
        cut_store.stage(NAME, SecretValue(canary()), "second")
    assert len(plain.payloads("--pending")) == 1
    value = canary()
    google_store.stage(NAME, SecretValue(value), "third")
    assert plain.payloads("--pending") == [value]


# rivals


@pytest.mark.parametrize("code", [StatusCode.FAILED_PRECONDITION, StatusCode.ABORTED])
def test_of_two_promoters_only_the_winner_ever_writes_a_value(
    google: FakeSecretManager, google_store: GoogleStore, plain: Plain, code: StatusCode
) -> None:
    google.etag_code = code
    values = [canary() for _ in range(3)]
    first = make_current(google_store, values[0])
    second = make_current(google_store, values[1])
    pending = google_store.stage(NAME, SecretValue(values[2]), "third")
    added = google.calls["AddSecretVersion"]
    outcomes = _race(
        lambda: google_store.promote(NAME, pending.id, expect_current=second.id),
        lambda: google_store.promote(NAME, first.id, expect_current=second.id),
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SecretVersion", "VersionConflictError"]
    assert google.calls["AddSecretVersion"] == added + 1
    assert plain.latest() == plain.read("current") == google_store.read(NAME).value.reveal_text()


@pytest.fixture
def held(google: FakeSecretManager) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The first value that is added to the secret itself from now on is held back: when it came, and to let it go."""
    came, let_go = threading.Event(), threading.Event()

    def hold(method: str, request: object) -> None:
        parent = str(getattr(request, "parent", ""))
        if method == "AddSecretVersion" and not parent.endswith("--pending") and not came.is_set():
            came.set()
            assert let_go.wait(60)

    google.before = hold
    yield came, let_go
    let_go.set()


def test_a_promotion_that_another_run_finished_moves_current_to_what_it_wrote_itself(
    google: FakeSecretManager,
    google_store: GoogleStore,
    plain: Plain,
    held: tuple[threading.Event, threading.Event],
) -> None:
    came, let_go = held
    value = canary()
    pending = google_store.stage(NAME, SecretValue(value), "first")
    slow, outcomes = _in_thread(lambda: google_store.promote(NAME, pending.id, expect_current=None))
    assert came.wait(60)
    with open_at(google.address) as other:
        assert other.promote(NAME, pending.id, expect_current=None).stage is Stage.CURRENT
    let_go.set()
    slow.join()
    assert [getattr(outcome, "id", outcome) for outcome in outcomes] == [pending.id]
    assert plain.payloads() == [value, value]
    assert plain.latest() == plain.read("current") == value
    assert google_store.read(NAME).version == google_store.describe(NAME)[0]
    make_current(google_store, canary())
    google_store.retire(NAME, pending.id)
    assert value not in plain.payloads()


def test_a_promotion_that_wakes_when_another_value_is_current_leaves_that_value_the_latest(
    google: FakeSecretManager,
    google_store: GoogleStore,
    plain: Plain,
    held: tuple[threading.Event, threading.Event],
) -> None:
    came, let_go = held
    values = canary(), canary()
    pending = google_store.stage(NAME, SecretValue(values[0]), "first")
    slow, outcomes = _in_thread(lambda: google_store.promote(NAME, pending.id, expect_current=None))
    assert came.wait(60)
    with open_at(google.address) as other:
        other.promote(NAME, pending.id, expect_current=None)
        newer = make_current(other, values[1])
    let_go.set()
    slow.join()
    assert [type(outcome) for outcome in outcomes] == [VersionConflictError]
    assert plain.latest() == plain.read("current") == values[1]
    assert google_store.read(NAME).version.id == newer.id
    google_store.retire(NAME, pending.id)
    assert set(plain.payloads()) == {values[1]}


def test_what_a_killed_promotion_wrote_too_late_is_taken_for_its_version_s(
    google_store: GoogleStore, owner: SecretManagerServiceClient, plain: Plain
) -> None:
    values = canary(), canary()
    first = make_current(google_store, values[0])
    owner.add_secret_version(parent=full_name(NAME), payload={"data": values[0].encode()})
    make_current(google_store, values[1])
    google_store.retire(NAME, first.id)
    assert plain.payloads() == [values[1]]


def test_another_promotion_finishes_a_killed_one_only_when_that_is_a_minute_old(
    google: FakeSecretManager, google_proxy: CuttingProxy, cut_store: GoogleStore, plain: Plain
) -> None:
    clock = FakeClock(datetime(2031, 5, 1, tzinfo=UTC))
    values = [canary() for _ in range(3)]
    with open_as(google.address, None, clock=clock) as store, open_as(google_proxy.address, None, clock=clock) as cut:
        first = make_current(store, values[0])
        second = make_current(store, values[1])
        pending = store.stage(NAME, SecretValue(values[2]), "third")
        google_proxy.cut(6, Cut.BEFORE)  # The aliases have not moved, and the value is written.
        with pytest.raises(StoreUnavailableError):
            cut.promote(NAME, pending.id, expect_current=second.id)
        assert (plain.latest(), plain.read("current")) == (values[2], values[1])
        clock.advance(timedelta(seconds=59))
        with pytest.raises(VersionConflictError, match="under way"):
            store.promote(NAME, first.id, expect_current=second.id)
        with pytest.raises(VersionConflictError, match="under way"):
            store.retire(NAME, pending.id)
        clock.advance(timedelta(seconds=1))
        with pytest.raises(VersionConflictError, match="The current version"):
            store.promote(NAME, first.id, expect_current=second.id)
        assert stages(store) == {Stage.CURRENT: values[2], Stage.PREVIOUS: values[1]}
        assert plain.latest() == plain.read("current") == values[2]


def test_a_promotion_whose_value_was_destroyed_meanwhile_is_called_off(
    google_store: GoogleStore,
    google_proxy: CuttingProxy,
    cut_store: GoogleStore,
    owner: SecretManagerServiceClient,
    plain: Plain,
) -> None:
    values = canary(), canary()
    first = make_current(google_store, values[0])
    pending = google_store.stage(NAME, SecretValue(values[1]), "second")
    google_proxy.cut(3, Cut.AFTER)  # It is written that a promotion is under way, and no more.
    with pytest.raises(StoreUnavailableError):
        cut_store.promote(NAME, pending.id, expect_current=first.id)
    owner.destroy_secret_version(name=f"{full_name(NAME)}--pending/versions/2")
    with pytest.raises(VersionRetiredError, match="by somebody else"):
        google_store.promote(NAME, pending.id, expect_current=first.id)
    google_store.retire(NAME, pending.id)
    make_current(google_store, values[0] + "-again")
    assert plain.read("previous") == values[0]


def _in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except VersionConflictError as exc:
            outcomes.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcomes


def _race(*calls: Callable[[], object]) -> list[object]:
    running = [_in_thread(call) for call in calls]
    for thread, _outcomes in running:
        thread.join()
    return [outcome for _thread, outcomes in running for outcome in outcomes]

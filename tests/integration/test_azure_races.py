"""Rivals at one secret in a vault without compare-and-set, and what repairs the rare case that both wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import deepcopy

import pytest
from azure.keyvault.secrets import SecretClient

from tests.canary import canary
from tests.servers.azure_key_vault import FakeKeyVault, Version
from vantage_secrets.errors import PendingVersionExistsError, VersionConflictError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.azure import AzureStore, promotion
from vantage_secrets.stores.contract import Capability
from vantage_secrets.testing.store_steps import make_current, race
from vantage_secrets.testing.store_steps import promotion as promoting

pytest_plugins = ("tests.servers.azure",)

OpenStore = Callable[..., AzureStore]
NAME = SecretName("vantage/api-key")
MAIN, PENDING = "vantage-api-key", "vantage-api-key--pending"


@pytest.fixture
def store(open_azure_store: OpenStore) -> AzureStore:
    return open_azure_store()


@pytest.fixture
def client(azure_sdk: Callable[..., SecretClient]) -> SecretClient:
    return azure_sdk()


def stages(store: AzureStore) -> dict[str, Stage]:
    return {version.id: version.stage for version in store.describe(NAME)}


def versions(vault: FakeKeyVault) -> list[Version]:
    return vault.secrets[MAIN].versions


def test_the_store_does_not_claim_compare_and_set(store: AzureStore) -> None:
    assert Capability.COMPARE_AND_SET not in store.capabilities


def test_of_two_racing_promoters_exactly_one_wins_and_the_other_publishes_nothing(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    one, other = open_azure_store(), open_azure_store()
    for index in range(12):
        name = SecretName(f"race/{index}")
        previous, current = make_current(one, name, canary()), make_current(one, name, canary())
        pending = one.stage(name, SecretValue(canary()), "third")
        results = race(promoting(one, name, pending.id, current.id), promoting(other, name, previous.id, current.id))
        winners = [result for result in results if isinstance(result, SecretVersion)]
        assert len(winners) == 1
        assert [type(result) for result in results if result not in winners] == [VersionConflictError]
        assert one.read(name).version.id == winners[0].id
        assert len(key_vault.secrets[f"race-{index}"].versions) == 3


def test_the_same_promotion_from_four_sides_happens_once(open_azure_store: OpenStore, client: SecretClient) -> None:
    stores = [open_azure_store() for _ in range(4)]
    value = canary()
    first = make_current(stores[0], NAME, canary())
    pending = stores[0].stage(NAME, SecretValue(value), "second")
    results = race(*(promoting(store, NAME, pending.id, first.id) for store in stores))
    assert [getattr(result, "id", result) for result in results] == [pending.id] * 4
    assert stages(stores[0]) == {pending.id: Stage.CURRENT, first.id: Stage.PREVIOUS}
    assert client.get_secret(MAIN).value == value
    make_current(stores[0], NAME, canary())
    make_current(stores[0], NAME, canary())
    found = [one for one in client.list_properties_of_secret_versions(MAIN) if one.enabled]
    assert len(found) == 2


def test_a_look_in_the_middle_of_a_promotion_sees_the_version_pending_or_current_and_never_retired(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    """The promotion happens between any two requests of the look."""
    one, other = open_azure_store(), open_azure_store()
    for number in (1, 2):
        current = make_current(one, NAME, canary())
        pending = one.stage(NAME, SecretValue(canary()), f"next-{number}")
        mark = len(key_vault.requests) + number - 1

        def promote(_request: str, mark: int = mark, version: str = pending.id, expected: str = current.id) -> None:
            if len(key_vault.requests) == mark:
                key_vault.before = None
                other.promote(NAME, version, expect_current=expected)

        key_vault.before = promote
        seen = stages(one)[pending.id]
        assert key_vault.before is None
        assert seen in (Stage.PENDING, Stage.CURRENT)


def test_the_race_is_decided_by_the_announcements_whichever_comes_first(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    """The slower rival announces only after the faster one looked; it sees the announcement and does not write."""
    one, other = open_azure_store(), open_azure_store()
    previous, current = make_current(one, NAME, canary()), make_current(one, NAME, canary())
    pending = one.stage(NAME, SecretValue(canary()), "third")
    results: list[object] = []
    started = threading.Event()

    def roll_back() -> None:
        started.set()
        results.extend(race(promoting(other, NAME, previous.id, current.id)))

    def before(request: str) -> None:
        """Hold the write of the faster one until the slower one has announced and looked."""
        if request.startswith(f"PUT /secrets/{MAIN}") and not started.is_set():
            thread.start()
            started.wait()
            while sum(1 for line in key_vault.requests[mark:] if line.startswith("PATCH")) < 1:
                threading.Event().wait(0.005)

    thread = threading.Thread(target=roll_back)
    key_vault.before = before
    mark = len(key_vault.requests) + 3  # Behind the faster one's own announcement.
    won = one.promote(NAME, pending.id, expect_current=current.id)
    thread.join()
    assert won.id == pending.id
    assert [type(result) for result in results] == [VersionConflictError]
    assert stages(one)[pending.id] is Stage.CURRENT
    assert one.read(NAME).version.id == pending.id


def test_of_two_values_that_are_staged_in_the_same_moment_one_stays_pending(open_azure_store: OpenStore) -> None:
    stores = [open_azure_store() for _ in range(2)]
    for index in range(6):
        name = SecretName(f"stage/{index}")
        values = [canary(), canary()]

        def staging(side: int, name: SecretName = name, values: list[str] = values) -> Callable[[], object]:
            return lambda: stores[side].stage(name, SecretValue(values[side]), f"token-{side}")

        results = race(staging(0), staging(1))
        staged = [result for result in results if isinstance(result, SecretVersion)]
        assert staged
        assert {type(result) for result in results} <= {SecretVersion, PendingVersionExistsError}
        reading = stores[0].read(name, stage=Stage.PENDING)
        assert reading.version.id in {version.id for version in staged}
        assert sum(version.stage is Stage.PENDING for version in stores[1].describe(name)) == 1


def test_an_announcement_without_a_sign_of_life_holds_another_version_up_once(
    store: AzureStore, key_vault: FakeKeyVault, client: SecretClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "lease_seconds", lambda _seconds: 0.2)
    for below in (True, False):
        previous, current = make_current(store, NAME, canary()), make_current(store, NAME, canary())
        pending = store.stage(NAME, SecretValue(canary()), f"next-{below}")
        dead = next(one for one in versions(key_vault) if (one.tags or {})["vantage-secrets-id"] == previous.id)
        tags = dead.tags or {}
        # Which of two announcements has to give way depends on the ids; a low and a high one are both tried.
        tags["vantage-secrets-id"] = ("0" if below else "f") * 32
        sequence = 1 + max(int((one.tags or {})["vantage-secrets-sequence"]) for one in versions(key_vault))
        tags["vantage-secrets-announced"] = str(sequence)
        versions(key_vault)[-1].tags = {
            **(versions(key_vault)[-1].tags or {}),
            "vantage-secrets-previous": tags["vantage-secrets-id"],
        }
        assert store.promote(NAME, pending.id, expect_current=current.id).stage is Stage.CURRENT
        assert "vantage-secrets-announced" not in (dead.tags or {})


def test_a_promotion_that_was_announced_and_killed_is_finished_by_the_same_one_without_waiting(
    store: AzureStore, key_vault: FakeKeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "lease_seconds", lambda _seconds: 1e9)
    current = make_current(store, NAME, canary())
    pending = store.stage(NAME, SecretValue(canary()), "next")
    (key_vault.secrets[PENDING].versions[-1].tags or {})["vantage-secrets-announced"] = "2"
    assert store.promote(NAME, pending.id, expect_current=current.id).id == pending.id


def late(vault: FakeKeyVault, number: int) -> Version:
    """Let the vault take the write of the ``number``-th version once more, as the newest: a request that came late."""
    again = deepcopy(versions(vault)[number])
    again.id = f"{len(versions(vault)):032x}"
    again.attributes |= {"enabled": True, "created": versions(vault)[-1].attributes["created"]}
    versions(vault).append(again)
    return again


@pytest.mark.parametrize("number", [0, 1], ids=["retired", "previous"])
def test_a_write_that_reaches_the_vault_after_later_promotions_is_undone_by_the_next_verb(
    store: AzureStore, key_vault: FakeKeyVault, client: SecretClient, number: int
) -> None:
    values = [canary() for _ in range(3)]
    ids = [make_current(store, NAME, value).id for value in values]
    expected = {ids[2]: Stage.CURRENT, ids[1]: Stage.PREVIOUS, ids[0]: Stage.RETIRED}
    late(key_vault, number)
    assert client.get_secret(MAIN).value == values[number]
    assert stages(store) == expected
    assert store.promote(NAME, ids[2], expect_current=ids[1]).id == ids[2]
    assert client.get_secret(MAIN).value == values[2]
    assert store.read(NAME).version.id == ids[2]
    assert stages(store) == expected


def test_a_promoter_whose_write_comes_late_loses_and_puts_the_winner_back(
    open_azure_store: OpenStore, key_vault: FakeKeyVault, client: SecretClient
) -> None:
    """It stood still between its last look and its write, for longer than any lease; another one promoted twice."""
    one, other = open_azure_store(), open_azure_store()
    values = [canary() for _ in range(4)]
    first, second = (make_current(one, NAME, value) for value in values[:2])
    pending = one.stage(NAME, SecretValue(values[2]), "third")
    stalled = threading.Event()

    def before(request: str) -> None:
        if request.startswith(f"PUT /secrets/{MAIN}") and not stalled.is_set():
            stalled.set()
            announced = key_vault.secrets[PENDING].versions[-1].tags or {}
            announced.pop("vantage-secrets-announced")  # The lease has passed.
            other.promote(NAME, first.id, expect_current=second.id)
            make_current(other, SecretName("unrelated"), canary())
            other.promote(NAME, second.id, expect_current=first.id)

    key_vault.before = before
    with pytest.raises(VersionConflictError):
        one.promote(NAME, pending.id, expect_current=second.id)
    assert client.get_secret(MAIN).value == values[1]
    assert stages(one)[second.id] is Stage.CURRENT
    assert stages(one)[first.id] is Stage.PREVIOUS
    assert stages(one)[pending.id] is Stage.RETIRED
    assert not [found for found in versions(key_vault) if found.value == values[2] and found.attributes["enabled"]]


def test_two_that_wrote_with_the_same_number_are_told_apart_alike_by_everyone(
    store: AzureStore, key_vault: FakeKeyVault, client: SecretClient
) -> None:
    base, one, two = canary(), canary(), canary()
    first = make_current(store, NAME, base)
    second = make_current(store, NAME, one)
    rival = late(key_vault, 1)
    rival.value = two
    for rival_id, winner in (("0" * 32, second.id), ("f" * 32, "f" * 32)):
        rival.tags = {**(rival.tags or {}), "vantage-secrets-id": rival_id}
        found = stages(store)
        assert found[winner] is Stage.CURRENT
        assert found[first.id] is Stage.PREVIOUS
        assert sorted(found.values()) == ["current", "previous", "retired"]
    rival.tags = {**(rival.tags or {}), "vantage-secrets-id": "0" * 32}
    store.stage(NAME, SecretValue(canary()), "next")
    assert client.get_secret(MAIN).value == one
    assert not rival.attributes["enabled"]

"""A vault that dies in the middle of each verb and comes back: no reader notices, and the same verb again finishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count

import pytest

from tests.canary import canary
from tests.servers.azure_key_vault import FakeKeyVault
from tests.servers.certificate import Certificate
from tests.servers.cutting_proxy import Cut, CuttingProxy
from vantage_secrets.errors import StoreUnavailableError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.azure import AzureStore, retries

pytest_plugins = ("tests.servers.azure",)

OpenStore = Callable[..., AzureStore]
NAME = SecretName("vantage/api-key")
MAIN, PENDING = "vantage-api-key", "vantage-api-key--pending"


@pytest.fixture
def proxy(key_vault: FakeKeyVault, certificate: Certificate) -> Iterator[CuttingProxy]:
    with CuttingProxy(
        "127.0.0.1",
        key_vault.port,
        accept_tls=certificate.server_context(),
        connect_tls=certificate.client_context(),
    ) as proxy:
        yield proxy


def rotated(store: AzureStore, value: str) -> str:
    """Make ``value`` current; return the id of its version."""
    found = [version.id for version in store.describe(NAME) if version.stage is Stage.CURRENT] if names(store) else []
    staged = store.stage(NAME, SecretValue(value), f"token-{value[-30:]}")
    return store.promote(NAME, staged.id, expect_current=found[0] if found else None).id


def names(store: AzureStore) -> list[SecretName]:
    return [*store.list()]


def newest(vault: FakeKeyVault) -> str | None:
    """Return what the vendor's plain call returns: nothing where the newest version is disabled or none is there."""
    secret = vault.secrets.get(MAIN)
    return secret.versions[-1].value if secret and secret.versions[-1].attributes["enabled"] else None


def readable(vault: FakeKeyVault, value: str) -> bool:
    """Return whether any call of the vendor's returns ``value``."""
    found = [one for secret in vault.secrets.values() for one in secret.versions if one.value == value]
    return any(one.attributes["enabled"] for one in found)


class Scene:
    """A secret with two versions and a pending one, made once and put back before each try."""

    def __init__(self, vault: FakeKeyVault, store: AzureStore) -> None:
        self.values = [canary() for _ in range(4)]
        self._vault = vault
        self.previous, self.current = (rotated(store, value) for value in self.values[:2])
        self._pending = store.stage(NAME, SecretValue(self.values[2]), "third").id
        self._kept = deepcopy(vault.secrets)
        self.restore()

    def restore(self) -> None:
        self._vault.reset()
        self._vault.secrets = deepcopy(self._kept)
        self._vault.before = lambda _request: self.check()
        self.pending = self._pending
        self.allowed: tuple[str | None, ...] = (self.values[1],)
        self.seen_wrongly = 0

    def check(self) -> None:
        """Note what a plain reader would see between any two requests."""
        self.seen_wrongly += newest(self._vault) not in self.allowed


def stage_of(store: AzureStore) -> dict[str, Stage]:
    return {version.id: version.stage for version in store.describe(NAME)}


def stage_verb(store: AzureStore, scene: Scene) -> None:
    store.retire(NAME, scene.pending)
    scene.pending = store.stage(NAME, SecretValue(scene.values[3]), "fourth").id


def after_stage(store: AzureStore, vault: FakeKeyVault, scene: Scene) -> None:
    assert sorted(stage_of(store).values()) == ["current", "pending", "previous", "retired"]
    assert store.read(NAME, stage=Stage.PENDING).value.matches(scene.values[3])
    assert store.read(NAME).version.id == scene.current
    assert not readable(vault, scene.values[2])


def promote_verb(store: AzureStore, scene: Scene) -> None:
    scene.allowed = (scene.values[1], scene.values[2])
    store.promote(NAME, scene.pending, expect_current=scene.current)


def after_promote(store: AzureStore, vault: FakeKeyVault, scene: Scene) -> None:
    assert stage_of(store) == {
        scene.pending: Stage.CURRENT,
        scene.current: Stage.PREVIOUS,
        scene.previous: Stage.RETIRED,
    }
    assert newest(vault) == scene.values[2]
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(scene.values[1])
    assert not readable(vault, scene.values[0])
    assert not any(one.attributes["enabled"] for one in vault.secrets[PENDING].versions)


def roll_back_verb(store: AzureStore, scene: Scene) -> None:
    scene.allowed = (scene.values[1], scene.values[0])
    store.promote(NAME, scene.previous, expect_current=scene.current)


def after_roll_back(store: AzureStore, vault: FakeKeyVault, scene: Scene) -> None:
    assert stage_of(store) == {
        scene.previous: Stage.CURRENT,
        scene.current: Stage.PREVIOUS,
        scene.pending: Stage.PENDING,
    }
    assert newest(vault) == scene.values[0]


def retire_verb(store: AzureStore, scene: Scene) -> None:
    store.retire(NAME, scene.previous)


def after_retire(store: AzureStore, vault: FakeKeyVault, scene: Scene) -> None:
    assert stage_of(store)[scene.previous] is Stage.RETIRED
    assert not readable(vault, scene.values[0])
    assert newest(vault) == scene.values[1]


def delete_verb(store: AzureStore, scene: Scene) -> None:
    scene.allowed = (scene.values[1], None)
    store.delete(NAME)


def after_delete(store: AzureStore, vault: FakeKeyVault, _scene: Scene) -> None:
    assert names(store) == []
    assert (vault.secrets, vault.deleted) == ({}, {})


VERBS = {
    "stage": (stage_verb, after_stage),
    "promote": (promote_verb, after_promote),
    "roll back": (roll_back_verb, after_roll_back),
    "retire": (retire_verb, after_retire),
    "delete": (delete_verb, after_delete),
}


@pytest.fixture
def scene(key_vault: FakeKeyVault, open_azure_store: OpenStore) -> Scene:
    return Scene(key_vault, open_azure_store())


@pytest.mark.parametrize("when", Cut)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_cut_at_any_request_is_finished_by_the_same_verb(
    verb: str,
    when: Cut,
    key_vault: FakeKeyVault,
    scene: Scene,
    proxy: CuttingProxy,
    open_azure_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "_TRIES_MAX", 1)
    call, after = VERBS[verb]
    straight, cut = open_azure_store(), open_azure_store(address=proxy.address)
    for number in count(1):
        proxy.mend()
        scene.restore()
        proxy.cut(number, when)
        try:
            call(cut, scene)
        except StoreUnavailableError:
            assert proxy.has_cut
        else:
            assert not proxy.has_cut
            assert number > 3, "the verb made fewer requests than it can"
            return
        scene.check()
        call(straight, scene)
        assert scene.seen_wrongly == 0
        key_vault.before = None
        after(straight, key_vault, scene)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_answers_are_lost_is_repeated_by_the_client_and_done_once(
    verb: str,
    key_vault: FakeKeyVault,
    scene: Scene,
    proxy: CuttingProxy,
    open_azure_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "_FIRST_WAIT_SECONDS", 0.001)
    call, after = VERBS[verb]
    store = open_azure_store(address=proxy.address)
    for number in count(1):
        proxy.mend()
        scene.restore()
        proxy.cut(number, Cut.AFTER, stay_down=False)
        call(store, scene)
        assert scene.seen_wrongly == 0
        key_vault.before = None
        after(store, key_vault, scene)
        if not proxy.has_cut:
            return

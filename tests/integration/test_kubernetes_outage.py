"""The Kubernetes store when the way to the API server breaks, before and after each request, or the server dies."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.canary import canary
from tests.servers.cutting_proxy import Cut, CuttingProxy
from tests.servers.kube import KubeServer
from vantage_secrets.errors import StoreUnavailableError, VantageSecretsError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.kubernetes import KubernetesStore
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing.store_steps import make_current, words

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")

NAME = SecretName("vantage/api-key")


class Desk:
    """A secret with a current and a pending version, and a store whose way to the server can be cut."""

    def __init__(self, direct: KubernetesStore, cuttable: KubernetesStore) -> None:
        self.direct, self.cuttable = direct, cuttable
        self.values = [canary() for _ in range(3)]
        self.current = make_current(direct, NAME, self.values[0])
        self.pending = direct.stage(NAME, SecretValue(self.values[1]), "second")

    def unstaged(self) -> None:
        self.direct.retire(NAME, self.pending.id)

    def seen(self) -> str:
        """Return which of the values a reader of current gets, past the cut."""
        value = self.direct.read(NAME).value
        return next(str(index) for index, known in enumerate(self.values) if value.matches(known))


@pytest.fixture
def desk(kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, kube_proxied: Path) -> Iterator[Desk]:
    with kube.open(kube_place, kube_proxied) as cuttable:
        cuttable._connection.timeout = 0.3
        yield Desk(kube_store, cuttable)


def read(desk: Desk) -> None:
    assert desk.cuttable.read(NAME).value.matches(desk.values[0])


def stage(desk: Desk) -> None:
    made = desk.cuttable.stage(NAME, SecretValue(desk.values[2]), "third")
    assert made.stage is Stage.PENDING
    assert desk.direct.read(NAME, stage=Stage.PENDING).value.matches(desk.values[2])
    assert [version.stage for version in desk.direct.describe(NAME)].count(Stage.PENDING) == 1
    assert desk.seen() == "0"


def promote(desk: Desk) -> None:
    made = desk.cuttable.promote(NAME, desk.pending.id, expect_current=desk.current.id)
    assert (made.id, made.stage) == (desk.pending.id, Stage.CURRENT)
    assert desk.seen() == "1"
    assert desk.direct.read(NAME, stage=Stage.PREVIOUS).version.id == desk.current.id


def retire(desk: Desk) -> None:
    assert desk.cuttable.retire(NAME, desk.pending.id).stage is Stage.RETIRED
    assert desk.seen() == "0"


def delete(desk: Desk) -> None:
    desk.cuttable.delete(NAME)
    assert [*desk.direct.list()] == []


STEPS = [
    (read, 1),
    (lambda desk: desk.cuttable.describe(NAME), 1),
    (lambda desk: [*desk.cuttable.list()], 1),
    *((verb, number) for verb in (stage, promote, retire, delete) for number in (1, 2)),
]


@pytest.mark.parametrize("when", Cut)
@pytest.mark.parametrize(("verb", "number"), STEPS)
def test_a_verb_that_is_cut_off_is_an_outage_leaves_readers_a_whole_value_and_called_again_finishes(
    desk: Desk, kube_proxy: CuttingProxy, verb: Callable[[Desk], object], number: int, when: Cut
) -> None:
    if verb is stage:
        desk.unstaged()
    kube_proxy.cut(number, when)
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        verb(desk)
    assert kube_proxy.has_cut
    assert not [said for said in words(caught.value) if any(value in said for value in desk.values)]
    if verb is not delete:
        assert desk.seen() == ("1" if (verb, number, when) == (promote, 2, Cut.AFTER) else "0")
    kube_proxy.mend()
    verb(desk)


@pytest.mark.parametrize("when", Cut)
@pytest.mark.parametrize(("verb", "number"), STEPS)
def test_a_connection_that_breaks_once_is_made_anew_and_nobody_notices(
    desk: Desk, kube_proxy: CuttingProxy, verb: Callable[[Desk], object], number: int, when: Cut
) -> None:
    if verb is stage:
        desk.unstaged()
    desk.cuttable._connection.timeout = 30
    kube_proxy.cut(number, when, stay_down=False)
    verb(desk)
    assert kube_proxy.has_cut


def test_a_deletion_whose_answer_was_lost_still_says_that_there_was_something(
    desk: Desk, kube_proxy: CuttingProxy
) -> None:
    desk.cuttable._connection.timeout = 30
    kube_proxy.cut(2, Cut.AFTER, stay_down=False)
    assert desk.cuttable.delete(NAME) is True
    assert desk.cuttable.delete(NAME) is False


def test_making_the_object_and_losing_the_answer_makes_it_once(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, kube_proxy: CuttingProxy, kube_proxied: Path
) -> None:
    with kube.open(kube_place, kube_proxied) as store:
        kube_proxy.cut(2, Cut.AFTER, stay_down=False)
        made = store.stage(NAME, SecretValue(canary()), "token")
    assert [request.split(" ")[0] for request in kube_proxy.requests] == ["GET", "POST", "POST", "GET"]
    assert kube_store.describe(NAME) == (made,)


def test_an_object_that_is_deleted_between_reading_and_writing_is_judged_anew(
    desk: Desk, kube_vendor: client.CoreV1Api, kube_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(desk.direct._connection).put

    def delete_first(*arguments: object) -> bool:
        monkeypatch.undo()
        kube_vendor.delete_namespaced_secret(*reversed(kube_place))
        return put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(desk.direct._connection), "put", delete_first)
    with pytest.raises(VantageSecretsError, match="There is no secret 'vantage/api-key'"):
        desk.direct.promote(NAME, desk.pending.id, expect_current=desk.current.id)


def test_a_server_that_is_killed_and_comes_back_has_lost_nothing_and_watches_go_on(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore
) -> None:
    value, next_value = canary(), canary()
    make_current(kube_store, NAME, value)
    told: queue.SimpleQueue[SecretName] = queue.SimpleQueue()
    end = kube_store.watch(told.put)
    kube.kill()
    kube_store._connection.timeout = 0.3
    for call in (
        lambda: kube_store.read(NAME),
        lambda: kube_store.stage(NAME, SecretValue(next_value), "next"),
        lambda: kube_store.delete(NAME),
    ):
        with pytest.raises(StoreUnavailableError):
            call()
    kube.start()
    kube_store._connection.timeout = 30
    assert kube_store.read(NAME).value.matches(value)
    make_current(kube_store, NAME, next_value)
    assert told.get(timeout=60) == NAME
    end()

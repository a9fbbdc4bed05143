"""Watching a Kubernetes Secret: real streams, lost connections, versions that the server has forgotten."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.kube import KubeServer
from vantage_secrets.errors import StoreUnavailableError
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.kubernetes import KubernetesStore, watching
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing.store_steps import make_current

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")

NAME, OTHER = SecretName("vantage/api-key"), SecretName("vantage/other")


class Told:
    """What a watch tells, in order."""

    def __init__(self) -> None:
        self._names: queue.SimpleQueue[SecretName] = queue.SimpleQueue()

    def __call__(self, name: SecretName) -> None:
        self._names.put(name)

    def next(self) -> SecretName:
        return self._names.get(timeout=60)


@pytest.fixture
def watched(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, kube_proxied: Path
) -> Iterator[KubernetesStore]:
    """A store whose way to the server can be cut; the object and one secret are there."""
    make_current(kube_store, NAME, canary())
    with kube.open(kube_place, kube_proxied) as store:
        yield store


def watches(proxy: CuttingProxy) -> list[str]:
    return [request for request in [*proxy.requests] if "watch=true" in request.lower()]


def test_a_watch_tells_of_promotions_and_of_nothing_else_and_asks_once(
    watched: KubernetesStore, kube_store: KubernetesStore, kube_proxy: CuttingProxy
) -> None:
    told = Told()
    end = watched.watch(told)
    kube_proxy.requests.clear()
    pending = kube_store.stage(NAME, SecretValue(canary()), "staged")
    make_current(kube_store, OTHER, canary())
    assert told.next() == OTHER
    kube_store.promote(NAME, pending.id, expect_current=kube_store.read(NAME).version.id)
    assert told.next() == NAME
    kube_store.delete(OTHER)
    make_current(kube_store, OTHER, canary())
    assert told.next() == OTHER
    end()
    assert kube_proxy.requests == []  # It is told; it does not ask.


def test_a_watch_may_begin_before_the_object_is_there_and_outlives_its_deletion(
    kube_store: KubernetesStore, kube_vendor: client.CoreV1Api, kube_place: Place
) -> None:
    told = Told()
    end = kube_store.watch(told)
    make_current(kube_store, NAME, canary())
    assert told.next() == NAME
    kube_vendor.delete_namespaced_secret(*reversed(kube_place))
    make_current(kube_store, OTHER, canary())
    assert told.next() == OTHER
    end()


def test_what_came_while_the_connection_was_lost_is_told_when_it_is_back_from_where_it_broke(
    watched: KubernetesStore, kube_store: KubernetesStore, kube_proxy: CuttingProxy
) -> None:
    told = Told()
    end = watched.watch(told)
    make_current(kube_store, OTHER, canary())
    assert told.next() == OTHER
    with kube_proxy.refusing():
        make_current(kube_store, NAME, canary())
    assert told.next() == NAME
    end()
    assert "resourceVersion=" not in watches(kube_proxy)[0]
    assert "resourceVersion=" in watches(kube_proxy)[-1]


def test_after_410_gone_the_watch_begins_with_the_object_as_it_is(
    kube: KubeServer,
    watched: KubernetesStore,
    kube_store: KubernetesStore,
    kube_proxy: CuttingProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_PAUSE_SECONDS_MAX", 0.2)
    told = Told()
    end = watched.watch(told)
    with kube_proxy.refusing():
        kube.kill()
        kube.start()  # What it remembers for watches begins here.
        watched._watches[0]._version = "1"
        make_current(kube_store, NAME, canary())
    assert told.next() == NAME
    end()
    found = watches(kube_proxy)
    assert [request for request in found if "resourceVersion=1&" in request]
    assert "resourceVersion=" not in found[-1]
    assert "resourceVersion=1&" in found[-2]


def test_a_stream_that_ends_in_good_order_is_begun_anew(
    kube_store: KubernetesStore, watched: KubernetesStore, kube_proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "STREAM_SECONDS", (1, 1))
    told = Told()
    end = watched.watch(told)
    while len(watches(kube_proxy)) < 3:
        make_current(kube_store, NAME, canary())
        assert told.next() == NAME
    end()


def test_a_watch_that_has_ended_tells_of_nothing_and_leaves_no_thread(
    watched: KubernetesStore, kube_store: KubernetesStore
) -> None:
    ended, going = Told(), Told()
    before = {*threading.enumerate()}
    end = watched.watch(ended)
    thread = next(one for one in threading.enumerate() if one not in before and one.name == "vantage-secrets-watch")
    watched.watch(going)
    end()
    end()
    thread.join(timeout=60)
    assert not thread.is_alive()
    make_current(kube_store, NAME, canary())
    assert going.next() == NAME
    assert ended._names.empty()


def test_closing_the_store_ends_its_watches(watched: KubernetesStore) -> None:
    before = {*threading.enumerate()}
    watched.watch(lambda _name: None)
    thread = next(one for one in threading.enumerate() if one not in before and one.name == "vantage-secrets-watch")
    watched.close()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_a_callback_that_raises_ends_nothing_and_its_words_are_not_logged(
    watched: KubernetesStore, kube_store: KubernetesStore, caplog: pytest.LogCaptureFixture
) -> None:
    told, value = Told(), canary()

    def tell(name: SecretName) -> None:
        told(name)
        raise RuntimeError(value)

    end = watched.watch(tell)
    for _ in range(2):
        make_current(kube_store, NAME, canary())
        assert told.next() == NAME
    end()
    assert "RuntimeError" in caplog.text
    assert value not in caplog.text


def test_an_object_that_is_damaged_is_logged_and_the_watch_goes_on(
    watched: KubernetesStore,
    kube_store: KubernetesStore,
    kube_vendor: client.CoreV1Api,
    kube_place: Place,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warned = threading.Event()
    caplog.handler.addFilter(lambda record: _note(record, warned))
    told = Told()
    end = watched.watch(told)
    whole = kube_vendor.read_namespaced_secret(*reversed(kube_place))
    annotations = whole.metadata.annotations
    kube_vendor.patch_namespaced_secret(
        *reversed(kube_place), {"metadata": {"annotations": dict.fromkeys(annotations)}}
    )
    assert warned.wait(timeout=60)
    kube_vendor.patch_namespaced_secret(*reversed(kube_place), {"metadata": {"annotations": annotations}})
    make_current(kube_store, NAME, canary())
    assert told.next() == NAME
    end()


def _note(record: logging.LogRecord, warned: threading.Event) -> bool:
    if record.name == watching.__name__ and record.levelno == logging.WARNING:
        warned.set()
    return True


def test_a_store_that_does_not_answer_cannot_be_watched(
    watched: KubernetesStore, kube_proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched._connection.timeout = 0.3
    with kube_proxy.refusing(), pytest.raises(StoreUnavailableError):
        watched.watch(lambda _name: None)

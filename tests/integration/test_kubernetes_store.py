"""The store in a Kubernetes Secret beside other writers: plain readers, people with kubectl, rivals, full objects."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.kube import KubeServer
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    NameCollisionError,
    SecretNotFoundError,
    StoreFullError,
    StoreIntegrityError,
    StoreReadOnlyError,
    StoreUnavailableError,
    UnsupportedOperationError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Health
from vantage_secrets.stores.kubernetes import KubernetesStore, open_kubernetes
from vantage_secrets.stores.kubernetes.bundle import DIGEST_KEY, VERSIONS_ANNOTATION
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.testing.store_steps import make_current, race, words

pytest_plugins = ["tests.servers.kube_fixtures"]
pytestmark = pytest.mark.xdist_group("kubernetes")

NAME = SecretName("vantage/api-key")
KEY = "vantage.api-key"
Plain = Callable[[], dict[str, bytes]]


@pytest.fixture
def plain(kube_vendor: client.CoreV1Api, kube_place: Place) -> Plain:
    """What the vendor's plain call reads."""

    def read() -> dict[str, bytes]:
        data = kube_vendor.read_namespaced_secret(kube_place.secret, kube_place.namespace).data or {}
        return {key: base64.b64decode(text) for key, text in data.items()}

    return read


@pytest.fixture
def patch(kube_vendor: client.CoreV1Api, kube_place: Place) -> Callable[[dict[str, Any]], None]:
    """Change the object as a person does who has kubectl."""

    def change(body: dict[str, Any]) -> None:
        kube_vendor.patch_namespaced_secret(kube_place.secret, kube_place.namespace, body, field_manager="kubectl-edit")

    return change


@pytest.fixture
def make(kube_vendor: client.CoreV1Api, kube_place: Place) -> Callable[..., None]:
    """Make the object before the store does."""

    def create(**body: Any) -> None:
        metadata = {"name": kube_place.secret, **body.pop("metadata", {})}
        kube_vendor.create_namespaced_secret(kube_place.namespace, {"metadata": metadata, **body})

    return create


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# plain readers


def test_a_plain_reader_gets_text_as_itself_bytes_as_they_are_and_fields_as_json(
    kube_store: KubernetesStore, plain: Plain
) -> None:
    text, fields = canary(), {"username": "ingest", "password": canary()}
    make_current(kube_store, NAME, text)
    make_current(kube_store, SecretName("vantage/blob"), b"\0\xff" + text.encode())
    make_current(kube_store, SecretName("vantage/login"), fields)
    found = plain()
    assert found[KEY] == text.encode()
    assert found["vantage.blob"] == b"\0\xff" + text.encode()
    assert json.loads(found["vantage.login"]) == fields


def test_a_plain_reader_of_a_secret_sees_each_promotion_and_never_the_pending_value(
    kube_store: KubernetesStore, plain: Plain
) -> None:
    first, second = canary(), canary()
    pending = kube_store.stage(NAME, SecretValue(first), "first")
    assert KEY not in plain()
    kube_store.promote(NAME, pending.id, expect_current=None)
    kube_store.stage(NAME, SecretValue(second), "second")
    assert plain()[KEY] == first.encode()
    kube_store.promote(NAME, kube_store.describe(NAME)[0].id, expect_current=pending.id)
    assert plain()[KEY] == second.encode()
    assert sorted(plain()) == [DIGEST_KEY, KEY, KEY + ".previous"]


def test_annotations_hold_no_value_and_no_token(
    kube_store: KubernetesStore, kube_vendor: client.CoreV1Api, kube_place: Place
) -> None:
    value, token = canary(), canary("token")
    make_current(kube_store, NAME, value, token)
    kube_store.retire(NAME, kube_store.stage(NAME, SecretValue(canary()), "gone").id)
    found = json.dumps(kube_vendor.read_namespaced_secret(*reversed(kube_place)).metadata.to_dict(), default=str)
    assert value not in found
    assert token not in found
    assert b64(value) not in found


# rivals


def test_of_eight_promoters_exactly_one_wins(kube: KubeServer, kube_place: Place, kube_store: KubernetesStore) -> None:
    first = make_current(kube_store, NAME, canary())
    second = make_current(kube_store, NAME, canary())
    pending = kube_store.stage(NAME, SecretValue(canary()), "third")
    stores = [kube.open(kube_place) for _ in range(8)]
    chosen = [pending.id if index % 2 else first.id for index in range(8)]
    results = race(
        *(
            lambda store=store, version=version: store.promote(NAME, version, expect_current=second.id)  # type: ignore[misc]
            for store, version in zip(stores, chosen, strict=True)
        )
    )
    for store in stores:
        store.close()
    # Those who wanted what the winner wanted find it done; all others are told of a conflict.
    winner = kube_store.read(NAME).version.id
    for wanted, result in zip(chosen, results, strict=True):
        assert isinstance(result, SecretVersion if wanted == winner else VersionConflictError)
        assert wanted != winner or result.id == winner  # type: ignore[attr-defined]


def test_writers_of_different_secrets_in_one_object_do_not_lose_each_others_work(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore
) -> None:
    values = {SecretName(f"rival/{index}"): canary() for index in range(6)}
    stores = {name: kube.open(kube_place) for name in values}
    race(*(lambda name=name: make_current(stores[name], name, values[name]) for name in values))  # type: ignore[misc]
    for store in stores.values():
        store.close()
    assert [*kube_store.list()] == sorted(values)
    assert all(kube_store.read(name).value.matches(value) for name, value in values.items())


def test_the_previous_value_survives_ten_unrelated_writes(kube_store: KubernetesStore) -> None:
    old = canary()
    make_current(kube_store, NAME, old)
    make_current(kube_store, NAME, canary())
    for index in range(10):
        make_current(kube_store, SecretName(f"other/{index}"), canary())
    assert kube_store.read(NAME, stage=Stage.PREVIOUS).value.matches(old)


# other people's hands


def test_a_value_that_somebody_removed_is_told_as_that_and_never_answered_with_an_older_one(
    kube_store: KubernetesStore, patch: Callable[[dict[str, Any]], None]
) -> None:
    make_current(kube_store, NAME, canary())
    make_current(kube_store, NAME, canary())
    patch({"data": {KEY: None}})
    with pytest.raises(StoreIntegrityError, match=r"'vantage\.api-key' was removed"):
        kube_store.read(NAME)
    with pytest.raises(StoreIntegrityError):
        [*kube_store.read_many([NAME])]
    new = canary()
    make_at = kube_store.stage(NAME, SecretValue(new), "anew")
    kube_store.promote(NAME, make_at.id, expect_current=kube_store.describe(NAME)[1].id)
    assert kube_store.read(NAME).value.matches(new)


def test_a_value_that_somebody_changed_is_refused_with_the_name_of_who_did_it(
    kube_store: KubernetesStore, patch: Callable[[dict[str, Any]], None]
) -> None:
    make_current(kube_store, NAME, canary())
    foreign = canary()
    patch({"data": {KEY: b64(foreign)}})
    with pytest.raises(StoreIntegrityError, match="was changed by 'kubectl-edit'") as caught:
        kube_store.read(NAME)
    assert not [said for said in words(caught.value) if foreign in said]
    assert ("other owners", Health.WARNING) in {(one.part, one.health) for one in kube_store.examine()}


def test_values_that_changed_places_are_refused(
    kube_store: KubernetesStore, plain: Plain, patch: Callable[[dict[str, Any]], None]
) -> None:
    make_current(kube_store, NAME, canary())
    make_current(kube_store, NAME, canary())
    found = {key: base64.b64encode(raw).decode() for key, raw in plain().items()}
    patch({"data": {KEY: found[KEY + ".previous"], KEY + ".previous": found[KEY]}})
    for stage in (Stage.CURRENT, Stage.PREVIOUS):
        with pytest.raises(StoreIntegrityError):
            kube_store.read(NAME, stage=stage)


@pytest.mark.parametrize(
    "damage",
    [
        {"metadata": {"annotations": {VERSIONS_ANNOTATION: None}}},
        {"metadata": {"annotations": {VERSIONS_ANNOTATION: "{"}}},
        {"metadata": {"annotations": {VERSIONS_ANNOTATION: '{"vantage.api-key":[]}'}}},
        {"metadata": {"annotations": {VERSIONS_ANNOTATION: '{"vantage.api-key":[["a"]]}'}}},
        {"data": {DIGEST_KEY: None}},
        {"data": {DIGEST_KEY: "AAAA"}},
    ],
)
def test_metadata_that_somebody_damaged_is_no_absence(
    kube_store: KubernetesStore, patch: Callable[[dict[str, Any]], None], damage: dict[str, Any]
) -> None:
    make_current(kube_store, NAME, canary())
    patch(damage)
    with pytest.raises(StoreIntegrityError):
        kube_store.read(NAME)
    with pytest.raises(StoreIntegrityError):
        kube_store.stage(NAME, SecretValue(canary()), "next")


def test_an_object_that_somebody_deleted_is_absence_and_begins_anew(
    kube_store: KubernetesStore, kube_vendor: client.CoreV1Api, kube_place: Place
) -> None:
    old = make_current(kube_store, NAME, canary())
    kube_vendor.delete_namespaced_secret(*reversed(kube_place))
    with pytest.raises(SecretNotFoundError):
        kube_store.read(NAME)
    assert [*kube_store.list()] == []
    assert kube_store.delete(NAME) is False
    assert make_current(kube_store, NAME, canary()).id != old.id


def test_keys_annotations_and_labels_of_others_stay_as_they_are_and_are_no_secrets_of_ours(
    kube_store: KubernetesStore, make: Callable[..., None], plain: Plain, kube_vendor: client.CoreV1Api
) -> None:
    foreign = canary()
    make(data={"tls.crt": b64(foreign)}, metadata={"annotations": {"a/b": "c"}, "labels": {"team": "x"}})
    make_current(kube_store, NAME, canary())
    kube_store.delete(NAME)
    place = kube_store.url.removeprefix("kubernetes://").split("/")
    metadata = kube_vendor.read_namespaced_secret(place[1], place[0]).metadata
    assert (metadata.annotations["a/b"], metadata.labels) == ("c", {"team": "x"})
    assert plain()["tls.crt"] == foreign.encode()
    assert [*kube_store.list()] == []
    with pytest.raises(SecretNotFoundError, match="no secret 'tls/crt'") as caught:
        kube_store.read(SecretName("tls/crt"))
    assert "was not written by vantage-secrets" in caught.value.hint


# names


@pytest.mark.parametrize(("first", "second"), [("a", "a/previous"), ("a/pending", "a")])
def test_two_names_that_would_share_a_key_are_refused(kube_store: KubernetesStore, first: str, second: str) -> None:
    make_current(kube_store, SecretName(first), canary())
    with pytest.raises(NameCollisionError):
        kube_store.stage(SecretName(second), SecretValue(canary()), "token")
    assert [*kube_store.list()] == [SecretName(first)]


def test_names_of_packed_secrets_are_refused_by_every_verb(kube_store: KubernetesStore) -> None:
    packed = SecretName("vantage/config#api_key")
    for call in (
        lambda: kube_store.read(packed),
        lambda: [*kube_store.read_many([packed])],
        lambda: kube_store.describe(packed),
        lambda: kube_store.stage(packed, SecretValue(canary()), "token"),
        lambda: kube_store.promote(packed, "1", expect_current=None),
        lambda: kube_store.retire(packed, "1"),
        lambda: kube_store.delete(packed),
    ):
        with pytest.raises(UnsupportedOperationError):
            call()


def test_a_name_whose_key_is_somebody_elses_is_refused(
    kube_store: KubernetesStore, make: Callable[..., None], plain: Plain
) -> None:
    foreign = canary()
    make(data={KEY: b64(foreign)})
    with pytest.raises(NameCollisionError):
        kube_store.stage(NAME, SecretValue(canary()), "token")
    assert plain() == {KEY: foreign.encode()}


def test_a_key_that_came_between_is_not_overwritten_by_the_first_promotion(
    kube_store: KubernetesStore, patch: Callable[[dict[str, Any]], None], plain: Plain
) -> None:
    pending = kube_store.stage(NAME, SecretValue(canary()), "token")
    foreign = canary()
    patch({"data": {KEY: b64(foreign)}})
    with pytest.raises(NameCollisionError):
        kube_store.promote(NAME, pending.id, expect_current=None)
    assert plain()[KEY] == foreign.encode()


# environment, immutable, limits


def test_another_environments_secrets_are_refused(
    kube: KubeServer, kube_place: Place, kube_store: KubernetesStore, plain: Plain
) -> None:
    value = canary()
    make_current(kube_store, NAME, value)
    options = {"kubeconfig": str(kube.kubeconfig)}
    with open_kubernetes(kube_place.url, environment="production", options=options) as other:
        for call in (
            lambda: other.read(NAME),
            lambda: other.stage(NAME, SecretValue(canary()), "token"),
            lambda: other.delete(NAME),
        ):
            with pytest.raises(EnvironmentMismatchError, match="belongs to 'test', not to 'production'"):
                call()
        assert Health.BROKEN in {one.health for one in other.examine()}
    assert plain()[KEY] == value.encode()


def test_an_immutable_object_is_read_and_every_write_is_refused_with_the_reason(
    kube_store: KubernetesStore, patch: Callable[[dict[str, Any]], None]
) -> None:
    value = canary()
    make_current(kube_store, NAME, value)
    version = make_current(kube_store, NAME, value)
    patch({"immutable": True})
    assert kube_store.read(NAME).value.matches(value)
    previous = kube_store.describe(NAME)[1].id
    for call in (
        lambda: kube_store.stage(NAME, SecretValue(canary()), "token"),
        lambda: kube_store.promote(NAME, previous, expect_current=version.id),
        lambda: kube_store.retire(NAME, previous),
        lambda: kube_store.delete(NAME),
    ):
        with pytest.raises(StoreReadOnlyError, match="is immutable"):
            call()
    assert kube_store.promote(NAME, version.id, expect_current=None) == version  # Nothing to write.
    assert "the Secret" in {one.part for one in kube_store.examine() if one.health is Health.BROKEN}


def test_a_full_object_is_refused_before_the_call_and_retiring_makes_room(
    kube: KubeServer,
    kube_place: Place,
    kube_proxy: CuttingProxy,
    kube_proxied: Path,
    make: Callable[..., None],
    plain: Plain,
) -> None:
    make(data={"somebody.elses": b64("x" * (1_048_576 - 60_000))})
    with kube.open(kube_place, kube_proxied) as store:
        for _ in range(2):
            version = make_current(store, NAME, canary().ljust(25_600, "y"))
        kube_proxy.requests.clear()
        with pytest.raises(StoreFullError, match="1,048,576"):
            store.stage(NAME, SecretValue(canary().ljust(25_600, "z")), "token")
        assert [request.split(" ")[0] for request in kube_proxy.requests] == ["GET"]
        room = next(one for one in store.examine() if one.part == "room for values")
        assert room.health is Health.WARNING
        store.retire(NAME, store.describe(NAME)[1].id)
        pending = store.stage(NAME, SecretValue(canary().ljust(25_600, "z")), "token")
        store.promote(NAME, pending.id, expect_current=version.id)
    assert sum(map(len, plain().values())) <= 1 << 20


def test_a_namespace_that_is_not_there_is_named_with_the_command_that_makes_it(kube: KubeServer) -> None:
    with kube.open(Place("nowhere", "vantage")) as store:
        with pytest.raises(SecretNotFoundError):
            store.read(NAME)
        with pytest.raises(StoreUnavailableError, match="no namespace 'nowhere'") as caught:
            store.stage(NAME, SecretValue(canary()), "token")
    assert caught.value.hint == "kubectl create namespace nowhere"


# calls


def test_each_verb_reads_the_object_once_and_writes_it_at_most_once(
    kube: KubeServer,
    kube_place: Place,
    kube_store: KubernetesStore,
    kube_proxy: CuttingProxy,
    kube_proxied: Path,
) -> None:
    names = [SecretName(f"many/{index}") for index in range(5)]
    for name in names:
        make_current(kube_store, name, canary())
    with kube.open(kube_place, kube_proxied) as store:

        def calls(verb: Callable[[], object]) -> list[str]:
            kube_proxy.requests.clear()
            verb()
            return [request.split(" ")[0] for request in kube_proxy.requests]

        assert calls(lambda: store.read(names[0])) == ["GET"]
        assert calls(lambda: [*store.read_many(names)]) == ["GET"]
        assert calls(lambda: store.describe(names[0])) == ["GET"]
        assert calls(lambda: [*store.describe_many(names)]) == ["GET"]
        assert calls(lambda: [*store.list()]) == ["GET"]
        assert calls(lambda: store.stage(names[0], SecretValue(canary()), "next")) == ["GET", "PUT"]
        assert calls(lambda: store.delete(names[0])) == ["GET", "PUT"]
        assert calls(lambda: store.delete(names[0])) == ["GET"]

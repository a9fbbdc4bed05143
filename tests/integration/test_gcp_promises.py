"""What the Google store promises beyond the contract, and what others do to a secret beside it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tests.canary import canary
from tests.servers.google_clients import AUTOMATIC, NAME, PREFIX, change, full_name, make_current, open_at, secret_id
from tests.servers.google_secret_manager import PROJECT, FakeSecretManager
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    NameCollisionError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreIntegrityError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.gcp import GoogleStore

pytest_plugins = ("tests.servers.google_fixtures",)

OTHER = SecretName("vantage/clickhouse-password")
PARENT = f"projects/{PROJECT}"


def latest(client: SecretManagerServiceClient, version: str = "latest", name: SecretName = NAME) -> str:
    return client.access_secret_version(name=f"{full_name(name)}/versions/{version}").payload.data.decode()


# plain readers


def test_no_plain_call_on_the_secret_shows_a_pending_value(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    current = canary()
    make_current(google_store, current)
    google_store.stage(NAME, SecretValue(canary()), "next")
    versions = [*owner.list_secret_versions(parent=full_name(NAME))]
    assert [owner.access_secret_version(name=one.name).payload.data.decode() for one in versions] == [current]
    assert latest(owner, "current") == latest(owner) == current


def test_a_plain_reader_gets_text_as_text_bytes_as_bytes_and_fields_as_json(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    def payload() -> bytes:
        return owner.access_secret_version(name=f"{full_name(NAME)}/versions/latest").payload.data

    text, raw = f"{canary()} \N{SNOWMAN}\n", canary().encode()
    make_current(google_store, text)
    assert payload() == text.encode()
    make_current(google_store, raw)
    assert payload() == raw
    make_current(google_store, {"username": "ingest", "password": text})
    assert json.loads(payload()) == {"username": "ingest", "password": text}


def test_latest_current_and_previous_are_what_plain_readers_expect_after_a_roll_back(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    values = canary(), canary()
    first, second = (make_current(google_store, value) for value in values)
    google_store.promote(NAME, first.id, expect_current=second.id)
    assert (latest(owner), latest(owner, "current"), latest(owner, "previous")) == (values[0], values[0], values[1])


def test_previous_survives_ten_unrelated_writes(google_store: GoogleStore, owner: SecretManagerServiceClient) -> None:
    values = canary(), canary()
    for value in values:
        make_current(google_store, value)
    for index in range(10):
        change(owner, "labels", {**owner.get_secret(name=full_name(NAME)).labels, "touched": str(index)})
        google_store.stage(OTHER, SecretValue(canary()), f"token-{index}")
        google_store.retire(OTHER, google_store.describe(OTHER)[0].id)
    assert google_store.read(NAME, stage=Stage.PREVIOUS).value.matches(values[0])
    assert latest(owner, "previous") == values[0]


# what others do


def test_a_current_version_that_somebody_disabled_is_refused_and_nothing_older_is_served(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    values = canary(), canary()
    for value in values:
        make_current(google_store, value)
    owner.disable_secret_version(name=f"{full_name(NAME)}/versions/2")
    with pytest.raises(StoreAccessDeniedError, match="disabled the current version") as caught:
        google_store.read(NAME)
    assert "gcloud secrets versions enable NUMBER" in caught.value.hint
    with pytest.raises(StoreAccessDeniedError):
        [*google_store.read_many([NAME])]
    owner.enable_secret_version(name=f"{full_name(NAME)}/versions/2")
    assert google_store.read(NAME).value.matches(values[1])


def test_a_current_version_that_somebody_destroyed_is_gone_and_a_rotation_repairs_it(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    make_current(google_store, canary())
    current = make_current(google_store, canary())
    owner.destroy_secret_version(name=f"{full_name(NAME)}/versions/2")
    with pytest.raises(VersionRetiredError, match="Somebody destroyed the current version"):
        google_store.read(NAME)
    value = canary()
    pending = google_store.stage(NAME, SecretValue(value), "repair")
    google_store.promote(NAME, pending.id, expect_current=current.id)
    assert latest(owner) == value
    assert google_store.read(NAME).value.matches(value)


def test_a_version_that_somebody_else_added_is_not_promoted_over_unseen(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    value, foreign = canary(), canary()
    current = make_current(google_store, value)
    owner.add_secret_version(parent=full_name(NAME), payload={"data": foreign.encode()})
    assert google_store.read(NAME).value.matches(value)
    pending = google_store.stage(NAME, SecretValue(canary()), "next")
    with pytest.raises(VersionConflictError, match="Somebody else added version 2") as caught:
        google_store.promote(NAME, pending.id, expect_current=current.id)
    assert f"gcloud secrets versions destroy 2 --secret={secret_id(NAME)}" in caught.value.hint
    assert latest(owner) == foreign
    owner.destroy_secret_version(name=f"{full_name(NAME)}/versions/2")
    assert google_store.promote(NAME, pending.id, expect_current=current.id).stage is Stage.CURRENT


def test_labels_annotations_and_aliases_of_others_stay(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    make_current(google_store, canary())
    secret = owner.get_secret(name=full_name(NAME))
    change(owner, "labels", {**secret.labels, "team": "b"})
    change(owner, "annotations", {**secret.annotations, "note": "theirs"})
    change(owner, "version_aliases", {**secret.version_aliases, "pinned": 1})
    make_current(google_store, canary())
    secret = owner.get_secret(name=full_name(NAME))
    assert (secret.labels["team"], secret.annotations["note"]) == ("b", "theirs")
    assert dict(secret.version_aliases) == {"current": 2, "previous": 1, "pinned": 1}


def test_annotations_that_somebody_damaged_are_damage_and_not_absence(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    version = make_current(google_store, canary())
    notes = dict(owner.get_secret(name=full_name(NAME)).annotations)
    for damage in ({f"vantage-secrets-version-{version.id}": "x"}, {"vantage-secrets-version-x": '{"shape":"text"}'}):
        change(owner, "annotations", {**notes, **damage})
        with pytest.raises(StoreIntegrityError, match="annotations"):
            google_store.describe(NAME)
        assert [*google_store.list()] == [NAME]


def test_an_alias_that_somebody_removed_is_a_secret_without_a_current_version(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    make_current(google_store, canary())
    change(owner, "version_aliases", {})
    with pytest.raises(VersionNotFoundError, match="no current version"):
        google_store.read(NAME)
    assert [version.stage for version in google_store.describe(NAME)] == [Stage.PREVIOUS]


# names


def test_what_is_beside_is_no_secret_of_ours(google_store: GoogleStore, owner: SecretManagerServiceClient) -> None:
    make_current(google_store, canary())
    ids = {one.name.rpartition("/")[2] for one in owner.list_secrets(parent=PARENT)}
    assert ids == {f"{PREFIX}_vantage_api-key", f"{PREFIX}_vantage_api-key--pending"}
    assert [*google_store.list()] == [NAME]


def test_prefixes_keep_stores_apart(google: FakeSecretManager, google_store: GoogleStore) -> None:
    value = canary()
    make_current(google_store, value)
    with open_at(google.address, prefix="team-b") as other:
        assert [*other.list()] == []
        make_current(other, canary())
        assert google_store.read(NAME).value.matches(value)
        assert other.delete(NAME)
    assert google_store.read(NAME).value.matches(value)


def test_two_names_that_google_would_write_alike_are_refused(google: FakeSecretManager) -> None:
    with open_at(google.address, prefix="team") as outer, open_at(google.address, prefix="team_vantage") as inner:
        make_current(outer, canary())
        name = SecretName("api-key")
        with pytest.raises(NameCollisionError, match="team_vantage_api-key"):
            inner.stage(name, SecretValue(canary()), "token")
        assert [*inner.list()] == []
        assert inner.delete(name) is False
        with pytest.raises(SecretNotFoundError):
            inner.describe(name)
        assert [*outer.list()] == [NAME]


def test_a_secret_of_somebody_else_is_neither_read_nor_written_nor_deleted(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    owner.create_secret(parent=PARENT, secret_id=secret_id(NAME), secret=AUTOMATIC)
    foreign = canary()
    owner.add_secret_version(parent=full_name(NAME), payload={"data": foreign.encode()})
    for call in (google_store.read, google_store.describe):
        with pytest.raises(SecretNotFoundError) as caught:
            call(NAME)
        assert "not made by vantage-secrets" in caught.value.hint
    with pytest.raises(NameCollisionError):
        google_store.stage(NAME, SecretValue(canary()), "token")
    assert google_store.delete(NAME) is False
    assert latest(owner) == foreign


def test_an_empty_secret_that_somebody_made_for_us_is_taken_over_with_its_settings(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    replicas = {"replication": {"user_managed": {"replicas": [{"location": "europe-west3"}]}}}
    settings = {**replicas, "labels": {"team": "a"}, "annotations": {"note": "theirs"}}
    owner.create_secret(parent=PARENT, secret_id=secret_id(NAME), secret=settings)
    value = canary()
    make_current(google_store, value)
    secret = owner.get_secret(name=full_name(NAME))
    assert (secret.labels["team"], secret.annotations["note"]) == ("a", "theirs")
    assert secret.replication.user_managed.replicas[0].location == "europe-west3"
    assert google_store.read(NAME).value.matches(value)


def test_a_secret_of_another_environment_is_read_and_not_written(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    value = canary()
    version = make_current(google_store, value)
    with open_at(google.address, environment="Production EU") as other:
        assert other.read(NAME).value.matches(value)
        calls: tuple[Callable[[], object], ...] = (
            lambda: other.stage(NAME, SecretValue(canary()), "token"),
            lambda: other.promote(NAME, version.id, expect_current=None),
            lambda: other.retire(NAME, version.id),
            lambda: other.delete(NAME),
        )
        for call in calls:
            with pytest.raises(EnvironmentMismatchError, match="'test', not to 'Production EU'"):
                call()
        make_current(other, canary(), OTHER)
    assert google_store.read(NAME).value.matches(value)


def test_the_environment_is_a_label_as_far_as_labels_go(
    google: FakeSecretManager, owner: SecretManagerServiceClient
) -> None:
    with open_at(google.address, environment="Production EU") as store:
        make_current(store, canary())
    secret = owner.get_secret(name=full_name(NAME))
    assert secret.labels["vantage-secrets-environment"] == "production-eu"
    assert secret.annotations["vantage-secrets-environment"] == "Production EU"
    assert secret.annotations["vantage-secrets-name"] == str(NAME)


def test_another_process_deletes_and_makes_anew_and_the_version_is_told_apart(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    old = make_current(google_store, canary())
    assert google_store.read(NAME).version.id == old.id
    with open_at(google.address) as other:
        other.delete(NAME)
        new = make_current(other, canary())
    assert google_store.read(NAME).version == new


def test_a_plain_reader_who_never_heard_of_us_finds_nothing_before_the_first_promotion(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    google_store.stage(NAME, SecretValue(canary()), "token")
    with pytest.raises(NotFound):
        latest(owner)

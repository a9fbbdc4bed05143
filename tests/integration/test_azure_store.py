"""What is particular to the store in Azure Key Vault: names, tags, others' hands in the vault, numbers of requests."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.keyvault.secrets import SecretClient

from tests.canary import canary
from tests.servers.azure_key_vault import FakeKeyVault
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    InvalidSecretNameError,
    InvalidSecretValueError,
    NameCollisionError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreError,
    StoreIntegrityError,
    VantageSecretsError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.azure import AzureStore
from vantage_secrets.testing.store_steps import make_current, words

pytest_plugins = ("tests.servers.azure",)

OpenStore = Callable[..., AzureStore]
MakeClient = Callable[..., SecretClient]
NAME = SecretName("vantage/api-key")
MAIN, PENDING = "vantage-api-key", "vantage-api-key--pending"


@pytest.fixture
def store(open_azure_store: OpenStore) -> AzureStore:
    return open_azure_store()


@pytest.fixture
def client(azure_sdk: MakeClient) -> SecretClient:
    return azure_sdk()


def stages(store: AzureStore, name: SecretName = NAME) -> dict[str, Stage]:
    return {version.id: version.stage for version in store.describe(name)}


# what the vendor's plain calls see


def test_between_any_two_requests_of_a_rotation_a_plain_reader_gets_the_old_value_or_the_new_one(
    store: AzureStore, key_vault: FakeKeyVault
) -> None:
    old, new = canary("old"), canary("new")
    first = make_current(store, NAME, old)
    seen: list[str] = []

    def look(_request: str) -> None:
        newest = key_vault.secrets[MAIN].versions[-1]
        assert newest.attributes["enabled"]
        seen.append("old" if newest.value == old else "new" if newest.value == new else "neither")

    key_vault.before = look
    pending = store.stage(NAME, SecretValue(new), "second")
    assert {*seen} == {"old"}
    store.promote(NAME, pending.id, expect_current=first.id)
    store.retire(NAME, first.id)
    assert seen == sorted(seen, reverse=True)
    assert {*seen} == {"old", "new"}


def test_text_is_plain_bytes_are_base64_and_fields_are_json_for_the_vendors_reader(
    store: AzureStore, client: SecretClient
) -> None:
    text, raw, fields = canary(), b"\0\xff" + canary().encode(), {"username": "ingest", "password": canary()}
    for name, content in (("text", text), ("raw", raw), ("fields", fields)):
        make_current(store, SecretName(name), content)
    found = {name: client.get_secret(name) for name in ("text", "raw", "fields")}
    assert found["text"].value == text
    assert base64.b64decode(str(found["raw"].value)) == raw
    assert json.loads(str(found["fields"].value)) == fields
    assert {name: one.properties.content_type for name, one in found.items()} == {
        "text": "text/plain",
        "raw": "application/octet-stream;base64",
        "fields": "application/json",
    }


def test_a_retired_version_is_disabled_in_both_places_and_stays_refused_if_someone_enables_it(
    store: AzureStore, client: SecretClient, key_vault: FakeKeyVault
) -> None:
    value = canary()
    first = make_current(store, NAME, value)
    make_current(store, NAME, canary())
    store.retire(NAME, first.id)
    copies = [(place, one) for place in (MAIN, PENDING) for one in key_vault.secrets[place].versions]
    ours = [(place, one) for place, one in copies if one.value == value]
    assert [one.attributes["enabled"] for _place, one in ours] == [False, False]
    for place, one in ours:
        client.update_secret_properties(place, one.id, enabled=True)
    with pytest.raises(VersionRetiredError):
        store.read(NAME, version=first.id)
    assert stages(store)[first.id] is Stage.RETIRED
    store.stage(NAME, SecretValue(canary()), "third")
    assert [one.attributes["enabled"] for _place, one in ours] == [False, False]


def test_not_before_and_expiry_that_someone_sets_hinder_nothing(store: AzureStore, client: SecretClient) -> None:
    value, now = canary(), datetime.now(UTC)
    make_current(store, NAME, value)
    client.update_secret_properties(MAIN, not_before=now + timedelta(days=9), expires_on=now - timedelta(days=9))
    assert store.read(NAME).value.matches(value)


def test_a_version_that_is_not_what_its_type_says_is_an_integrity_error_without_the_value(
    store: AzureStore, client: SecretClient
) -> None:
    make_current(store, NAME, canary())
    for kind, value in (("application/json", f"[{canary()}"), ("application/octet-stream;base64", f"*{canary()}")):
        client.set_secret(MAIN, value, content_type=kind)
        with pytest.raises(StoreIntegrityError) as caught:
            store.read(NAME)
        assert not [text for text in words(caught.value) if value in text]


# versions


def test_previous_survives_more_unrelated_writes_than_a_page_of_versions_holds(store: AzureStore) -> None:
    old, value = canary(), canary()
    previous = make_current(store, NAME, old)
    current = make_current(store, NAME, value)
    for index in range(26):
        store.retire(NAME, store.stage(NAME, SecretValue("unrelated"), f"unrelated-{index}").id)
    reading = store.read(NAME, stage=Stage.PREVIOUS)
    assert (reading.version.id, reading.value.matches(old)) == (previous.id, True)
    assert store.read(NAME).version.id == current.id
    assert len(store.describe(NAME)) == 28


def test_no_version_has_more_or_longer_tags_than_the_vault_takes(store: AzureStore, key_vault: FakeKeyVault) -> None:
    name = SecretName("n" * 118)
    versions = []
    for index in range(3):
        pending = store.stage(name, SecretValue(canary()), f"{index}".rjust(64, "t"))
        current = versions[-1].id if versions else None
        versions.append(store.promote(name, pending.id, expect_current=current))
    store.promote(name, versions[1].id, expect_current=versions[2].id)
    tags = [one.tags or {} for secret in key_vault.secrets.values() for one in secret.versions]
    assert len(tags) == 7
    assert max(len(one) for one in tags) <= 11
    assert max(len(text) for one in tags for text in one.values()) <= 128
    with pytest.raises(InvalidSecretNameError):
        store.read(SecretName("n" * 119))


def test_a_value_that_is_too_large_when_it_is_written_for_the_vault_is_refused_before_any_request(
    store: AzureStore, key_vault: FakeKeyVault
) -> None:
    for content in (bytes(19_201), {"field": '"' * 13_000}, "half a pair: \ud800"):
        with pytest.raises(InvalidSecretValueError):
            store.stage(NAME, SecretValue(content), "token")
    assert key_vault.requests == []
    largest = bytes(19_200)
    make_current(store, NAME, largest)
    assert store.read(NAME).value.matches(largest)


def test_reading_the_current_value_takes_one_request_and_describing_two(
    store: AzureStore, key_vault: FakeKeyVault
) -> None:
    make_current(store, NAME, canary())
    key_vault.requests.clear()
    store.read(NAME)
    assert key_vault.requests == [f"GET /secrets/{MAIN}/"]
    key_vault.requests.clear()
    store.describe(NAME)
    assert key_vault.requests == [f"GET /secrets/{PENDING}/versions", f"GET /secrets/{MAIN}/versions"]


def test_the_times_of_a_version_are_finer_than_the_vaults_seconds_and_stay_through_promotion(store: AzureStore) -> None:
    pending = store.stage(NAME, SecretValue(canary()), "token")
    current = store.promote(NAME, pending.id, expect_current=None)
    assert current.created_at == pending.created_at
    assert current.promoted_at is not None
    assert current.promoted_at > current.created_at
    assert store.describe(NAME) == (current,)


# what others do in the vault


def test_a_newest_version_that_someone_disabled_is_a_clear_refusal_and_nothing_older_is_served(
    store: AzureStore, client: SecretClient
) -> None:
    old = canary()
    first = make_current(store, NAME, old)
    second = make_current(store, NAME, canary())
    client.update_secret_properties(MAIN, enabled=False)
    for call in (
        lambda: store.read(NAME),
        lambda: store.read(NAME, version=second.id),
        lambda: [*store.read_many([NAME])],
    ):
        with pytest.raises(StoreAccessDeniedError, match="was disabled in the vault; no older one is served") as caught:
            call()
        assert "--enabled true" in caught.value.hint
    assert stages(store) == {second.id: Stage.CURRENT, first.id: Stage.PREVIOUS}
    store.promote(NAME, first.id, expect_current=second.id)
    assert store.read(NAME).value.matches(old)


def test_a_secret_that_someone_deleted_is_named_so_with_the_way_back(
    store: AzureStore, client: SecretClient, key_vault: FakeKeyVault
) -> None:
    value = canary()
    make_current(store, NAME, value)
    client.begin_delete_secret(MAIN).wait()
    with pytest.raises(VersionNotFoundError, match="deleted in the vault by someone else") as caught:
        store.read(NAME)
    assert "az keyvault secret recover" in caught.value.hint
    pending = store.stage(NAME, SecretValue(canary()), "next")
    with pytest.raises(StoreError, match="gives its name to nobody") as caught_write:
        store.promote(NAME, pending.id, expect_current=None)
    assert "az keyvault secret recover" in caught_write.value.hint
    client.begin_recover_deleted_secret(MAIN).wait()
    assert store.read(NAME).value.matches(value)
    assert store.read(NAME, stage=Stage.PENDING).version.id == pending.id


@pytest.mark.parametrize("seconds_later", [0, 2])
def test_a_version_that_someone_wrote_over_ours_is_current_and_ours_is_previous(
    store: AzureStore, client: SecretClient, key_vault: FakeKeyVault, seconds_later: int
) -> None:
    ours, theirs, next_value = canary(), canary(), canary()
    mine = make_current(store, NAME, ours)
    written = client.set_secret(MAIN, theirs).properties.version
    key_vault.secrets[MAIN].versions[-1].attributes["created"] += seconds_later
    reading = store.read(NAME)
    assert (reading.version.id, reading.value.matches(theirs)) == (written, True)
    assert stages(store) == {written: Stage.CURRENT, mine.id: Stage.PREVIOUS}
    assert reading.version in store.describe(NAME)
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(ours)
    assert [*store.list()] == [NAME]
    pending = store.stage(NAME, SecretValue(next_value), "next")
    with pytest.raises(VersionConflictError):
        store.promote(NAME, pending.id, expect_current=mine.id)
    store.promote(NAME, pending.id, expect_current=written)
    assert stages(store) == {pending.id: Stage.CURRENT, str(written): Stage.PREVIOUS, mine.id: Stage.RETIRED}
    assert client.get_secret(MAIN).value == next_value
    last = make_current(store, NAME, canary())
    assert stages(store) == {
        last.id: Stage.CURRENT,
        pending.id: Stage.PREVIOUS,
        str(written): Stage.RETIRED,
        mine.id: Stage.RETIRED,
    }
    assert not [one for one in key_vault.secrets[MAIN].versions if one.value == theirs and one.attributes["enabled"]]


def test_a_version_of_others_can_be_rolled_back_to(store: AzureStore, client: SecretClient) -> None:
    theirs = canary()
    make_current(store, NAME, canary())
    written = str(client.set_secret(MAIN, theirs).properties.version)
    current = make_current(store, NAME, canary())
    store.promote(NAME, written, expect_current=current.id)
    assert client.get_secret(MAIN).value == theirs
    assert stages(store)[current.id] is Stage.PREVIOUS


def test_others_disabled_version_in_the_same_second_is_the_newest_for_us_too(
    store: AzureStore, client: SecretClient
) -> None:
    make_current(store, NAME, canary())
    written = client.set_secret(MAIN, canary(), enabled=False).properties.version
    with pytest.raises(StoreAccessDeniedError):
        store.read(NAME)
    assert stages(store)[str(written)] is Stage.CURRENT


def test_tags_of_others_stay_on_their_version_and_ours_come_beside_them(
    store: AzureStore, client: SecretClient, key_vault: FakeKeyVault
) -> None:
    first = make_current(store, NAME, canary())
    ours = client.get_secret(MAIN).properties.tags
    client.update_secret_properties(MAIN, tags={**(ours or {}), "team": "ingest"})
    make_current(store, NAME, canary())
    store.retire(NAME, first.id)
    tags = key_vault.secrets[MAIN].versions[0].tags or {}
    assert tags["team"] == "ingest"
    assert tags["vantage-secrets-retired-at"]


# names


def test_what_is_not_ours_is_neither_listed_nor_read_nor_written_nor_deleted(
    store: AzureStore, client: SecretClient
) -> None:
    value = canary()
    client.set_secret(MAIN, value, tags={"team": "others"})
    client.set_secret("somebody-else", value)
    client.set_secret("wrong", value, tags={"vantage-secrets-name": "another/name"})
    client.set_secret("not-a-name", value, tags={"vantage-secrets-name": "Not A Name"})
    assert [*store.list()] == []
    for call in (
        lambda: store.read(NAME),
        lambda: store.describe(NAME),
        lambda: store.promote(NAME, "1", expect_current=None),
        lambda: store.retire(NAME, "1"),
    ):
        with pytest.raises(SecretNotFoundError, match="that vantage-secrets did not write") as caught:
            call()
        assert "vantage-secrets-name=vantage/api-key" in caught.value.hint
    with pytest.raises(NameCollisionError):
        store.stage(NAME, SecretValue(canary()), "token")
    assert store.delete(NAME) is False
    assert client.get_secret(MAIN).value == value
    assert len([*client.list_properties_of_secrets()]) == 4


def test_a_secret_of_others_is_adopted_by_its_tag(store: AzureStore, client: SecretClient) -> None:
    value = canary()
    written = client.set_secret(MAIN, value, tags={"team": "others"}).properties.version
    client.update_secret_properties(MAIN, tags={"team": "others", "vantage-secrets-name": str(NAME)})
    assert [*store.list()] == [NAME]
    reading = store.read(NAME)
    assert (reading.version.id, reading.value.matches(value)) == (written, True)
    current = make_current(store, NAME, canary())
    assert stages(store) == {current.id: Stage.CURRENT, str(written): Stage.PREVIOUS}


def test_two_names_that_the_vault_would_spell_alike_are_refused(store: AzureStore, client: SecretClient) -> None:
    value, other = canary(), SecretName("vantage-api/key")
    make_current(store, NAME, value)
    with pytest.raises(NameCollisionError, match="vantage/api-key"):
        store.stage(other, SecretValue(canary()), "token")
    with pytest.raises(SecretNotFoundError):
        store.read(other)
    assert store.delete(other) is False
    assert client.get_secret(MAIN).value == value
    pending_only = SecretName("only/pending")
    store.stage(pending_only, SecretValue(canary()), "token")
    with pytest.raises(NameCollisionError, match="only/pending"):
        store.stage(SecretName("only-pending"), SecretValue(canary()), "token")


def test_the_case_in_which_someone_spelled_a_name_does_not_matter(store: AzureStore, client: SecretClient) -> None:
    value = canary()
    client.set_secret("Vantage-API-Key", value, tags={"vantage-secrets-name": str(NAME)})
    assert store.read(NAME).value.matches(value)
    assert [*store.list()] == [NAME]
    make_current(store, NAME, canary())
    assert len(store.describe(NAME)) == 2


def test_a_secret_of_another_environment_is_read_and_not_written_over(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    value = canary()
    first = make_current(store, NAME, value)
    current = make_current(store, NAME, value)
    pending = store.stage(NAME, SecretValue(canary()), "next")
    other = open_azure_store(environment="staging")
    assert other.read(NAME).value.matches(value)
    key_vault.requests.clear()
    calls: tuple[Callable[[], object], ...] = (
        lambda: other.stage(NAME, SecretValue(canary()), "token"),
        lambda: other.promote(NAME, pending.id, expect_current=current.id),
        lambda: other.retire(NAME, first.id),
        lambda: other.delete(NAME),
    )
    for call in calls:
        with pytest.raises(EnvironmentMismatchError, match="belongs to 'test', not to 'staging'"):
            call()
    assert {request.split(" ")[0] for request in key_vault.requests} == {"GET"}


# values in errors and logs


def test_the_sdk_logs_no_value_at_any_level(
    key_vault: FakeKeyVault, store: AzureStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="azure")
    value = canary()
    first = make_current(store, NAME, value)
    make_current(store, NAME, {"password": value})
    store.retire(NAME, first.id)
    store.delete(NAME)
    assert f"/secrets/{MAIN}?" in caplog.text
    assert value not in caplog.text


def test_no_error_and_no_traceback_with_its_variables_holds_a_value(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    value, other = canary(), canary()
    first = make_current(store, NAME, value)
    current = make_current(store, NAME, value)
    pending = store.stage(NAME, SecretValue(other), "next")
    key_vault.allow("reader", "getSecret", "readMetadata")
    reader = open_azure_store("reader")

    def outage() -> SecretVersion:
        key_vault.outage = True
        try:
            return open_azure_store(timeout="1s").stage(NAME, SecretValue(other), "x")
        finally:
            key_vault.outage = False

    calls: tuple[Callable[[], object], ...] = (
        lambda: store.stage(NAME, SecretValue(value), "next"),
        lambda: store.stage(NAME, SecretValue(value), "another"),
        lambda: store.promote(NAME, pending.id, expect_current=None),
        lambda: store.retire(NAME, current.id),
        lambda: reader.retire(NAME, first.id),
        lambda: reader.stage(SecretName("new"), SecretValue(other), "token"),
        lambda: reader.promote(NAME, pending.id, expect_current=current.id),
        outage,
    )
    for call in calls:
        with pytest.raises(VantageSecretsError) as caught:
            call()
        ours = [pair for pair in traceback.walk_tb(caught.tb) if "/stores/azure/" in pair[0].f_code.co_filename]
        shown = traceback.StackSummary.extract(iter(ours), capture_locals=True).format()
        said = [*shown, *words(caught.value)]
        assert len(shown) > 0
        assert not [text for text in said if value in text or other in text]
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

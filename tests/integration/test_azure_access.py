"""Who may do what in a key vault, and what is said when the vault refuses, is busy, away, or keeps what was deleted."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from azure.keyvault.secrets import SecretClient

from tests.canary import canary
from tests.servers.azure_credential import StaticCredential
from tests.servers.azure_key_vault import ALL_ACTIONS, FakeKeyVault
from tests.servers.certificate import Certificate
from vantage_secrets.errors import (
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    VantageSecretsError,
    VersionNotFoundError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.azure import AzureStore, open_azure
from vantage_secrets.stores.contract import Examination, Health
from vantage_secrets.testing.store_steps import make_current

pytest_plugins = ("tests.servers.azure",)

OpenStore = Callable[..., AzureStore]
NAME, OTHER = SecretName("vantage/api-key"), SecretName("vantage/other")
MAIN, PENDING = "vantage-api-key", "vantage-api-key--pending"
READER = ("getSecret", "readMetadata")
ROTATOR = ("getSecret", "readMetadata", "setSecret", "update")


@pytest.fixture
def store(open_azure_store: OpenStore) -> AzureStore:
    return open_azure_store()


def whole_rotation(store: AzureStore, name: SecretName = NAME) -> None:
    """Do everything that a rotation does with a store."""
    first = make_current(store, name, canary())
    second = make_current(store, name, canary())
    assert store.read(name, stage=Stage.PREVIOUS).version.id == first.id
    store.retire(name, first.id)
    store.retire(name, store.stage(name, SecretValue(canary()), "given up").id)
    assert store.describe(name)[-1].id == first.id
    assert store.read(name).version.id == second.id


# roles


def test_a_reader_of_one_value_needs_get_secret_and_nothing_else(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    value = canary()
    make_current(store, NAME, value)
    make_current(store, OTHER, canary())
    key_vault.allow("app", "getSecret", secret=MAIN)
    app = open_azure_store("app")
    assert app.read(NAME).value.matches(value)
    for call in (lambda: app.read(OTHER), lambda: app.describe(NAME), lambda: [*app.list()]):
        with pytest.raises(StoreAccessDeniedError):
            call()


def test_key_vault_secrets_user_reads_everything_and_writes_nothing(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    first = make_current(store, NAME, canary())
    make_current(store, NAME, canary())
    pending = store.stage(NAME, SecretValue(canary()), "next")
    key_vault.allow("reader", *READER)
    reader = open_azure_store("reader")
    assert [*reader.list()] == [NAME]
    assert {reader.read(NAME, stage=version.stage).version.id for version in reader.describe(NAME)} == {
        version.id for version in store.describe(NAME)
    }
    for needed, call in (
        ("setSecret/action' on 'vantage-other--pending'", lambda: reader.stage(OTHER, SecretValue("x"), "token")),
        ("update/action' on", lambda: reader.promote(NAME, pending.id, expect_current=store.read(NAME).version.id)),
        ("update/action' on 'vantage-api-key'", lambda: reader.retire(NAME, first.id)),
        ("secrets/delete' on", lambda: reader.delete(NAME)),
    ):
        with pytest.raises(StoreAccessDeniedError, match=needed):
            call()


def test_a_rotator_needs_four_actions_and_each_of_them(open_azure_store: OpenStore, key_vault: FakeKeyVault) -> None:
    key_vault.allow("rotator", *ROTATOR)
    whole_rotation(open_azure_store("rotator"))
    for missing in ROTATOR:
        key_vault.reset()
        key_vault.allow("rotator", *(action for action in ROTATOR if action != missing))
        with pytest.raises(StoreAccessDeniedError, match=f"secrets/{missing}/action"):
            whole_rotation(open_azure_store("rotator"))


def test_a_rotator_of_one_secret_needs_its_role_on_both_names(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    for place in (MAIN, PENDING):
        key_vault.allow("rotator", *ROTATOR, secret=place)
    rotator = open_azure_store("rotator")
    whole_rotation(rotator)
    with pytest.raises(StoreAccessDeniedError, match="'vantage-other--pending'"):
        rotator.stage(OTHER, SecretValue(canary()), "token")


def test_permission_that_is_refused_on_one_secret_leaves_the_others_alone(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    make_current(store, NAME, canary())
    make_current(store, OTHER, canary())
    for place in ("vantage-other", "vantage-other--pending"):
        key_vault.allow("limited", *ALL_ACTIONS, secret=place)
    limited = open_azure_store("limited")
    current = make_current(limited, OTHER, canary())
    assert limited.read(OTHER).version.id == current.id
    for call in (
        lambda: limited.read(NAME),
        lambda: limited.describe(NAME),
        lambda: limited.stage(NAME, SecretValue(canary()), "token"),
        lambda: limited.promote(NAME, "1", expect_current=None),
        lambda: limited.retire(NAME, "1"),
        lambda: limited.delete(NAME),
        lambda: [*limited.read_many([NAME, OTHER])],
    ):
        with pytest.raises(StoreAccessDeniedError, match=r"'vantage-api-key(--pending)?'"):
            call()


# deleting


@pytest.mark.parametrize("kept_because", ["purge protection is on", "this login may not purge"])
def test_a_deleted_secret_that_cannot_be_purged_is_gone_and_it_is_said_that_the_vault_keeps_it(
    store: AzureStore,
    open_azure_store: OpenStore,
    key_vault: FakeKeyVault,
    caplog: pytest.LogCaptureFixture,
    kept_because: str,
) -> None:
    make_current(store, NAME, canary())
    key_vault.purge_protection = kept_because == "purge protection is on"
    key_vault.allow("deleter", *(ALL_ACTIONS if key_vault.purge_protection else ALL_ACTIONS - {"purge"}))
    deleter = open_azure_store("deleter")
    assert [deleter.delete(NAME), deleter.delete(NAME)] == [True, False]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text for text in said if f"'{MAIN}' was deleted" in text and kept_because in text]
    assert [*deleter.list()] == []
    with pytest.raises(StoreError, match="gives its name to nobody") as caught:
        deleter.stage(NAME, SecretValue(canary()), "anew")
    assert f"az keyvault secret purge --name {PENDING}" in caught.value.hint
    assert [*key_vault.secrets] == []


def test_a_deletion_that_the_vault_does_in_the_background_is_waited_for(
    store: AzureStore, key_vault: FakeKeyVault
) -> None:
    make_current(store, NAME, canary())
    key_vault.slow_deletes = 3
    assert store.delete(NAME) is True
    assert (key_vault.secrets, key_vault.deleted) == ({}, {})
    assert make_current(store, NAME, canary()).stage is Stage.CURRENT


def test_a_deletion_that_takes_longer_than_a_call_may_is_busy_and_the_same_call_finishes_it(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    store = open_azure_store(timeout="1s")
    make_current(store, NAME, canary())
    key_vault.slow_deletes = 10**6
    with pytest.raises(StoreBusyError, match="still deleting"):
        store.delete(NAME)
    with pytest.raises(StoreBusyError, match="still deleting"):
        store.stage(NAME, SecretValue(canary()), "token")
    key_vault._under_way.clear()
    key_vault.slow_deletes = 0
    store.delete(NAME)
    assert (key_vault.secrets, key_vault.deleted) == ({}, {})


def test_what_someone_else_deleted_under_the_same_name_is_not_purged(
    store: AzureStore, azure_sdk: Callable[..., SecretClient], key_vault: FakeKeyVault
) -> None:
    azure_sdk().set_secret(MAIN, canary())
    azure_sdk().begin_delete_secret(MAIN).wait()
    assert store.delete(NAME) is False
    assert [*key_vault.deleted] == [MAIN]


# refused, busy, away


def test_a_login_that_expired_is_refused_with_the_way_to_log_in(store: AzureStore, key_vault: FakeKeyVault) -> None:
    make_current(store, NAME, canary())
    key_vault.expired.add("officer")
    for call in (lambda: store.read(NAME), lambda: store.describe(NAME), lambda: store.delete(NAME)):
        with pytest.raises(StoreAccessDeniedError, match="takes the login no more") as caught:
            call()
        assert "az login" in caught.value.hint
    key_vault.expired.clear()
    assert store.read(NAME).version.stage is Stage.CURRENT


@pytest.mark.parametrize("kind", [ClientAuthenticationError, CredentialUnavailableError])
def test_a_process_without_a_login_is_told_how_to_get_one(
    key_vault: FakeKeyVault, certificate: Certificate, kind: type[Exception]
) -> None:
    class NoLogin:
        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            raise kind("a reason that may hold anything")

    url, options = f"azure://127.0.0.1:{key_vault.port}", {"ca_file": str(certificate.ca_file)}
    with open_azure(url, environment="test", options=options, credential=NoLogin()) as store:
        with pytest.raises(StoreAccessDeniedError, match="No login to Azure could be had") as caught:
            store.read(NAME)
        assert "az login" in caught.value.hint
        assert "anything" not in caught.value.message


def test_throttling_is_waited_for_as_long_as_the_vault_says(store: AzureStore, key_vault: FakeKeyVault) -> None:
    make_current(store, NAME, canary())
    key_vault.throttled = 2
    key_vault.requests.clear()
    assert store.read(NAME).version.stage is Stage.CURRENT
    assert len(key_vault.requests) == 3


def test_throttling_for_longer_than_a_call_may_take_is_busy_at_once(store: AzureStore, key_vault: FakeKeyVault) -> None:
    make_current(store, NAME, canary())
    key_vault.throttled, key_vault.retry_after = 10, 3_600
    key_vault.requests.clear()
    with pytest.raises(StoreBusyError, match="429"):
        store.read(NAME)
    assert len(key_vault.requests) == 1


def test_a_vault_that_takes_the_request_and_never_answers_is_unavailable(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    store = open_azure_store(timeout="1s")
    make_current(store, NAME, canary())
    released = threading.Event()
    key_vault.before = lambda _request: released.wait()
    try:
        with pytest.raises(StoreUnavailableError, match="did not answer in time"):
            store.read(NAME)
    finally:
        released.set()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port where something takes connections and is no vault."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    taken, _ = server.accept()
                except OSError:
                    return
                taken.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_something_else_at_the_vaults_address_is_unavailable(open_azure_store: OpenStore, stranger: int) -> None:
    with pytest.raises(StoreUnavailableError):
        open_azure_store(address=f"127.0.0.1:{stranger}", timeout="1s").read(NAME)


def test_a_certificate_that_is_not_trusted_is_named_with_the_option(key_vault: FakeKeyVault) -> None:
    url = f"azure://127.0.0.1:{key_vault.port}"
    with open_azure(url, environment="test", options={"timeout": "1s"}, credential=StaticCredential()) as store:
        with pytest.raises(StoreUnavailableError, match="not trusted") as caught:
            store.read(NAME)
        assert "ca_file" in caught.value.hint


def test_a_server_that_asks_for_a_token_for_another_address_gets_none_unless_told_to(
    open_azure_store: OpenStore, key_vault: FakeKeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.keyvault.secrets._shared import http_challenge_cache

    http_challenge_cache.clear()
    monkeypatch.setattr(key_vault, "challenge_resource", "https://another.example")
    with pytest.raises(StoreAccessDeniedError, match="another address") as caught:
        open_azure_store().read(NAME)
    assert "verify_challenge_resource" in caught.value.hint
    store = open_azure_store(verify_challenge_resource="false")
    assert make_current(store, NAME, canary()).stage is Stage.CURRENT
    http_challenge_cache.clear()


# examining


def found(store: AzureStore) -> dict[str, Examination]:
    return {one.part: one for one in store.examine()}


def test_examining_tells_login_permissions_deletion_and_limits(store: AzureStore, key_vault: FakeKeyVault) -> None:
    make_current(store, NAME, canary())
    key_vault.requests.clear()
    parts = found(store)
    assert {part: one.health for part, one in parts.items()} == {
        "login and listing names": Health.WORKS,
        "permission to read": Health.WORKS,
        "permission to write": Health.WARNING,
        "deleting": Health.WORKS,
        "limits": Health.WORKS,
    }
    assert {request.split(" ")[0] for request in key_vault.requests} == {"GET"}
    key_vault.purge_protection = True
    assert found(store)["deleting"].health is Health.WARNING


def test_examining_with_a_login_that_may_list_only_says_what_is_missing(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    make_current(store, NAME, canary())
    key_vault.allow("lister", "readMetadata")
    reading = found(open_azure_store("lister"))["permission to read"]
    assert reading.health is Health.MISSING
    assert "getSecret/action" in reading.words
    assert reading.next_action


def test_examining_with_a_login_that_counts_no_more_ends_early(store: AzureStore, key_vault: FakeKeyVault) -> None:
    key_vault.expired.add("officer")
    parts = found(store)
    assert [one.health for one in parts.values()] == [Health.BROKEN]
    assert "az login" in parts["login and listing names"].next_action


def test_examining_warns_of_a_secret_under_the_name_that_must_be_free(
    store: AzureStore, azure_sdk: Callable[..., SecretClient]
) -> None:
    azure_sdk().set_secret("vantage-secrets--examination", "x")
    assert found(store)["permission to read"].health is Health.WARNING


def test_reading_many_raises_what_a_single_read_would_and_leaves_no_thread(
    store: AzureStore, open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    names = [SecretName(f"many/{index}") for index in range(3)]
    for name in names:
        make_current(store, name, canary())
    key_vault.allow("partial", "getSecret", secret="many-0")
    with pytest.raises(StoreAccessDeniedError):
        list(open_azure_store("partial").read_many(names))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("azure-reader")]


def test_a_secret_with_a_pending_version_only_has_no_current_one(store: AzureStore) -> None:
    store.stage(NAME, SecretValue(canary()), "token")
    with pytest.raises(VersionNotFoundError, match="has no current version"):
        store.read(NAME)
    store.close()
    with pytest.raises(VantageSecretsError, match="closed"):
        store.read(NAME)


def test_the_role_on_the_stores_page_is_what_a_rotation_needs(
    open_azure_store: OpenStore, key_vault: FakeKeyVault
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stores" / "azure.md").read_text("utf-8")
    role = json.loads(page.split("```json\n")[1].split("```")[0])
    actions = [
        action.removeprefix("Microsoft.KeyVault/vaults/secrets/").removesuffix("/action")
        for action in role["DataActions"]
    ]
    key_vault.allow("rotator", *actions)
    whole_rotation(open_azure_store("rotator"))
    assert sorted(actions) == sorted(ROTATOR)

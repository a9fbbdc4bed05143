"""Opening a store in Azure Key Vault, what the SDK's errors become, and that the SDK is loaded only when needed."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from tests.canary import canary
from tests.servers.azure_credential import StaticCredential
from vantage_secrets.errors import (
    InvalidInputError,
    InvalidURLError,
    MissingExtraError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    UnsupportedOperationError,
    VersionConflictError,
)
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.azure import AzureStore, open_azure
from vantage_secrets.stores.azure.answers import Action, Nothing
from vantage_secrets.stores.azure.encoding import digest_of, encoded, is_digest_of
from vantage_secrets.stores.azure.errors import explained
from vantage_secrets.stores.azure.opening import vault_url_in


def opened(url: str = "azure://vantage", **options: str) -> AzureStore:
    return open_azure(url, environment="test", options=options, credential=StaticCredential())


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("azure://vantage", "https://vantage.vault.azure.net"),
        ("azure://Vantage-2/", "https://Vantage-2.vault.azure.net"),
        ("azure://vantage.vault.azure.cn", "https://vantage.vault.azure.cn"),
        ("azure://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("azure://localhost:8443", "https://localhost:8443"),
    ],
)
def test_a_url_names_a_vault_or_a_host(url: str, place: str) -> None:
    assert vault_url_in(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "azure:",
        "azure://",
        "azure:vantage",
        "azure://a",
        "azure://1vault",
        "azure://v_ult",
        "azure://u:p@h",
        "vault://x",
    ],
)
def test_a_url_that_names_no_vault_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError):
        vault_url_in(url)


@pytest.mark.parametrize(
    "options",
    [
        {"vault_url": "http://vantage.vault.azure.net"},
        {"vault_url": "https://user:password@vantage.vault.azure.net"},
        {"vault_url": "https://vantage.vault.azure.net/secrets"},
        {"vault_url": "https://"},
        {"verify_challenge_resource": "no"},
        {"timeout": "soon"},
        {"timeout": "0s"},
        {"region": "westeurope"},
    ],
)
def test_an_option_that_cannot_be_used_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        opened(**options)


def test_a_store_says_where_it_is_as_it_was_opened_and_the_option_names_the_place() -> None:
    with opened(vault_url="https://vantage.privatelink.example/") as store:
        assert (store.url, repr(store)) == ("azure://vantage", "AzureStore('azure://vantage')")
        assert store._vault.url == "https://vantage.privatelink.example"


def test_without_a_credential_the_login_is_azure_identitys_default(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: made.append(1) or StaticCredential())
    open_azure("azure://vantage", environment="test", options={}).close()
    assert made == [1]


@pytest.mark.parametrize(
    ("missing", "package"),
    [("azure.keyvault.secrets", "azure-keyvault-secrets"), ("azure.identity", "azure-identity")],
)
def test_an_sdk_that_is_missing_is_named_with_the_command_that_installs_it(
    missing: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "vantage_secrets.stores.azure.vault", raising=False)
    with pytest.raises(MissingExtraError, match=f"'{package}' is not installed") as caught:
        open_azure("azure://vantage", environment="test", options={})
    assert caught.value.hint == "pip install 'vantage-secrets[azure]'"


def test_importing_the_store_loads_no_sdk() -> None:
    code = "import sys, vantage_secrets.stores.azure; print([name for name in sys.modules if name.startswith('azure')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_packed_names_are_refused_before_any_request() -> None:
    name = SecretName("vantage/config#api_key")
    with opened() as store:
        for call in (
            lambda: store.read(name),
            lambda: store.describe(name),
            lambda: store.stage(name, SecretValue("x"), "token"),
            lambda: store.promote(name, "1", expect_current=None),
            lambda: store.retire(name, "1"),
            lambda: store.delete(name),
        ):
            with pytest.raises(UnsupportedOperationError):
                call()


def test_a_digest_knows_its_value_and_no_other_and_an_altered_one_knows_none() -> None:
    value = canary()
    content, other = encoded(SecretValue(value)), encoded(SecretValue(value.encode()))
    digest = digest_of(content)
    assert is_digest_of(digest, content)
    assert digest_of(content) != digest
    assert not is_digest_of(digest, other)
    assert not is_digest_of("zz" + digest, content)
    assert not is_digest_of("", content)


# the SDK's errors


def answer(status: int, code: str = "", inner: str = "", text: str | None = None) -> HttpResponseError:
    body = {"error": {"code": code, "message": "words of the vault", "innererror": {"code": inner} if inner else None}}
    response: Any = SimpleNamespace(
        status_code=status, reason="", text=lambda: json.dumps(body) if text is None else text
    )
    return HttpResponseError(response=response)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer(400, "BadParameter"), InvalidInputError),
        (answer(401, "Unauthorized"), StoreAccessDeniedError),
        (answer(403, "Forbidden", "ForbiddenByRbac"), StoreAccessDeniedError),
        (answer(403, "Forbidden", "ForbiddenByFirewall"), StoreAccessDeniedError),
        (answer(403, text="<html>"), StoreAccessDeniedError),
        (answer(409, "Conflict"), VersionConflictError),
        (answer(429, "Throttled"), StoreBusyError),
        (answer(500), StoreUnavailableError),
        (answer(502, text="not JSON"), StoreUnavailableError),
        (answer(200, text="<html>a login page of some network</html>"), StoreUnavailableError),
        (ServiceRequestError("no route"), StoreUnavailableError),
        (ServiceResponseError("reset"), StoreUnavailableError),
        (ClientAuthenticationError("no login"), StoreAccessDeniedError),
        (ValueError("The challenge resource does not match"), StoreAccessDeniedError),
        (AzureError("something new"), StoreError),
    ],
    ids=str,
)
def test_each_error_of_the_sdk_becomes_one_of_ours_without_its_words(
    error: AzureError | ValueError, kind: type[Exception]
) -> None:
    found = explained(error, Action.WRITE, "vantage-api-key")
    assert isinstance(found, kind)
    assert str(error) not in str(found)
    assert "words of the vault" not in str(found)
    assert found.__cause__ is None


@pytest.mark.parametrize(
    ("error", "nothing"),
    [
        (answer(404, "SecretNotFound"), Nothing.ABSENT),
        (answer(403, "Forbidden", "SecretDisabled"), Nothing.DISABLED),
        (answer(409, "Conflict", "ObjectIsDeletedButRecoverable"), Nothing.DELETED),
        (answer(409, "Conflict", "ObjectIsBeingDeleted"), Nothing.UNDER_WAY),
        (answer(409, "Conflict", "ObjectIsBeingRecovered"), Nothing.UNDER_WAY),
    ],
    ids=str,
)
def test_answers_that_are_no_errors_are_told_apart(error: HttpResponseError, nothing: Nothing) -> None:
    assert explained(error, Action.READ, "vantage-api-key") is nothing


def test_a_refusal_names_the_action_the_secret_and_for_a_firewall_the_network() -> None:
    refused = explained(answer(403, "Forbidden", "ForbiddenByRbac"), Action.WRITE, "vantage-api-key")
    assert "'Microsoft.KeyVault/vaults/secrets/setSecret/action' on 'vantage-api-key'" in str(refused)
    assert "on the vault" in str(explained(answer(403), Action.LOOK, ""))
    assert "firewall" in str(explained(answer(403, "Forbidden", "ForbiddenByFirewall"), Action.READ, "x"))

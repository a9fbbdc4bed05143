"""The fake of Azure Key Vault answers the vendor's unmodified SDK as the vendor's documentation says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.keyvault.secrets import SecretClient

from tests.canary import canary
from tests.servers.azure_credential import StaticCredential
from tests.servers.azure_key_vault import FakeKeyVault
from tests.servers.certificate import Certificate

pytest_plugins = ("tests.servers.azure",)

MakeClient = Callable[..., SecretClient]


@pytest.fixture
def client(azure_sdk: MakeClient) -> SecretClient:
    return azure_sdk(retry_total=0)


def codes(error: HttpResponseError) -> tuple[int | None, str | None, str | None]:
    """Return status, code and inner code, as the SDK parsed them."""
    assert error.error is not None
    return error.status_code, error.error.code, (error.error.innererror or {}).get("code")


def refused(call: Callable[[], object], kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def test_a_secret_that_is_set_is_read_with_tags_type_and_times(client: SecretClient) -> None:
    value = canary()
    made = client.set_secret("api-key", value, tags={"a": "1"}, content_type="text/plain")
    found = client.get_secret("api-key")
    assert found.value == value
    assert (found.properties.tags, found.properties.content_type) == ({"a": "1"}, "text/plain")
    assert found.properties.version == made.properties.version
    assert len(str(found.properties.version)) == 32
    assert found.properties.created_on == found.properties.updated_on
    assert found.properties.created_on.microsecond == 0
    assert abs(found.properties.created_on - datetime.now(UTC)) < timedelta(minutes=1)
    assert found.properties.enabled is True
    assert found.properties.recovery_level == "Recoverable+Purgeable"


def test_the_first_request_comes_without_login_and_body_and_is_challenged(
    client: SecretClient,
    key_vault: FakeKeyVault,
) -> None:
    from azure.keyvault.secrets._shared import http_challenge_cache

    http_challenge_cache.clear()
    client.set_secret("api-key", canary())
    assert key_vault.requests == ["PUT /secrets/api-key"] * 2
    client.get_secret("api-key")
    assert key_vault.requests[2:] == ["GET /secrets/api-key/"]


def test_each_write_makes_a_version_that_is_the_newest_at_once_and_the_older_stay(client: SecretClient) -> None:
    values = [canary() for _ in range(3)]
    made = [client.set_secret("api-key", value).properties.version for value in values]
    assert client.get_secret("api-key").value == values[-1]
    assert [client.get_secret("api-key", version).value for version in made] == values


def test_versions_come_in_pages_of_25_in_the_order_of_their_ids(
    client: SecretClient,
    key_vault: FakeKeyVault,
) -> None:
    made = [client.set_secret("api-key", "x").properties.version for _ in range(60)]
    key_vault.requests.clear()
    listed = [found.version for found in client.list_properties_of_secret_versions("api-key")]
    assert listed == sorted(str(version) for version in made)
    assert len(key_vault.requests) == 3
    times = {found.created_on for found in client.list_properties_of_secret_versions("api-key")}
    assert len(times) < len(made)


def test_a_name_that_is_not_there_has_no_versions_and_is_not_found(client: SecretClient) -> None:
    assert [*client.list_properties_of_secret_versions("absent")] == []
    error = refused(lambda: client.get_secret("absent"), ResourceNotFoundError)
    assert codes(error) == (404, "SecretNotFound", None)
    client.set_secret("there", "x")
    assert codes(refused(lambda: client.get_secret("there", "0" * 32), ResourceNotFoundError))[1] == "SecretNotFound"


def test_secrets_are_listed_in_pages_with_the_tags_of_their_newest_versions_and_without_values(
    client: SecretClient,
    key_vault: FakeKeyVault,
) -> None:
    for index in range(30):
        client.set_secret(f"s-{index:02}", "x", tags={"n": str(index)})
    client.set_secret("s-00", "x", tags={"n": "newest"}, enabled=False)
    key_vault.requests.clear()
    found = [*client.list_properties_of_secrets()]
    assert [one.name for one in found] == [f"s-{index:02}" for index in range(30)]
    assert [(one.tags, one.enabled, one.version) for one in found[:2]] == [
        ({"n": "newest"}, False, None),
        ({"n": "1"}, True, None),
    ]
    assert len(key_vault.requests) == 2


def test_a_newest_version_that_is_disabled_is_refused_and_no_older_one_is_served(client: SecretClient) -> None:
    old = client.set_secret("api-key", canary())
    client.set_secret("api-key", canary(), enabled=False)
    error = refused(lambda: client.get_secret("api-key"))
    assert codes(error) == (403, "Forbidden", "SecretDisabled")
    assert client.get_secret("api-key", old.properties.version).value == old.value


def test_a_version_can_be_disabled_and_tags_that_are_sent_replace_all(client: SecretClient) -> None:
    made = client.set_secret("api-key", canary(), tags={"a": "1", "b": "2"}, content_type="text/plain")
    version = made.properties.version
    changed = client.update_secret_properties("api-key", version, enabled=False)
    assert (changed.tags, changed.enabled) == ({"a": "1", "b": "2"}, False)
    changed = client.update_secret_properties("api-key", version, tags={"c": "3"})
    assert (changed.tags, changed.enabled, changed.content_type) == ({"c": "3"}, False, "text/plain")
    assert codes(refused(lambda: client.get_secret("api-key", version)))[2] == "SecretDisabled"


def test_not_before_and_expiry_hinder_no_read(client: SecretClient) -> None:
    value, now = canary(), datetime.now(UTC)
    client.set_secret("api-key", value, not_before=now + timedelta(days=1), expires_on=now - timedelta(days=1))
    assert client.get_secret("api-key").value == value


def test_names_are_case_insensitive_and_take_letters_digits_and_hyphens_only(client: SecretClient) -> None:
    value = canary()
    client.set_secret("Api-Key", value)
    assert client.get_secret("aPI-kEY").value == value
    for name in ("api_key", "api.key", "a" * 128):
        error = refused(lambda name=name: client.set_secret(name, "x"))
        assert codes(error)[:2] == (400, "BadParameter")


def test_values_over_25_600_bytes_and_tags_beyond_the_limits_are_refused(client: SecretClient) -> None:
    client.set_secret("api-key", "x" * 25_600, tags={"k" * 256: "v" * 256} | {str(index): "" for index in range(14)})
    for wrong in (
        {"value": "x" * 25_601},
        {"value": "x", "tags": {str(index): "" for index in range(16)}},
        {"value": "x", "tags": {"k": "v" * 257}},
        {"value": "x", "tags": {"k" * 257: "v"}},
    ):
        assert codes(refused(lambda wrong=wrong: client.set_secret("api-key", **wrong)))[:2] == (400, "BadParameter")


def test_a_deleted_secret_is_gone_its_name_is_taken_and_it_can_be_recovered(client: SecretClient) -> None:
    value = canary()
    client.set_secret("api-key", value)
    deleted = client.begin_delete_secret("api-key").result()
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
    refused(lambda: client.get_secret("api-key"), ResourceNotFoundError)
    refused(lambda: client.begin_delete_secret("api-key"), ResourceNotFoundError)
    assert [*client.list_properties_of_secrets()] == []
    assert [found.name for found in client.list_deleted_secrets()] == ["api-key"]
    error = refused(lambda: client.set_secret("api-key", "x"), ResourceExistsError)
    assert codes(error) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    client.begin_recover_deleted_secret("api-key").wait()
    assert client.get_secret("api-key").value == value


def test_a_purged_secret_is_gone_for_good_and_its_name_is_free(client: SecretClient) -> None:
    client.set_secret("api-key", canary())
    client.begin_delete_secret("api-key").wait()
    client.purge_deleted_secret("api-key")
    refused(lambda: client.get_deleted_secret("api-key"), ResourceNotFoundError)
    refused(lambda: client.begin_recover_deleted_secret("api-key"), ResourceNotFoundError)
    client.set_secret("api-key", "x")
    assert len([*client.list_properties_of_secret_versions("api-key")]) == 1


def test_purge_protection_lets_nobody_purge_and_shows_in_the_recovery_level(
    client: SecretClient,
    key_vault: FakeKeyVault,
) -> None:
    key_vault.purge_protection = True
    assert client.set_secret("api-key", canary()).properties.recovery_level == "Recoverable"
    client.begin_delete_secret("api-key").wait()
    assert codes(refused(lambda: client.purge_deleted_secret("api-key")))[:2] == (403, "Forbidden")


def test_a_deletion_that_is_under_way_shows_as_404_and_409(client: SecretClient, key_vault: FakeKeyVault) -> None:
    key_vault.slow_deletes = 2
    client.set_secret("api-key", canary())
    client.begin_delete_secret("api-key")
    refused(lambda: client.get_deleted_secret("api-key"), ResourceNotFoundError)
    error = refused(lambda: client.set_secret("api-key", "x"), ResourceExistsError)
    assert codes(error)[2] == "ObjectIsBeingDeleted"
    assert client.get_deleted_secret("api-key").name == "api-key"


def test_permissions_count_for_the_vault_or_for_one_secret(azure_sdk: MakeClient, key_vault: FakeKeyVault) -> None:
    azure_sdk().set_secret("ours", "x")
    azure_sdk().set_secret("theirs", "x")
    key_vault.allow("reader", "getSecret", secret="OURS")
    reader = azure_sdk("reader")
    assert reader.get_secret("ours").value == "x"
    for call in (
        lambda: reader.get_secret("theirs"),
        lambda: reader.set_secret("ours", "y"),
        lambda: reader.update_secret_properties("ours", enabled=False),
        lambda: reader.begin_delete_secret("ours"),
        lambda: [*reader.list_properties_of_secret_versions("ours")],
        lambda: [*reader.list_properties_of_secrets()],
    ):
        assert codes(refused(call)) == (403, "Forbidden", "ForbiddenByRbac")
    key_vault.allow("reader", "getSecret")
    assert reader.get_secret("theirs").value == "x"


def test_a_login_that_expired_is_unauthorized(azure_sdk: MakeClient, key_vault: FakeKeyVault) -> None:
    client = azure_sdk(retry_total=0)
    client.set_secret("api-key", "x")
    key_vault.expired.add("officer")
    error = refused(lambda: client.get_secret("api-key"), ClientAuthenticationError)
    assert codes(error)[:2] == (401, "Unauthorized")


def test_throttling_says_429_and_when_to_come_back(client: SecretClient, key_vault: FakeKeyVault) -> None:
    client.set_secret("api-key", "x")
    key_vault.throttled = 1
    key_vault.retry_after = 7
    error = refused(lambda: client.get_secret("api-key", retry_total=0))
    assert error.status_code == 429
    assert error.response is not None
    assert error.response.headers["Retry-After"] == "7"
    assert client.get_secret("api-key").value == "x"


def test_an_outage_answers_503_until_it_ends(client: SecretClient, key_vault: FakeKeyVault) -> None:
    client.set_secret("api-key", "x")
    key_vault.outage = True
    assert refused(lambda: client.get_secret("api-key")).status_code == 503
    key_vault.outage = False
    assert client.get_secret("api-key").value == "x"


def test_the_certificate_is_checked_and_found_through_the_environment(
    key_vault: FakeKeyVault,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with SecretClient(key_vault.url, StaticCredential(), retry_total=0) as client:
        with pytest.raises(ServiceRequestError):
            client.set_secret("api-key", "x")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.ca_file))
        assert client.set_secret("api-key", "x").value == "x"

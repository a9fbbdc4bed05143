"""Opening a store at Google: URLs, options, logins, outages, and what a doctor sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import credentials as google_credentials
from google.auth.exceptions import RefreshError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.oauth2.credentials import Credentials
from grpc import StatusCode

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.google_clients import NAME, change, full_name, make_current, open_as, open_at, secret_id
from tests.servers.google_secret_manager import PROJECT, FakeSecretManager
from vantage_secrets.errors import (
    InvalidInputError,
    InvalidURLError,
    MissingExtraError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreUnavailableError,
    UnsupportedOperationError,
)
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.contract import Health
from vantage_secrets.stores.gcp import GoogleStore, open_gcp
from vantage_secrets.stores.gcp.opening import default_credentials

pytest_plugins = ("tests.servers.google_fixtures",)

MEMBER = "user:worker@example.com"
KEY = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
LOOPBACK = "127.0.0.1:1"


def opened(url: str = f"gcp://{PROJECT}", **options: str) -> GoogleStore:
    return open_gcp(url, environment="test", options={"endpoint": LOOPBACK, **options})


# URLs and options


@pytest.mark.parametrize(
    "url",
    [
        *("gcp:", "gcp://", "gcp://UPPER", "gcp:///x", "gcp://user@vantage-test", "aws://vantage-test"),
        *("gcp://vantage-test/", "gcp://vantage-test/-a", "gcp://vantage-test/a/b", f"gcp://vantage-test/{'a' * 101}"),
    ],
)
def test_a_url_that_names_no_project_or_no_prefix_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError):
        opened(url)


def test_the_url_of_a_store_is_the_one_that_opens_it() -> None:
    for url in ("gcp://vantage-test", "gcp://731402665918/team_a-1"):
        with opened(url) as store:
            assert store.url == url
            assert repr(store) == f"GoogleStore('{url}')"


@pytest.mark.parametrize(
    "options",
    [
        {"region": "x"},
        {"endpoint": "https://example.com"},
        {"endpoint": "example.com"},
        {"timeout": "0s"},
        {"timeout": "soon"},
        {"location": "Europe"},
        {"location": "europe-west3", "replication": "automatic"},
        {"replication": "user-managed"},
        {"replication": "user-managed:a,,b"},
        {"replication": "automatic:a"},
        {"replication": "manual:a"},
        {"kms_key": "k"},
        {"kms_key": KEY, "replication": "user-managed:europe-west3,europe-west1"},
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_can(options: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        opened(**options)
    assert caught.value.hint.startswith(("Use ", "Write ", "Leave ", "Name "))


def test_new_secrets_are_replicated_and_encrypted_as_the_options_say(
    google: FakeSecretManager, owner: SecretManagerServiceClient
) -> None:
    options = {"replication": "user-managed:europe-west3", "kms_key": KEY}
    with open_at(google.address, **options) as store:
        make_current(store, canary())
    for suffix in ("", "--pending"):
        replica = owner.get_secret(name=full_name(NAME) + suffix).replication.user_managed.replicas[0]
        assert (replica.location, replica.customer_managed_encryption.kms_key_name) == ("europe-west3", KEY)


def test_regional_secrets_live_in_their_location_with_their_key(
    google: FakeSecretManager, owner: SecretManagerServiceClient
) -> None:
    value = canary()
    with open_at(google.address, location="europe-west3", kms_key=KEY) as store:
        make_current(store, value)
        assert store.read(NAME).value.matches(value)
    secret = owner.get_secret(name=f"projects/{PROJECT}/locations/europe-west3/secrets/{secret_id(NAME)}")
    assert secret.customer_managed_encryption.kms_key_name == KEY
    with open_at(google.address) as store:
        assert [*store.list()] == []


def test_a_packed_secret_is_refused_before_anything_is_sent(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    name = SecretName("vantage/config#api_key")
    calls: tuple[Callable[[], object], ...] = (
        lambda: google_store.read(name),
        lambda: google_store.describe(name),
        lambda: google_store.stage(name, SecretValue(canary()), "token"),
        lambda: google_store.promote(name, "1", expect_current=None),
        lambda: google_store.retire(name, "1"),
        lambda: google_store.delete(name),
    )
    for call in calls:
        with pytest.raises(UnsupportedOperationError):
            call()
    assert not google.calls


# the SDK


def test_importing_the_store_imports_no_sdk() -> None:
    program = "import sys, vantage_secrets.stores.gcp; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {module.partition(".")[0] for module in done.stdout.split()} & {"google", "grpc", "google_crc32c"} == set()


@pytest.mark.parametrize(
    ("module", "package"),
    [("google.cloud.secretmanager_v1", "google-cloud-secret-manager"), ("google_crc32c", "google-crc32c")],
)
def test_a_package_that_is_missing_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"'{package}'") as caught:
        opened()
    assert caught.value.hint == "pip install 'vantage-secrets[gcp]'"


# logins


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody is logged in, and which is none of Google's."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The key of a service account, made for this test."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "key-CLEAR.json"
    about = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "worker@example.com",
        "token_uri": "https://127.0.0.1:1/token",
    }
    path.write_text(json.dumps(about))
    return path


def test_a_service_account_s_key_signs_its_own_tokens(
    google: FakeSecretManager, google_store: GoogleStore, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = canary()
    make_current(google_store, value)
    google.grant("serviceAccount:worker@example.com", "roles/secretmanager.secretAccessor", secret_id(NAME))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    with open_as(google.address, default_credentials()) as store:
        assert store.read(NAME).value.matches(value)
        with pytest.raises(StoreAccessDeniedError):
            store.describe(NAME)


@pytest.mark.usefixtures("no_login")
def test_without_any_login_the_store_says_how_to_log_in() -> None:
    with pytest.raises(StoreAccessDeniedError) as caught:
        open_gcp(f"gcp://{PROJECT}", environment="test", options={})
    assert "gcloud auth application-default login" in caught.value.hint


@pytest.mark.usefixtures("no_login")
def test_a_loopback_endpoint_is_sent_no_login(google: FakeSecretManager, key_file: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    with open_at(google.address) as store:
        make_current(store, canary())  # As the owner: the account of the key may do nothing.


def test_a_login_that_expired_is_a_refusal_with_the_way_out(google: FakeSecretManager) -> None:
    google.expired.add(MEMBER)
    with open_as(google.address, Credentials(MEMBER)) as store:
        for call in (store.read, store.describe):
            with pytest.raises(StoreAccessDeniedError, match="does not accept the login") as caught:
                call(NAME)
            assert "gcloud auth application-default login" in caught.value.hint


class _Expired(google_credentials.Credentials):
    """A login that cannot be renewed."""

    def __init__(self, *, retryable: bool) -> None:
        super().__init__()
        self._retryable = retryable

    def refresh(self, request: object) -> None:
        raise RefreshError("invalid_grant: Token has been expired or revoked.", retryable=self._retryable)


def test_a_login_that_cannot_be_renewed_is_a_refusal_and_one_that_can_be_later_an_outage(
    google: FakeSecretManager,
) -> None:
    for retryable, kind in ((False, StoreAccessDeniedError), (True, StoreUnavailableError)):
        with open_as(google.address, _Expired(retryable=retryable), timeout=1.0) as store, pytest.raises(kind):
            store.read(NAME)


# outages


def test_a_quota_that_is_used_up_for_a_moment_is_waited_for(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    value = canary()
    for method in ("GetSecret", "CreateSecret", "AddSecretVersion", "UpdateSecret", "ListSecretVersions"):
        google.throttled[method] = 2
    google.throttled["AccessSecretVersion"] = 2
    make_current(google_store, value)
    assert google_store.read(NAME).value.matches(value)


@pytest.fixture
def hasty(google: FakeSecretManager) -> Iterator[GoogleStore]:
    """A store that waits half a second for each call."""
    with open_as(google.address, None, timeout=0.5) as store:
        yield store


def test_a_quota_that_stays_used_up_is_said_to_be(
    google: FakeSecretManager, google_store: GoogleStore, hasty: GoogleStore
) -> None:
    make_current(google_store, canary())
    for method in ("AccessSecretVersion", "GetSecret"):
        google.throttled[method] = 1_000
    for call in (hasty.read, hasty.describe):
        with pytest.raises(StoreBusyError, match="quota is used up"):
            call(NAME)


def test_a_value_is_read_while_the_quota_for_metadata_is_used_up(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    value = canary()
    make_current(google_store, value)
    with open_at(google.address) as store:
        google.throttled["GetSecret"] = 1
        reading = store.read(NAME)
        assert (reading.value.matches(value), reading.version.id) == (True, "google-1")
        assert google.calls["GetSecret"] >= 1


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DEADLINE_EXCEEDED])
def test_an_outage_is_an_outage_whatever_code_it_has(
    google: FakeSecretManager, hasty: GoogleStore, code: StatusCode
) -> None:
    google.outage = code
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        hasty.read(NAME)
    assert not isinstance(caught.value, StoreBusyError)


def test_a_server_that_is_too_slow_is_given_up(google: FakeSecretManager, hasty: GoogleStore) -> None:
    google.latency = 5.0
    with pytest.raises(StoreUnavailableError, match="DEADLINE_EXCEEDED"):
        hasty.read(NAME)


def test_a_store_that_was_away_is_found_again(google: FakeSecretManager, google_proxy: CuttingProxy) -> None:
    value = canary()
    with open_at(google_proxy.address) as store:
        make_current(store, value)
        with google_proxy.refusing(), open_as(google_proxy.address, None, timeout=0.5) as hasty:
            for call in (hasty.read, hasty.describe):
                with pytest.raises(StoreUnavailableError):
                    call(NAME)
        assert store.read(NAME).value.matches(value)


def test_what_google_refuses_for_a_key_or_a_policy_is_no_conflict(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    google.outage = StatusCode.FAILED_PRECONDITION
    with pytest.raises(StoreUnavailableError, match="as things stand") as caught:
        google_store.stage(NAME, SecretValue(canary()), "token")
    assert "Cloud KMS" in caught.value.hint


# examine


def found(store: GoogleStore) -> dict[str, Any]:
    return {one.part: one for one in store.examine()}


def test_a_store_where_all_is_well_is_said_to_work(google_store: GoogleStore) -> None:
    make_current(google_store, canary())
    parts = found(google_store)
    assert {part: one.health for part, one in parts.items() if one.health is not Health.WORKS} == {
        "connection": Health.WARNING  # It is a loopback address.
    }
    assert f"newest version of {secret_id(NAME)}" in parts


def test_permissions_that_are_missing_are_named_with_the_command(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    make_current(google_store, canary())
    google.grant(MEMBER, "roles/secretmanager.viewer")
    part = f"permissions on {secret_id(NAME)}"
    with open_as(google.address, Credentials(MEMBER)) as store:
        one = found(store)[part]
        assert (one.health, "secretmanager.versions.access" in one.words) == (Health.MISSING, True)
        assert "cannot be read" in one.words
        google.grant(MEMBER, "roles/secretmanager.secretAccessor")
        one = found(store)[part]
        assert one.words.startswith("It can be read, and not rotated: this login lacks secretmanager.secrets.update")
        assert one.next_action.startswith(f"gcloud secrets add-iam-policy-binding {secret_id(NAME)}")


def test_whoever_may_not_list_hears_so_and_nothing_more(google: FakeSecretManager) -> None:
    with open_as(google.address, Credentials(MEMBER)) as store:
        parts = found(store)
    assert parts["listing names"].health is Health.BROKEN
    assert "secretmanager.secrets.list" in parts["listing names"].words
    assert [*parts] == ["connection", "listing names"]


def test_a_newest_version_that_plain_readers_cannot_read_is_broken(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    make_current(google_store, canary())
    part = f"newest version of {secret_id(NAME)}"
    owner.disable_secret_version(name=f"{full_name(NAME)}/versions/1")
    assert found(google_store)[part].next_action == f"gcloud secrets versions enable 1 --secret={secret_id(NAME)}"
    owner.destroy_secret_version(name=f"{full_name(NAME)}/versions/1")
    assert "Rotate the secret" in found(google_store)[part].next_action
    owner.add_secret_version(parent=full_name(NAME), payload={"data": canary().encode()})
    assert (
        found(google_store)[part].health,
        "plain readers read another value" in found(google_store)[part].words,
    ) == (
        Health.WARNING,
        True,
    )


def test_settings_that_will_hurt_some_day_are_told(
    google: FakeSecretManager, google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    make_current(google_store, canary())
    change(owner, "version_destroy_ttl", timedelta(days=1))
    change(owner, "ttl", timedelta(days=30))
    settings = [one for one in google_store.examine() if one.part == "settings"]
    assert [one.next_action.rpartition(" ")[2] for one in settings] == [
        "--remove-expiration",
        "--remove-version-destroy-ttl",
    ]
    with open_at(google.address, environment="production") as other:
        assert "belong to test" in found(other)["environment"].words


def test_more_secrets_than_the_quota_allows_to_ask_for_in_a_minute_are_a_warning(
    google_store: GoogleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_current(google_store, canary())
    monkeypatch.setattr("vantage_secrets.stores.gcp.examining.METADATA_PER_MINUTE", 0)
    assert found(google_store)["metadata quota"].health is Health.WARNING

"""The fake of Google Secret Manager keeps the semantics of the service, as the vendor's bare SDK sees them."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.types import SecretVersion
from google.iam.v1 import policy_pb2
from grpc import StatusCode

from tests.canary import canary
from tests.servers.google_clients import AUTOMATIC, plain_client
from tests.servers.google_secret_manager import PROJECT, PROJECT_NUMBER, FakeSecretManager

pytest_plugins = ("tests.servers.google_fixtures",)

PARENT = f"projects/{PROJECT}"
NAME = f"{PARENT}/secrets/api-key"
READER = "user:reader@example.com"


@pytest.fixture
def secret(owner: SecretManagerServiceClient) -> Any:
    return owner.create_secret(parent=PARENT, secret_id="api-key", secret={**AUTOMATIC, "labels": {"team": "a"}})


def add(owner: SecretManagerServiceClient, text: str, name: str = NAME) -> SecretVersion:
    data = text.encode()
    payload = {"data": data, "data_crc32c": google_crc32c.value(data)}
    return owner.add_secret_version(parent=name, payload=payload)


def read(client: SecretManagerServiceClient, version: str, name: str = NAME) -> str:
    return client.access_secret_version(name=f"{name}/versions/{version}").payload.data.decode()


def update(client: SecretManagerServiceClient, path: str, value: Any, etag: str = "") -> Any:
    changed = {"name": NAME, "etag": etag, path: value}
    return client.update_secret(secret=changed, update_mask={"paths": [path]})


# secrets


def test_names_that_are_answered_have_the_number_of_the_project(secret: Any) -> None:
    assert secret.name == f"projects/{PROJECT_NUMBER}/secrets/api-key"


def test_a_secret_that_exists_is_not_made_again(owner: SecretManagerServiceClient, secret: Any) -> None:
    with pytest.raises(exceptions.AlreadyExists):
        owner.create_secret(parent=PARENT, secret_id="api-key", secret=AUTOMATIC)


@pytest.mark.parametrize("secret_id", ["a.b", "a/b", "a" * 256, ""])
def test_ids_have_letters_digits_hyphens_and_underscores(owner: SecretManagerServiceClient, secret_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        owner.create_secret(parent=PARENT, secret_id=secret_id, secret=AUTOMATIC)


def test_a_global_secret_needs_a_replication_and_a_regional_one_takes_none(owner: SecretManagerServiceClient) -> None:
    regional = f"{PARENT}/locations/europe-west3"
    with pytest.raises(exceptions.InvalidArgument):
        owner.create_secret(parent=PARENT, secret_id="x", secret={})
    with pytest.raises(exceptions.InvalidArgument):
        owner.create_secret(parent=regional, secret_id="x", secret=AUTOMATIC)
    made = owner.create_secret(parent=regional, secret_id="x", secret={})
    assert made.name == f"projects/{PROJECT_NUMBER}/locations/europe-west3/secrets/x"
    with pytest.raises(exceptions.NotFound):
        owner.get_secret(name=f"{PARENT}/secrets/x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("labels", {"Team": "a"}),
        ("labels", {"team": "A"}),
        ("labels", {f"l{n}": "" for n in range(65)}),
        ("annotations", {"-a": ""}),
        ("annotations", {"a": "x" * (16 << 10)}),
        ("version_aliases", {"latest": 1}),
        ("version_aliases", {"1st": 1}),
        ("version_aliases", {f"a{n}": 1 for n in range(51)}),
        ("version_aliases", {"current": 2}),
        ("replication", {"automatic": {}}),
    ],
)
def test_what_a_secret_cannot_have_is_refused(
    owner: SecretManagerServiceClient, secret: Any, path: str, value: Any
) -> None:
    add(owner, canary())
    with pytest.raises(exceptions.InvalidArgument):
        update(owner, path, value)


def test_annotations_of_just_under_16_kib_and_50_aliases_are_taken(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    add(owner, canary())
    update(owner, "annotations", {"a": "x" * ((16 << 10) - 2)})
    assert len(update(owner, "version_aliases", {f"a{n}": 1 for n in range(50)}).version_aliases) == 50


def test_an_update_replaces_what_its_mask_names_and_nothing_else(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    update(owner, "annotations", {"a": "1", "b": "2"})
    changed = update(owner, "annotations", {"b": "3"})
    assert dict(changed.annotations) == {"b": "3"}
    assert dict(changed.labels) == {"team": "a"}


@pytest.mark.parametrize("code", [StatusCode.FAILED_PRECONDITION, StatusCode.ABORTED])
def test_an_etag_that_is_not_the_current_one_is_refused(
    google: FakeSecretManager, owner: SecretManagerServiceClient, secret: Any, code: StatusCode
) -> None:
    google.etag_code = code
    changed = update(owner, "annotations", {"a": "1"}, secret.etag)
    assert changed.etag != secret.etag
    with pytest.raises(exceptions.from_grpc_status(code, "").__class__):
        update(owner, "annotations", {"a": "2"}, secret.etag)
    with pytest.raises(exceptions.from_grpc_status(code, "").__class__):
        owner.delete_secret(request={"name": NAME, "etag": secret.etag})
    assert dict(owner.get_secret(name=NAME).annotations) == {"a": "1"}


def test_adding_and_changing_versions_leaves_the_secrets_etag(owner: SecretManagerServiceClient, secret: Any) -> None:
    version = add(owner, canary())
    disabled = owner.disable_secret_version(name=version.name)
    assert disabled.etag != version.etag
    assert owner.get_secret(name=NAME).etag == secret.etag


def test_of_eight_writers_with_one_etag_one_wins(owner: SecretManagerServiceClient, secret: Any) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def write(index: int) -> None:
        start.wait()
        try:
            update(owner, "annotations", {"by": str(index)}, secret.etag)
            outcomes.append("won")
        except exceptions.FailedPrecondition:
            outcomes.append("lost")

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]


def test_a_secret_is_gone_when_its_time_to_live_is_over(owner: SecretManagerServiceClient) -> None:
    made = owner.create_secret(parent=PARENT, secret_id="brief", secret={**AUTOMATIC, "ttl": timedelta(seconds=60)})
    assert made.expire_time - made.create_time == timedelta(seconds=60)
    owner.update_secret(
        secret={"name": made.name, "expire_time": made.create_time}, update_mask={"paths": ["expire_time"]}
    )
    with pytest.raises(exceptions.NotFound):
        owner.get_secret(name=made.name)


def test_a_deleted_secret_is_gone_and_its_numbers_begin_anew(owner: SecretManagerServiceClient, secret: Any) -> None:
    add(owner, canary())
    owner.delete_secret(name=NAME)
    with pytest.raises(exceptions.NotFound):
        read(owner, "latest")
    with pytest.raises(exceptions.NotFound):
        owner.delete_secret(name=NAME)
    owner.create_secret(parent=PARENT, secret_id="api-key", secret=AUTOMATIC)
    assert add(owner, canary()).name.endswith("/versions/1")


# lists


def test_secrets_are_listed_newest_first_page_by_page(owner: SecretManagerServiceClient) -> None:
    for index in range(5):
        owner.create_secret(parent=PARENT, secret_id=f"s{index}", secret=AUTOMATIC)
    pages = [*owner.list_secrets(request={"parent": PARENT, "page_size": 2}).pages]
    found = [[one.name.rpartition("/")[2] for one in page.secrets] for page in pages]
    assert found == [["s4", "s3"], ["s2", "s1"], ["s0"]]
    assert pages[0].total_size == 5


def test_a_filter_knows_labels_names_and_states(owner: SecretManagerServiceClient, secret: Any) -> None:
    owner.create_secret(parent=PARENT, secret_id="other", secret={**AUTOMATIC, "labels": {"team": "b"}})

    def found(wanted: str) -> list[str]:
        pages = owner.list_secrets(request={"parent": PARENT, "filter": wanted})
        return [one.name.rpartition("/")[2] for one in pages]

    assert found("labels.team=a") == ["api-key"]
    assert found("labels.team:b AND name:oth") == ["other"]
    assert found("labels.team=c") == []
    with pytest.raises(exceptions.InvalidArgument):
        found("name ~ x")
    first, _second = add(owner, canary()), add(owner, canary())
    owner.disable_secret_version(name=first.name)
    enabled = owner.list_secret_versions(request={"parent": NAME, "filter": "state:ENABLED"})
    assert [one.name.rpartition("/")[2] for one in enabled] == ["2"]


# versions


def test_latest_and_aliases_lead_to_versions_and_the_answer_has_the_number(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    first, second = canary(), canary()
    add(owner, first)
    add(owner, second)
    update(owner, "version_aliases", {"current": 1})
    assert (read(owner, "latest"), read(owner, "current"), read(owner, "2")) == (second, first, second)
    assert owner.access_secret_version(name=f"{NAME}/versions/current").name.endswith("/api-key/versions/1")
    for absent in ("3", "0", "previous"):
        with pytest.raises(exceptions.NotFound):
            read(owner, absent)


def test_versions_are_listed_newest_first(owner: SecretManagerServiceClient, secret: Any) -> None:
    for _ in range(3):
        add(owner, canary())
    numbers = [one.name.rpartition("/")[2] for one in owner.list_secret_versions(request={"parent": NAME})]
    assert numbers == ["3", "2", "1"]


def test_a_payload_with_a_wrong_checksum_or_over_64_kib_is_refused(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    for payload in ({"data": b"x", "data_crc32c": 1}, {"data": b"x" * ((64 << 10) + 1)}, {"data": b""}):
        with pytest.raises(exceptions.InvalidArgument):
            owner.add_secret_version(parent=NAME, payload=payload)
    found = owner.add_secret_version(parent=NAME, payload={"data": b"x" * (64 << 10)})
    assert found.name.endswith("/versions/1")
    assert not found.client_specified_payload_checksum
    assert add(owner, canary()).client_specified_payload_checksum


def test_what_is_read_bears_its_checksum(owner: SecretManagerServiceClient, secret: Any) -> None:
    value = canary()
    add(owner, value)
    payload = owner.access_secret_version(name=f"{NAME}/versions/1").payload
    assert payload.data_crc32c == google_crc32c.value(value.encode())


def test_a_disabled_newest_version_fails_and_nothing_older_is_served(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    add(owner, canary())
    value = canary()
    newest = add(owner, value)
    owner.disable_secret_version(name=newest.name)
    with pytest.raises(exceptions.FailedPrecondition, match=r"versions/2\] is in DISABLED state"):
        read(owner, "latest")
    owner.enable_secret_version(name=newest.name)
    assert read(owner, "latest") == value


def test_a_destroyed_newest_version_fails_for_good(owner: SecretManagerServiceClient, secret: Any) -> None:
    add(owner, canary())
    newest = add(owner, canary())
    destroyed = owner.destroy_secret_version(name=newest.name)
    assert destroyed.state == SecretVersion.State.DESTROYED
    assert destroyed.destroy_time
    for call in (owner.enable_secret_version, owner.disable_secret_version, owner.destroy_secret_version):
        with pytest.raises(exceptions.FailedPrecondition, match="is in DESTROYED state"):
            call(name=newest.name)
    with pytest.raises(exceptions.FailedPrecondition, match="is in DESTROYED state"):
        read(owner, "latest")


def test_a_version_with_another_etag_is_not_destroyed(owner: SecretManagerServiceClient, secret: Any) -> None:
    version = add(owner, canary())
    owner.enable_secret_version(name=version.name)
    with pytest.raises(exceptions.FailedPrecondition):
        owner.destroy_secret_version(request={"name": version.name, "etag": version.etag})


def test_destruction_may_be_delayed_and_the_version_is_disabled_until_then(
    owner: SecretManagerServiceClient, secret: Any
) -> None:
    update(owner, "version_destroy_ttl", timedelta(days=1))
    version = owner.destroy_secret_version(name=add(owner, canary()).name)
    assert version.state == SecretVersion.State.DISABLED
    assert version.scheduled_destroy_time


# access


def test_a_member_may_do_what_its_roles_on_the_secret_or_the_project_say(
    google: FakeSecretManager, owner: SecretManagerServiceClient, secret: Any
) -> None:
    value = canary()
    add(owner, value)
    with plain_client(google.address, token=READER) as reader:
        with pytest.raises(exceptions.PermissionDenied, match=r"'secretmanager\.versions\.access' denied for"):
            read(reader, "latest")
        policy = policy_pb2.Policy(
            bindings=[policy_pb2.Binding(role="roles/secretmanager.secretAccessor", members=[READER])]
        )
        owner.set_iam_policy(request={"resource": NAME, "policy": policy})
        assert owner.get_iam_policy(request={"resource": NAME}) == policy
        assert read(reader, "latest") == value
        with pytest.raises(exceptions.PermissionDenied):
            reader.get_secret(name=NAME)
        with pytest.raises(exceptions.PermissionDenied):
            reader.list_secrets(parent=PARENT)
        google.grant(READER, "roles/secretmanager.viewer")
        assert len([*reader.list_secrets(parent=PARENT)]) == 1


def test_permissions_can_be_asked_for(google: FakeSecretManager, secret: Any) -> None:
    google.grant(READER, "roles/secretmanager.secretAccessor", "api-key")
    wanted = ["secretmanager.versions.access", "secretmanager.versions.add"]
    with plain_client(google.address, token=READER) as reader:
        found = reader.test_iam_permissions(request={"resource": NAME, "permissions": wanted})
    assert [*found.permissions] == wanted[:1]


def test_whether_a_secret_exists_is_not_told_to_whoever_may_not_see_it(google: FakeSecretManager) -> None:
    with plain_client(google.address, token=READER) as reader, pytest.raises(exceptions.PermissionDenied):
        read(reader, "latest")


def test_another_project_and_an_expired_token_are_refused(
    google: FakeSecretManager, owner: SecretManagerServiceClient
) -> None:
    with pytest.raises(exceptions.PermissionDenied):
        owner.get_secret(name="projects/another/secrets/api-key")
    google.expired.add(READER)
    with plain_client(google.address, token=READER) as reader, pytest.raises(exceptions.Unauthenticated):
        reader.get_secret(name=NAME)


# trouble


def test_a_quota_that_is_used_up_and_an_outage_end(
    google: FakeSecretManager, owner: SecretManagerServiceClient, secret: Any
) -> None:
    google.throttled["GetSecret"] = 1
    with pytest.raises(exceptions.ResourceExhausted):
        owner.get_secret(name=NAME)
    google.outage = StatusCode.UNAVAILABLE
    with pytest.raises(exceptions.ServiceUnavailable):
        owner.get_secret(name=NAME)
    google.outage = None
    assert owner.get_secret(name=NAME) == secret
    assert google.calls["GetSecret"] == 3


def test_it_runs_as_a_program_too() -> None:
    program = [sys.executable, "-m", "tests.servers.google_secret_manager"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        with plain_client(running.stdout.readline().strip()) as client:
            assert [*client.list_secrets(parent=PARENT)] == []
        running.communicate()
    assert running.returncode == 0

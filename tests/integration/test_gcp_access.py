"""What a login may do at Google, what each call costs, and that nothing shows a value."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.oauth2.credentials import Credentials

from tests.canary import canary, leaks_in, planted
from tests.servers.google_clients import NAME, change, full_name, make_current, open_as, open_at, secret_id
from tests.servers.google_secret_manager import PROJECT, FakeSecretManager
from vantage_secrets.errors import (
    InvalidSecretValueError,
    StoreAccessDeniedError,
    StoreError,
    StoreFullError,
    StoreIntegrityError,
    VantageSecretsError,
)
from vantage_secrets.secret import NAME_LENGTH_MAX, SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.gcp import GoogleStore
from vantage_secrets.stores.gcp.encoding import Shape
from vantage_secrets.stores.gcp.record import ANNOTATION_BYTES_MAX, HISTORY_COUNT_MAX, Record, Row
from vantage_secrets.stores.gcp.store import UNKNOWN_AT
from vantage_secrets.testing.store_steps import words

pytest_plugins = ("tests.servers.google_fixtures",)

OTHER = SecretName("vantage/clickhouse-password")
MEMBER = "user:worker@example.com"

PAGE = Path(__file__).parents[2] / "docs/stores/gcp.md"


def permissions_of(role: str) -> set[str]:
    """Return what a role on the store's page holds."""
    found = re.search(rf"<!-- role: {role} -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return set(re.findall(r"^  - (secretmanager\.\S+)$", found[1], re.MULTILINE))


READER, ROTATOR = permissions_of("reader"), permissions_of("rotator")


def member(google: FakeSecretManager, *permissions: str, name: SecretName = NAME) -> None:
    """Let the member have these permissions on one secret and what is beside it."""
    google.roles[f"projects/{PROJECT}/roles/tried"] = {*permissions}
    for suffix in ("", "--pending"):
        google.grant(MEMBER, f"projects/{PROJECT}/roles/tried", secret_id(name) + suffix)


def test_a_refusal_on_one_secret_names_the_permission_and_leaves_the_others(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    value = canary()
    make_current(google_store, canary())
    make_current(google_store, value, OTHER)
    member(google, *READER, name=OTHER)
    with open_as(google.address, Credentials(MEMBER)) as store:
        assert store.read(OTHER).value.matches(value)
        for call in (store.read, store.describe):
            with pytest.raises(StoreAccessDeniedError, match=r"lacks the permission secretmanager\."):
                call(NAME)
        with pytest.raises(StoreAccessDeniedError):
            [*store.list()]


def test_an_accessor_reads_values_and_google_s_numbers_for_versions(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    value = canary()
    make_current(google_store, value)
    google.grant(MEMBER, "roles/secretmanager.secretAccessor", secret_id(NAME))
    with open_as(google.address, Credentials(MEMBER)) as store:
        reading = store.read(NAME)
        assert reading.value.matches(value)
        assert reading.version == SecretVersion(NAME, "google-1", Stage.CURRENT, UNKNOWN_AT)
        google.calls.clear()
        for _ in range(10):
            store.read(NAME)
        assert google.calls == {"AccessSecretVersion": 10}
        fields = {"username": "ingest", "password": canary()}
        make_current(google_store, fields)
        assert store.read(NAME).value.reveal() == fields
        raw = bytes(range(256))
        make_current(google_store, raw)
        assert store.read(NAME).value.reveal() == raw
        assert store.read(NAME, stage=Stage.PREVIOUS).value.reveal() == fields
        with pytest.raises(StoreAccessDeniedError):
            store.read(NAME, stage=Stage.PENDING)


def test_the_reader_s_two_permissions_suffice_to_read_with_the_version(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    version = make_current(google_store, canary())
    member(google, *READER)
    with open_as(google.address, Credentials(MEMBER)) as store:
        assert store.read(NAME).version == version


def test_the_rotator_s_permissions_suffice_for_a_rotation_a_roll_back_and_retiring(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    make_current(google_store, canary())
    member(google, *ROTATOR)
    with open_as(google.address, Credentials(MEMBER)) as store:
        first = make_current(store, canary())
        second = make_current(store, canary())
        store.promote(NAME, first.id, expect_current=second.id)
        store.retire(NAME, second.id)
        with pytest.raises(StoreAccessDeniedError, match=r"secretmanager\.secrets\.delete"):
            store.delete(NAME)
        with pytest.raises(StoreAccessDeniedError):
            store.stage(OTHER, SecretValue(canary()), "token")


@pytest.mark.parametrize("lacking", sorted(ROTATOR))
def test_without_any_one_of_the_rotator_s_permissions_a_rotation_is_refused_by_its_name(
    google: FakeSecretManager, google_store: GoogleStore, lacking: str
) -> None:
    make_current(google_store, canary())
    make_current(google_store, canary())
    member(google, *(ROTATOR - {lacking}))
    with (
        open_as(google.address, Credentials(MEMBER)) as store,
        pytest.raises(StoreAccessDeniedError, match=lacking.replace(".", r"\.")),
    ):
        make_current(store, canary())


def test_making_and_deleting_take_two_permissions_more(google: FakeSecretManager) -> None:
    role = f"projects/{PROJECT}/roles/admin"
    google.roles[role] = {*ROTATOR, "secretmanager.secrets.create", "secretmanager.secrets.delete"}
    google.grant(MEMBER, role)
    with open_as(google.address, Credentials(MEMBER)) as store:
        make_current(store, canary())
        assert store.delete(NAME) is True


# quotas


def test_a_hundred_reads_are_a_hundred_calls_and_one_for_the_metadata(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    make_current(google_store, canary())
    with open_at(google.address) as store:
        google.calls.clear()
        for _ in range(100):
            store.read(NAME)
        assert google.calls == {"AccessSecretVersion": 100, "GetSecret": 1}


def test_many_secrets_that_were_not_seen_before_are_learnt_from_one_list(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    values = {SecretName(f"many/{index}"): canary() for index in range(10)}
    for name, value in values.items():
        make_current(google_store, value, name)
    with open_at(google.address) as store:
        google.calls.clear()
        for _ in range(2):
            found = {reading.version.name: reading for reading in store.read_many(values)}
            assert all(found[name].value.matches(value) for name, value in values.items())
        assert google.calls == {"AccessSecretVersion": 20, "ListSecrets": 1}
        assert all(reading.version == google_store.describe(name)[0] for name, reading in found.items())


def test_many_secrets_are_read_by_whoever_may_not_list(google: FakeSecretManager, google_store: GoogleStore) -> None:
    values = {SecretName(f"many/{index}"): canary() for index in range(10)}
    for name, value in values.items():
        make_current(google_store, value, name)
        google.grant(MEMBER, "roles/secretmanager.secretAccessor", secret_id(name))
    with open_as(google.address, Credentials(MEMBER)) as store:
        found = {reading.version.name: reading for reading in store.read_many(values)}
        assert all(found[name].value.matches(value) for name, value in values.items())


def test_all_secrets_are_described_by_one_call_a_page(google: FakeSecretManager, google_store: GoogleStore) -> None:
    names = [SecretName(f"many/{index}") for index in range(3)]
    for name in names:
        make_current(google_store, canary(), name)
    google.calls.clear()
    found = {versions[0].name: versions for versions in google_store.describe_many(names)}
    assert google.calls == {"ListSecrets": 1}
    assert found == {name: google_store.describe(name) for name in names}
    assert google.calls == {"ListSecrets": 1, "GetSecret": 3}


# limits


def test_fields_that_are_too_large_as_json_are_refused_before_any_call(
    google: FakeSecretManager, google_store: GoogleStore
) -> None:
    with pytest.raises(InvalidSecretValueError, match="65,536"):
        google_store.stage(NAME, SecretValue({"control": "\x01" * 20_000}), "token")
    assert not google.calls


def test_the_oldest_retired_versions_are_forgotten_and_ids_go_on(
    google_store: GoogleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vantage_secrets.stores.gcp.record.HISTORY_COUNT_MAX", 3)
    current = make_current(google_store, canary())
    for index in range(4):
        google_store.retire(NAME, google_store.stage(NAME, SecretValue(canary()), f"token-{index}").id)
    serials = [version.id.partition("-")[0] for version in google_store.describe(NAME)]
    assert serials == ["5", "4", "1"]
    assert google_store.read(NAME).version == current
    assert google_store.stage(NAME, SecretValue(canary()), "last").id.startswith("6-")


def test_sixty_versions_leave_room_in_the_annotations() -> None:
    record = Record.new(SecretName("n" * NAME_LENGTH_MAX), "production")
    for serial in range(1, 200):
        row = Row(f"{serial}-abcdef", Shape.FIELDS, "t" * 16, "d" * 22, 10**15, 10**15, 10**15, 999, (998, 999))
        record = record.with_rows([row])
    notes = record.annotations()
    assert len([key for key in notes if "-version-" in key]) == HISTORY_COUNT_MAX
    assert sum(len(key) + len(text) for key, text in notes.items()) <= ANNOTATION_BYTES_MAX


def test_annotations_of_others_that_leave_no_room_are_named(
    google_store: GoogleStore, owner: SecretManagerServiceClient
) -> None:
    version = make_current(google_store, canary())
    notes = dict(owner.get_secret(name=full_name(NAME)).annotations)
    room = ANNOTATION_BYTES_MAX - sum(len(key) + len(text) for key, text in notes.items())
    change(owner, "annotations", {**notes, "note": "x" * (room - 10)})
    with pytest.raises(StoreFullError, match="16 KiB"):
        google_store.stage(NAME, SecretValue(canary()), "token")
    assert google_store.read(NAME).version.id == version.id


# integrity and silence


def test_a_checksum_that_does_not_fit_is_refused_on_both_ways(
    google_store: GoogleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_current(google_store, canary())
    monkeypatch.setattr(google_store._calls, "_crc32c", lambda _data: 1)
    with pytest.raises(StoreIntegrityError, match="checksum"):
        google_store.read(NAME)
    with pytest.raises(StoreError, match="INVALID_ARGUMENT"):
        google_store.stage(NAME, SecretValue(canary()), "token")


def test_nothing_that_is_logged_or_raised_holds_a_value_also_at_debug(
    google_store: GoogleStore, owner: SecretManagerServiceClient, caplog: pytest.LogCaptureFixture
) -> None:
    loggers = {"google": {"level": "DEBUG", "propagate": True}}
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": loggers})
    make_current(google_store, canary())
    google_store.read(NAME)
    owner.disable_secret_version(name=f"{full_name(NAME)}/versions/1")
    calls: tuple[Callable[[], object], ...] = (
        lambda: google_store.read(NAME),
        lambda: google_store.stage(NAME, SecretValue({"password": canary(), "x": "\x01" * 20_000}), "token"),
        lambda: google_store.promote(NAME, "9-000000", expect_current=None),
    )
    said: list[str] = []
    for call in calls:
        with pytest.raises(VantageSecretsError) as caught:
            call()
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        said += words(caught.value)
    records = [repr(vars(record)) for record in caplog.records]
    assert leaks_in("\n".join([*said, *records]).encode(), planted()) == []

"""The store in Vault beside other people: their writes, deletions, limits and settings, and packed secrets."""

from __future__ import annotations

import json
import random
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.canary import canary
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401  # Fixtures.
from tests.servers.vault_steps import NAME, NEIGHBOUR, PACKED, everything_readable, plain_write, put
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    InvalidSecretValueError,
    MissingExtraError,
    NameCollisionError,
    SecretNotFoundError,
    StoreBusyError,
    StoreFullError,
    StoreIntegrityError,
    StoreUnavailableError,
    UnsupportedOperationError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.contract import Health
from vantage_secrets.stores.vault import VaultStore, opening
from vantage_secrets.testing.store_steps import race, words


@pytest.fixture
def store(engine: Engine) -> Iterator[VaultStore]:
    with engine.open() as store:
        yield store


# what others read


def test_a_plain_reader_gets_plain_text_and_fields_as_they_are_named(engine: Engine, store: VaultStore) -> None:
    text, password = canary(), canary()
    put(store, NAME, text)
    fields = store.stage(SecretName("team/login"), SecretValue({"username": "u", "password": password}), "t")
    store.promote(SecretName("team/login"), fields.id, expect_current=None)
    assert engine.plain_read(NAME) == {"value": text}
    assert engine.plain_read("team/login") == {"username": "u", "password": password}


def test_nothing_of_a_retired_value_can_be_read_by_any_plain_call(engine: Engine, store: VaultStore) -> None:
    values = [canary() for _ in range(4)]
    first, second, _third = (put(store, NAME, value) for value in values[:3])
    store.retire(NAME, second.id)
    pending = store.stage(NAME, SecretValue(values[3]), "never promoted")
    store.retire(NAME, pending.id)
    readable = everything_readable(engine, str(NAME)) + everything_readable(engine, f"{NAME}--pending")
    assert [value in readable for value in values] == [False, False, True, False]
    assert store.read(NAME).value.matches(values[2])
    with pytest.raises(VersionRetiredError):
        store.read(NAME, version=first.id)


def test_of_eight_rivals_exactly_one_promotes(engine: Engine, store: VaultStore) -> None:
    current = put(store, NAME)
    previous = current
    current = put(store, NAME)
    pending = store.stage(NAME, SecretValue(canary()), "next")
    stores = [engine.open() for _ in range(8)]
    calls = [
        lambda store=store, version=version: store.promote(NAME, version, expect_current=current.id)
        for store, version in zip(stores, [pending.id, previous.id] * 4, strict=True)
    ]
    results = race(*calls)
    winners = {getattr(result, "id", None) for result in results} - {None}
    assert len(winners) == 1
    assert {type(result) for result in results if not hasattr(result, "id")} == {VersionConflictError}
    assert store.read(NAME).version.id == winners.pop()
    for one in stores:
        one.close()


@pytest.mark.parametrize("text", ["storm/api-key", "storm/config#api_key"])
def test_after_a_storm_of_verbs_from_all_sides_every_stage_is_what_it_says(
    engine: Engine, store: VaultStore, text: str
) -> None:
    name = SecretName(text)
    values: dict[str, str] = {}

    def storm(seed: int) -> None:
        chance = random.Random(seed)
        with engine.open() as mine:
            for _ in range(12):
                with suppress(VersionConflictError, SecretNotFoundError):
                    step(mine, chance)

    def step(mine: VaultStore, chance: random.Random) -> None:
        what = chance.choice(["stage", "stage", "promote", "promote", "promote", "retire"])
        if what == "stage":
            value = canary()
            values[mine.stage(name, SecretValue(value), secrets.token_hex(8)).id] = value
            return
        found = mine.describe(name)
        chosen = chance.choice(found).id
        if what == "retire":
            mine.retire(name, chosen)
        else:
            current = next((one.id for one in found if one.stage is Stage.CURRENT), None)
            mine.promote(name, chosen, expect_current=current)

    assert race(*(lambda seed=seed: storm(seed) for seed in range(4))) == [None] * 4
    for version in store.describe(name):  # Finishes what is unfinished, if anything is.
        if version.stage is Stage.PENDING:
            store.retire(name, version.id)
    put(store, name, values.setdefault("last", canary()))
    found = store.describe(name)
    by_stage = {one.stage: one.id for one in found}
    assert len([one for one in found if one.stage is not Stage.RETIRED]) == len({*by_stage} - {Stage.RETIRED})
    data = engine.plain_read(name.path)
    assert data[name.field or "value"] == values["last"]
    assert store.read(name).version.id == by_stage[Stage.CURRENT]
    marks = ("", "--pending", "--fields")
    readable = "".join(everything_readable(engine, f"{name.path}{mark}") for mark in marks)
    retired = {one.id for one in found if one.stage is Stage.RETIRED}
    assert not [one for one in retired & {*values} if values[one] in readable]


# versions that others push out, write or delete


def test_previous_survives_ten_unrelated_writes_and_a_limit_that_somebody_set_too_low(
    engine: Engine, store: VaultStore
) -> None:
    put(store, NAME)
    full = f"{engine.folder}/{NAME}"
    engine.kv().update_metadata(full, max_versions=2, mount_point=engine.mount)
    value = canary()
    current = put(store, NAME, value)
    for _ in range(10):
        plain_write(engine, str(NAME), {"value": canary()})
    reading = store.read(NAME, stage=Stage.PREVIOUS)
    assert reading.value.matches(value)
    assert reading.version.id == current.id
    assert store.read(NAME, version=current.id).value.matches(value)


def test_previous_of_a_packed_secret_survives_ten_writes_of_its_neighbour(store: VaultStore) -> None:
    first, second = canary(), canary()
    put(store, PACKED, first)
    put(store, PACKED, second)
    for _ in range(11):
        put(store, NEIGHBOUR)
    assert store.read(PACKED).value.matches(second)
    assert store.read(PACKED, stage=Stage.PREVIOUS).value.matches(first)


def test_a_version_that_somebody_else_wrote_is_current_and_can_be_rotated_away(
    engine: Engine, store: VaultStore
) -> None:
    ours, theirs, next_one = canary(), canary(), canary()
    mine = put(store, NAME, ours)
    plain_write(engine, str(NAME), {"value": theirs})
    reading = store.read(NAME)
    assert reading.value.matches(theirs)
    assert reading.version.id == "kv-2"
    assert [(one.id, one.stage) for one in store.describe(NAME)] == [
        ("kv-2", Stage.CURRENT),
        (mine.id, Stage.PREVIOUS),
    ]
    assert store.describe(NAME)[0] == reading.version
    pending = store.stage(NAME, SecretValue(next_one), "next")
    with pytest.raises(VersionConflictError):
        store.promote(NAME, pending.id, expect_current=mine.id)
    store.promote(NAME, pending.id, expect_current="kv-2")
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(theirs)
    assert store.read(NAME, stage=Stage.PREVIOUS).version.id == "kv-2"
    assert ours not in everything_readable(engine, str(NAME))
    assert store.promote(NAME, "kv-2", expect_current=pending.id).stage is Stage.CURRENT
    assert engine.plain_read(NAME) == {"value": theirs}


def test_a_secret_that_was_there_before_us_is_read_listed_and_rotated(engine: Engine, store: VaultStore) -> None:
    theirs, ours = canary(), canary()
    plain_write(engine, "old/login", {"user": "u", "password": theirs})
    name = SecretName("old/login")
    assert [*store.list()] == [name]
    assert store.read(name).value.field("password") == theirs
    staged = store.stage(name, SecretValue({"user": "u", "password": ours}), "t")
    store.promote(name, staged.id, expect_current=store.read(name).version.id)
    assert engine.plain_read(name)["password"] == ours
    assert store.read(name, stage=Stage.PREVIOUS).value.field("password") == theirs


def test_numbers_and_lists_that_somebody_else_wrote_are_read_as_json(engine: Engine, store: VaultStore) -> None:
    secret = {"port": 9000, "hosts": ["a", "b"], "on": True}
    engine.kv().create_or_update_secret(f"{engine.folder}/odd", secret, mount_point=engine.mount)
    assert store.read(SecretName("odd")).value.reveal() == {"port": "9000", "hosts": '["a", "b"]', "on": "true"}


@pytest.mark.parametrize("data", [{}, {"value": ""}])
def test_what_is_no_value_is_an_error_that_says_so(engine: Engine, store: VaultStore, data: dict[str, str]) -> None:
    plain_write(engine, "odd", data)
    with pytest.raises(StoreIntegrityError, match="is no value of 'odd'"):
        store.read(SecretName("odd"))


def test_a_newest_version_that_somebody_deleted_is_an_error_and_never_an_old_value(
    engine: Engine, store: VaultStore
) -> None:
    old, new = canary(), canary()
    first = put(store, NAME, old)
    put(store, NAME, new)
    full = f"{engine.folder}/{NAME}"
    engine.kv().delete_latest_version_of_secret(full, mount_point=engine.mount)
    with pytest.raises(VersionNotFoundError, match="deleted by somebody else") as caught:
        store.read(NAME)
    assert "undelete -versions=2" in caught.value.hint
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(old)
    assert [one.stage for one in store.describe(NAME)] == [Stage.RETIRED, Stage.PREVIOUS]
    engine.kv().undelete_secret_versions(full, [2], mount_point=engine.mount)
    assert store.read(NAME).value.matches(new)
    engine.kv().destroy_secret_versions(full, [2], mount_point=engine.mount)
    with pytest.raises(VersionNotFoundError):
        store.read(NAME)
    assert store.promote(NAME, first.id, expect_current=None).stage is Stage.CURRENT
    assert store.read(NAME).value.matches(old)


def test_a_previous_version_that_somebody_destroyed_is_not_found_and_cannot_be_promoted(
    engine: Engine, store: VaultStore
) -> None:
    first, second = put(store, NAME), put(store, NAME)
    engine.kv().destroy_secret_versions(f"{engine.folder}/{NAME}", [1], mount_point=engine.mount)
    with pytest.raises(VersionNotFoundError):
        store.read(NAME, stage=Stage.PREVIOUS)
    with pytest.raises(VersionRetiredError):
        store.promote(NAME, first.id, expect_current=second.id)


def test_a_secret_that_somebody_removed_and_wrote_anew_is_theirs(engine: Engine, store: VaultStore) -> None:
    put(store, NAME)
    put(store, NAME)
    engine.kv().delete_metadata_and_all_versions(f"{engine.folder}/{NAME}", mount_point=engine.mount)
    with pytest.raises(VersionNotFoundError):
        store.read(NAME)
    value = canary()
    plain_write(engine, str(NAME), {"value": value})
    assert store.read(NAME).value.matches(value)
    pending = store.stage(NAME, SecretValue(canary()), "next")
    store.promote(NAME, pending.id, expect_current="kv-1")
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(value)


def test_a_ledger_that_somebody_changed_is_an_error(engine: Engine, store: VaultStore) -> None:
    value = canary()
    put(store, NAME, value)
    plain_write(engine, f"{NAME}--pending", {"value": "x"})
    assert store.read(NAME).value.matches(value)
    for call in (lambda: store.describe(NAME), lambda: store.stage(NAME, SecretValue(canary()), "t")):
        with pytest.raises(StoreIntegrityError):
            call()


def test_what_is_no_name_of_ours_is_not_listed(engine: Engine, store: VaultStore) -> None:
    for path in ("Upper", "under_score", "ok", "folder/Upper", "folder.d/x"):
        plain_write(engine, path, {"value": canary()})
    assert [*store.list()] == [SecretName("ok")]


def test_another_environment_s_secret_is_read_and_never_changed(engine: Engine, store: VaultStore) -> None:
    value = canary()
    version = put(store, NAME, value)
    pending = store.stage(NAME, SecretValue(canary()), "next")
    with engine.open(environment="production") as other:
        assert other.read(NAME).value.matches(value)
        for call in (
            lambda: other.stage(NAME, SecretValue(canary()), "other"),
            lambda: other.promote(NAME, pending.id, expect_current=version.id),
            lambda: other.retire(NAME, pending.id),
            lambda: other.delete(NAME),
        ):
            with pytest.raises(EnvironmentMismatchError, match="belongs to 'test', not to 'production'"):
                call()
    assert store.read(NAME).value.matches(value)


def test_text_that_is_not_unicode_is_refused_before_anything_is_written(store: VaultStore) -> None:
    with pytest.raises(InvalidSecretValueError):
        store.stage(NAME, SecretValue("half a pair: \ud800"), "t")
    assert [*store.list()] == []


def test_a_hundred_retired_versions_are_remembered_and_no_more(store: VaultStore) -> None:
    versions = []
    for index in range(102):
        versions.append(store.stage(NAME, SecretValue(f"value {index}"), f"token {index}"))
        store.retire(NAME, versions[-1].id)
    put(store, NAME)
    assert [one.id for one in store.describe(NAME)[1:]] == [one.id for one in reversed(versions[2:])]


# packed secrets


def test_packed_secrets_are_keys_of_one_path_and_leave_the_others_alone(engine: Engine, store: VaultStore) -> None:
    key, password = canary(), canary()
    plain_write(engine, "team/config", {"region": "north", "api_key": ""})
    with pytest.raises(SecretNotFoundError):
        store.read(PACKED)
    put(store, PACKED, key)
    put(store, NEIGHBOUR, password)
    assert engine.plain_read("team/config") == {"region": "north", "api_key": key, "clickhouse_password": password}
    assert store.read(PACKED).value.matches(key)
    assert store.read(NEIGHBOUR).value.matches(password)
    assert [*store.list()] == [PACKED, NEIGHBOUR]
    assert [*store.list("team/config#a")] == [PACKED]


def test_a_key_that_was_there_before_us_is_a_packed_secret_too(engine: Engine, store: VaultStore) -> None:
    theirs = canary()
    plain_write(engine, "team/config", {"api_key": theirs})
    reading = store.read(PACKED)
    assert reading.value.matches(theirs)
    assert store.describe(PACKED) == (reading.version,)
    ours = put(store, PACKED)
    assert store.read(PACKED, stage=Stage.PREVIOUS).value.matches(theirs)
    assert [one.id for one in store.describe(PACKED)] == [ours.id, reading.version.id]


def test_two_packed_secrets_that_rotate_at_once_both_survive(engine: Engine, store: VaultStore) -> None:
    put(store, PACKED)
    put(store, NEIGHBOUR)
    with engine.open() as other:
        for _ in range(5):
            key, password = canary(), canary()
            results = race(lambda key=key: put(store, PACKED, key), lambda word=password: put(other, NEIGHBOUR, word))
            assert [getattr(result, "stage", result) for result in results] == [Stage.CURRENT, Stage.CURRENT]
            assert engine.plain_read("team/config") == {"api_key": key, "clickhouse_password": password}
            assert store.read(PACKED).value.matches(key)
            assert store.read(NEIGHBOUR).version.id == results[1].id


def test_a_packed_secret_survives_others_who_write_its_path_while_it_rotates(engine: Engine, store: VaultStore) -> None:
    plain_write(engine, "team/config", {"region": "north"})
    adapter = engine.server.client().adapter
    url = f"/v1/{engine.mount}/data/{engine.folder}/team/config"

    def meddle() -> None:
        for index in range(10):
            body = {"data": {"region": str(index)}}
            adapter.request("patch", url, json=body, headers={"Content-Type": "application/merge-patch+json"})

    values = [canary() for _ in range(4)]
    results = race(meddle, lambda: [put(store, PACKED, value) for value in values])
    assert [type(result) for result in results] == [type(None), list]
    assert engine.plain_read("team/config") == {"region": "9", "api_key": values[-1]}
    assert store.read(PACKED).value.matches(values[-1])
    assert store.read(PACKED, stage=Stage.PREVIOUS).value.matches(values[-2])


def test_nothing_of_a_retired_packed_value_can_be_read_by_any_plain_call(engine: Engine, store: VaultStore) -> None:
    values = [canary() for _ in range(3)]
    neighbour = canary()
    for value in values:
        put(store, NEIGHBOUR)
        put(store, PACKED, value)
    put(store, NEIGHBOUR, neighbour)
    readable = everything_readable(engine, "team/config") + everything_readable(engine, "team/config--fields")
    assert [value in readable for value in values] == [False, True, True]
    store.retire(PACKED, store.read(PACKED, stage=Stage.PREVIOUS).version.id)
    readable = everything_readable(engine, "team/config") + everything_readable(engine, "team/config--fields")
    assert [value in readable for value in values] == [False, False, True]
    assert store.read(NEIGHBOUR).value.matches(neighbour)


def test_rolling_a_packed_secret_back_and_forth_keeps_both_values(store: VaultStore) -> None:
    first, second = canary(), canary()
    one, two = put(store, PACKED, first), put(store, PACKED, second)
    put(store, NEIGHBOUR)
    store.promote(PACKED, one.id, expect_current=two.id)
    assert store.read(PACKED).value.matches(first)
    assert store.read(PACKED, stage=Stage.PREVIOUS).value.matches(second)
    store.promote(PACKED, two.id, expect_current=one.id)
    assert store.read(PACKED).value.matches(second)
    assert store.read(PACKED, version=one.id).value.matches(first)


def test_a_deleted_packed_secret_is_gone_in_every_version_and_its_neighbour_is_not(
    engine: Engine, store: VaultStore
) -> None:
    first, second, pending, neighbour = (canary() for _ in range(4))
    put(store, PACKED, first)
    put(store, NEIGHBOUR, neighbour)
    put(store, PACKED, second)
    store.stage(PACKED, SecretValue(pending), "next")
    assert store.delete(PACKED) is True
    assert store.delete(PACKED) is False
    readable = everything_readable(engine, "team/config") + everything_readable(engine, "team/config--fields")
    assert not [value for value in (first, second, pending) if value in readable]
    assert [*store.list()] == [NEIGHBOUR]
    with pytest.raises(SecretNotFoundError):
        store.describe(PACKED)
    assert store.read(NEIGHBOUR).value.matches(neighbour)
    assert store.delete(NEIGHBOUR) is True
    assert [*store.list()] == []


def test_a_path_is_one_secret_or_packs_several_and_not_both(store: VaultStore) -> None:
    put(store, NAME)
    put(store, PACKED)
    with pytest.raises(NameCollisionError, match="is one secret by itself"):
        store.stage(SecretName(f"{NAME}#part"), SecretValue(canary()), "t")
    for call in (
        lambda: store.stage(SecretName("team/config"), SecretValue(canary()), "t"),
        lambda: store.delete(SecretName("team/config")),
    ):
        with pytest.raises(NameCollisionError, match="packs several secrets: api_key"):
            call()


def test_a_packed_secret_is_text_or_bytes(store: VaultStore) -> None:
    with pytest.raises(UnsupportedOperationError, match="cannot hold named fields"):
        store.stage(PACKED, SecretValue({"a": canary()}), "t")
    raw = bytes(range(256))
    staged = store.stage(PACKED, SecretValue(raw), "t")
    store.promote(PACKED, staged.id, expect_current=None)
    assert store.read(PACKED).value.reveal() == raw


def test_a_path_whose_metadata_is_full_takes_no_more_packed_secrets(engine: Engine, store: VaultStore) -> None:
    plain_write(engine, "team/config", {"region": "north"})
    custom = {f"key{index}": "x" for index in range(63)}
    full = f"{engine.folder}/team/config"
    engine.kv().update_metadata(full, custom_metadata=custom, mount_point=engine.mount)
    staged = store.stage(PACKED, SecretValue(canary()), "t")
    with pytest.raises(StoreFullError, match="64 keys"):
        store.promote(PACKED, staged.id, expect_current=None)
    store.retire(PACKED, staged.id)


def test_packed_secrets_that_somebody_deleted_together_are_not_written_one_by_one(
    engine: Engine, store: VaultStore
) -> None:
    put(store, PACKED)
    put(store, NEIGHBOUR)
    pending = store.stage(PACKED, SecretValue(canary()), "next")
    full = f"{engine.folder}/team/config"
    engine.kv().delete_latest_version_of_secret(full, mount_point=engine.mount)
    with pytest.raises(VersionNotFoundError):
        store.read(PACKED)
    with pytest.raises(VersionConflictError, match="was deleted by somebody else") as caught:
        store.promote(PACKED, pending.id, expect_current=None)
    assert "undelete -versions=2" in caught.value.hint


# the server's limits, and examining it


def test_a_server_that_throttles_is_busy_and_then_serves_again(
    engine: Engine, store: VaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BACKOFF_SECONDS", 0.0)
    value = canary()
    put(store, NAME, value)
    quota = f"/v1/sys/quotas/rate-limit/{engine.mount}"
    adapter = engine.server.client().adapter
    adapter.post(quota, json={"rate": 0.001, "path": engine.mount})
    with engine.open() as throttled:
        with pytest.raises(StoreBusyError) as caught:
            [throttled.read(NAME) for _ in range(3)]
        assert "quota" in caught.value.hint
        adapter.delete(quota)
        assert throttled.read(NAME).value.matches(value)


def test_no_error_keeps_what_was_sent_or_answered(engine: Engine, store: VaultStore) -> None:
    value = canary()
    put(store, NAME, value)
    plain_write(engine, str(NAME), {"value": ""})
    with pytest.raises(StoreIntegrityError) as integrity:
        store.read(NAME)
    with engine.open("no-such-token") as stranger, pytest.raises(Exception) as refused:
        stranger.stage(NAME, SecretValue(value), "t")
    for caught in (integrity, refused):
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert not [text for text in words(caught.value) if value in text or "no-such-token" in text]


def test_examining_tells_of_every_part_and_what_to_do(engine: Engine, store: VaultStore) -> None:
    found = {one.part: one for one in store.examine()}
    assert [*found] == [
        *("server", "TLS", "login", "engine"),
        *(f"permission to {verb}" for verb in ("read", "list", "describe", "write")),
        "settings",
    ]
    assert found["TLS"].health is found["login"].health is Health.WARNING
    assert "root" in found["login"].words
    assert found["settings"].health is Health.WORKS
    engine.server.client().adapter.post(f"/v1/{engine.mount}/config", json={"delete_version_after": "24h"})
    last = [*store.examine()][-1]
    assert (last.health, last.next_action) == (
        Health.WARNING,
        f"vault write {engine.mount}/config delete_version_after=0s",
    )


def test_examining_an_engine_of_the_first_version_ends_with_the_command_to_change_it(engine: Engine) -> None:
    client = engine.server.client()
    mount = f"old-{secrets.token_hex(4)}"
    client.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    with Engine(engine.server, mount).open() as store:
        last = [*store.examine()][-1]
    assert (last.part, last.health) == ("engine", Health.BROKEN)
    assert last.next_action == f"vault kv enable-versioning {mount}"


def test_an_engine_that_is_not_there_is_told_apart_from_a_secret_that_is_not(engine: Engine) -> None:
    with Engine(engine.server, "nowhere").open() as store:
        with pytest.raises(StoreUnavailableError, match="no such secrets engine"):
            store.read(NAME)
        assert [one.part for one in store.examine() if one.health is Health.BROKEN] == ["engine"]


def test_a_missing_sdk_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(MissingExtraError) as caught:
        opening.open_vault("vault://vault.example/secret", environment="test", options={"token_file": "/nowhere"})
    assert caught.value.hint == "pip install 'vantage-secrets[vault]'"


def test_versions_are_remembered_in_metadata_that_holds_no_value(engine: Engine, store: VaultStore) -> None:
    value = canary()
    version = put(store, NAME, value)
    full = f"{engine.folder}/{NAME}"
    custom = engine.kv().read_secret_metadata(full, mount_point=engine.mount)["data"]["custom_metadata"]
    assert custom["vantage-secrets.environment"] == "test"
    assert json.loads(custom["vantage-secrets.1"])["id"] == version.id
    assert all(len(key) <= 128 and len(text) < 256 for key, text in custom.items())
    assert value not in repr(custom)

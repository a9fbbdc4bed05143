"""An import plans, writes each value once, reads it back, finishes what was interrupted, and says what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import (
    ManifestError,
    RotationError,
    StoreIntegrityError,
    StoreUnavailableError,
    VersionConflictError,
)
from vantage_secrets.manifest import Manifest, SecretSpec, load, render_default
from vantage_secrets.migration.dotenv import read_dotenv
from vantage_secrets.migration.importer import ImportAction, ImportOutcome, ImportPlan, plan_import, run_import
from vantage_secrets.migration.recognition import looks_secret, proposed_name
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import EmbeddedStore, create_embedded

KEY = SecretName("vantage/api-key")
FIVE = (
    "VANTAGE_API_KEY",
    "API_KEY",
    "WORKER_CLICKHOUSE_PASSWORD",
    "API_CLICKHOUSE_PASSWORD",
    "KAFKA_SASL_PASSWORD",
)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    path = tmp_path / "vantage-secrets.toml"
    path.write_text(render_default(environment="test"))
    return load(path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as opened:
        yield opened


def planned(text: str, manifest: Manifest, store: Store, **choices: tuple[str, ...]) -> ImportPlan:
    return plan_import(read_dotenv(text.encode()).entries, manifest, store, **choices)


def actions(plan: ImportPlan) -> dict[str, ImportAction]:
    return {row.key: row.action for row in plan.rows}


def put(store: Store, name: SecretName, plain: str, *, promote: bool = True) -> SecretVersion:
    version = store.stage(name, SecretValue(plain), token=f"put-{len(plain)}-{hash(plain)}"[:64])
    if not promote:
        return version
    current = next((v.id for v in store.describe(name) if v.stage is Stage.CURRENT), None)
    return store.promote(name, version.id, expect_current=current)


def count(store: Store, name: SecretName) -> int:
    return len(store.describe(name))


class Wrapped(Store):
    """A real store with one verb that can be made to behave otherwise."""

    scheme = "embedded"
    capabilities = EmbeddedStore.capabilities

    def __init__(self, inner: Store) -> None:
        self.inner, self.url = inner, inner.url

    def read(self, name, *, stage=Stage.CURRENT, version=None):
        return self.inner.read(name, stage=stage, version=version)

    def describe(self, name):
        return self.inner.describe(name)

    def list(self, prefix=""):
        return self.inner.list(prefix)

    def stage(self, name, value, token):
        return self.inner.stage(name, value, token)

    def promote(self, name, version, *, expect_current):
        return self.inner.promote(name, version, expect_current=expect_current)

    def retire(self, name, version):
        return self.inner.retire(name, version)

    def delete(self, name):
        return self.inner.delete(name)

    def close(self):
        self.inner.close()


# --- the plan -------------------------------------------------------------------------------------------------------


def test_the_five_secrets_of_vantage_are_created_and_read_back_equal(manifest: Manifest, store: Store) -> None:
    plain = {key: canary(key) for key in FIVE}
    plan = planned("".join(f"{key}={value}\n" for key, value in plain.items()), manifest, store)
    assert set(actions(plan).values()) == {ImportAction.CREATE}
    assert plan.missing == ()
    result = run_import(plan, store)
    assert result.complete
    for spec in manifest.secrets:
        assert store.read(spec.name).value.matches(plain[spec.key])
        assert count(store, spec.name) == 1
    assert [outcome.version.id for outcome in result.outcomes if outcome.version] == ["1"] * 5


def test_planning_changes_nothing(manifest: Manifest, store: Store) -> None:
    before = manifest.path.read_bytes()
    planned(f"VANTAGE_API_KEY={canary()}\nSTRIPE_TOKEN={canary()}\n", manifest, store)
    assert list(store.list()) == []
    assert manifest.path.read_bytes() == before


def test_importing_twice_writes_nothing_the_second_time(manifest: Manifest, store: Store) -> None:
    text = f"VANTAGE_API_KEY={canary()}\n"
    run_import(planned(text, manifest, store), store)
    again = planned(text, manifest, store)
    assert actions(again) == {"VANTAGE_API_KEY": ImportAction.UNCHANGED}
    assert run_import(again, store).complete
    assert count(store, KEY) == 1


def test_running_the_same_plan_twice_makes_one_version(manifest: Manifest, store: Store) -> None:
    plan = planned(f"VANTAGE_API_KEY={canary()}\nMY_TOKEN={canary()}\n", manifest, store)
    assert run_import(plan, store).complete
    assert run_import(plan, store).complete
    assert count(store, KEY) == 1
    assert len(load(manifest.path).secrets) == 6


def test_another_value_in_the_store_is_replaced_only_when_asked(manifest: Manifest, store: Store) -> None:
    old, new = canary("old"), canary("new")
    put(store, KEY, old)
    plan = planned(f"VANTAGE_API_KEY={new}\n", manifest, store)
    assert actions(plan) == {"VANTAGE_API_KEY": ImportAction.REPLACE}
    kept = run_import(plan, store)
    assert not kept.complete
    assert store.read(KEY).value.matches(old)
    assert "the store has another value" in kept.left_to_do[0]
    assert run_import(plan, store, replace=True).complete
    assert store.read(KEY).value.matches(new)
    assert store.read(KEY, stage=Stage.PREVIOUS).value.matches(old)


def test_an_old_file_does_not_bring_back_what_a_rotation_replaced(manifest: Manifest, store: Store) -> None:
    old, new = canary("old"), canary("new")
    put(store, KEY, old)
    put(store, KEY, new)
    plan = planned(f"VANTAGE_API_KEY={old}\n", manifest, store)
    assert actions(plan) == {"VANTAGE_API_KEY": ImportAction.OUTDATED}
    run_import(plan, store, replace=True)
    assert store.read(KEY).value.matches(new)


def test_a_rotation_that_is_under_way_is_left_alone(manifest: Manifest, store: Store) -> None:
    put(store, KEY, canary("current"))
    pending = put(store, KEY, canary("pending"), promote=False)
    plan = planned(f"VANTAGE_API_KEY={canary('file')}\n", manifest, store)
    assert actions(plan) == {"VANTAGE_API_KEY": ImportAction.PENDING}
    result = run_import(plan, store, replace=True)
    assert not result.complete
    assert "vantage-secrets rotate VANTAGE_API_KEY" in result.left_to_do[0]
    assert store.describe(KEY)[0] == pending


def test_empty_values_are_skipped_and_said_to_be_required(manifest: Manifest, store: Store) -> None:
    plan = planned("VANTAGE_API_KEY=\nUNKNOWN_TOKEN=\nLOG_LEVEL=\n", manifest, store)
    assert list(actions(plan).values()) == [ImportAction.EMPTY, ImportAction.EMPTY, ImportAction.CONFIGURATION]
    result = run_import(plan, store)
    assert list(store.list()) == []
    assert plan.additions == ()
    assert "VANTAGE_API_KEY is required, is empty in the file" in result.left_to_do[0]


def test_required_secrets_that_are_nowhere_are_missing(manifest: Manifest, store: Store) -> None:
    put(store, KEY, canary())
    put(store, manifest.find("KAFKA_SASL_PASSWORD").name, canary(), promote=False)
    plan = planned(f"API_KEY={canary()}\n", manifest, store)
    assert [spec.key for spec in plan.missing] == [
        "WORKER_CLICKHOUSE_PASSWORD",
        "API_CLICKHOUSE_PASSWORD",
        "KAFKA_SASL_PASSWORD",
    ]
    said = "\n".join(run_import(plan, store).left_to_do)
    assert "WORKER_CLICKHOUSE_PASSWORD is required, is not in the file" in said
    assert "vantage-secrets set WORKER_CLICKHOUSE_PASSWORD" in said


# --- variables that the manifest does not know ----------------------------------------------------------------------


def test_an_unknown_secret_is_added_to_the_manifest_and_stored(manifest: Manifest, store: Store) -> None:
    plain = canary()
    plan = planned(f"STRIPE_TOKEN={plain}\nLOG_LEVEL=debug\n", manifest, store)
    assert actions(plan) == {"STRIPE_TOKEN": ImportAction.CREATE, "LOG_LEVEL": ImportAction.CONFIGURATION}
    assert [row.is_new for row in plan.rows] == [True, False]
    result = run_import(plan, store)
    spec = load(manifest.path).find("STRIPE_TOKEN")
    assert (str(spec.name), spec.kind, spec.required) == ("stripe-token", "static", False)
    assert store.read(spec.name).value.matches(plain)
    assert any("who owns and who reads what was added as static: STRIPE_TOKEN" in words for words in result.left_to_do)
    assert list(store.list()) == [spec.name]


def test_a_person_can_say_what_is_a_secret_and_what_is_not(manifest: Manifest, store: Store) -> None:
    text = f"LICENSE={canary()}\nSORT_KEY=name\nAPI_KEY={canary()}\n"
    plan = planned(text, manifest, store, include=("LICENSE",), exclude=("SORT_KEY", "API_KEY"))
    assert actions(plan) == {
        "LICENSE": ImportAction.CREATE,
        "SORT_KEY": ImportAction.CONFIGURATION,
        "API_KEY": ImportAction.CONFIGURATION,
    }
    assert "API_KEY" in [spec.key for spec in plan.missing]


@pytest.mark.parametrize(
    ("text", "collides"),
    [
        ("VANTAGE_QUERY_API_KEY={}\n", "VANTAGE_QUERY_API_KEY"),
        ("vantage_api_key={}\n", "vantage_api_key"),
        ("MY_TOKEN={}\nmy_token={}\n", "my_token"),
    ],
)
def test_a_variable_whose_name_is_taken_stays_in_the_file_and_is_named(
    manifest: Manifest, store: Store, text: str, collides: str
) -> None:
    plan = planned(text.format(canary(), canary()), manifest, store)
    assert actions(plan)[collides] is ImportAction.COLLISION
    result = run_import(plan, store)
    assert not result.complete
    assert result.left_to_do[0].startswith(f"{collides} was not imported")


def test_a_manifest_that_cannot_be_added_to_leaves_the_store_empty(manifest: Manifest, store: Store) -> None:
    plan = planned(f"MY_TOKEN={canary()}\n", manifest, store)
    manifest.path.write_text("broken")
    with pytest.raises(ManifestError):
        run_import(plan, store)
    assert list(store.list()) == []


@pytest.mark.parametrize(
    "key",
    [
        "STRIPE_TOKEN",
        "DB_PASS",
        "DBPASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "SENTRY_DSN",
        "JWT_PRIVATE_KEY",
        "api_key",
        "PWD_X",
    ],
)
def test_a_name_that_looks_like_a_secret_is_proposed(key: str) -> None:
    assert looks_secret(key, None)


@pytest.mark.parametrize(
    "key",
    [
        "LOG_LEVEL",
        "MONKEY",
        "KEYBOARD",
        "TOKEN_TTL_SECONDS",
        "API_KEY_FILE",
        "AWS_ACCESS_KEY_ID",
        "SSH_PUBLIC_KEY",
        "PASSENGERS",
        "_",
    ],
)
def test_a_name_that_does_not_look_like_one_is_left_alone(key: str) -> None:
    assert not looks_secret(key, SecretValue("info"))


@pytest.mark.parametrize(
    "value", ["postgresql://user:{}@db/x", "-----BEGIN EC PRIVATE KEY-----\n{}\n", "redis://:{}@r"]
)
def test_a_value_with_a_password_is_proposed_whatever_its_name(value: str) -> None:
    assert looks_secret("DATABASE", SecretValue(value.format(canary())))


def test_a_url_without_a_password_and_a_certificate_are_configuration() -> None:
    assert not looks_secret("DATABASE", SecretValue("postgresql://user@db:5432/x"))
    assert not looks_secret("CA", SecretValue("-----BEGIN CERTIFICATE-----\nx"))
    assert not looks_secret("BLOB", SecretValue(b"\xff"))


def test_a_name_follows_from_a_variable_or_there_is_none() -> None:
    assert str(proposed_name("__MY__Stripe_TOKEN_2")) == "my-stripe-token-2"
    assert proposed_name("___") is None


def test_a_variable_from_which_no_name_follows_stays_in_the_file(manifest: Manifest, store: Store) -> None:
    plan = planned(f"__={canary()}\n", manifest, store, include=("__",))
    assert actions(plan) == {"__": ImportAction.COLLISION}


# --- interruptions and rivals ---------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("verb", ["stage", "promote", "read"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_import_that_was_killed_is_finished_by_the_next_one_with_one_version(
    manifest: Manifest, store: Store, monkeypatch: pytest.MonkeyPatch, verb: str, when: str
) -> None:
    plain = {key: canary(key) for key in FIVE}
    text = "".join(f"{key}={value}\n" for key, value in plain.items())
    plan = planned(text, manifest, store)
    dying = Wrapped(store)
    calls = iter(range(100))

    def die(*args, **kwargs):
        third = next(calls) == 2
        if third and when == "before":
            raise Killed
        found = getattr(store, verb)(*args, **kwargs)
        if third:
            raise Killed
        return found

    monkeypatch.setattr(dying, verb, die)
    with pytest.raises(Killed):
        run_import(plan, dying)
    again = planned(text, manifest, store)
    assert run_import(again, store).complete
    for spec in manifest.secrets:
        assert [version.stage for version in store.describe(spec.name)] == [Stage.CURRENT]
        assert store.read(spec.name).value.matches(plain[spec.key])


def test_a_pending_version_with_this_value_is_promoted_and_no_second_one_made(manifest: Manifest, store: Store) -> None:
    plain = canary()
    put(store, KEY, canary("old"))
    pending = put(store, KEY, plain, promote=False)
    plan = planned(f"VANTAGE_API_KEY={plain}\n", manifest, store)
    assert actions(plan) == {"VANTAGE_API_KEY": ImportAction.FINISH}
    result = run_import(plan, store)
    assert result.outcomes[0].version is not None
    assert result.outcomes[0].version.id == pending.id
    assert count(store, KEY) == 2


def test_a_rival_that_wrote_after_the_plan_wins_and_no_pending_version_stays(manifest: Manifest, store: Store) -> None:
    rival, other = canary("rival"), canary("other")
    plan = planned(f"VANTAGE_API_KEY={canary('mine')}\nAPI_KEY={other}\n", manifest, store)
    put(store, KEY, rival)
    result = run_import(plan, store)
    assert isinstance(result.outcomes[0].error, VersionConflictError)
    assert result.outcomes[1].version is not None
    assert not result.complete
    assert result.left_to_do[0].startswith("VANTAGE_API_KEY was not imported")
    assert store.read(KEY).value.matches(rival)
    assert Stage.PENDING not in {version.stage for version in store.describe(KEY)}


def test_a_rotation_that_began_after_the_plan_keeps_its_pending_version(manifest: Manifest, store: Store) -> None:
    plan = planned(f"VANTAGE_API_KEY={canary('mine')}\n", manifest, store)
    pending = put(store, KEY, canary("theirs"), promote=False)
    result = run_import(plan, store)
    assert isinstance(result.outcomes[0].error, VersionConflictError)
    assert store.describe(KEY) == (pending,)


def test_a_finish_does_not_promote_what_became_pending_since(manifest: Manifest, store: Store) -> None:
    plain, theirs = canary("mine"), canary("theirs")
    put(store, KEY, canary("old"))
    pending = put(store, KEY, plain, promote=False)
    plan = planned(f"VANTAGE_API_KEY={plain}\n", manifest, store)
    store.retire(KEY, pending.id)
    put(store, KEY, theirs, promote=False)
    result = run_import(plan, store)
    assert result.outcomes[0].error is not None
    assert not store.read(KEY).value.matches(theirs)


def test_a_writer_who_comes_right_after_the_promotion_is_a_conflict(
    manifest: Manifest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(f"VANTAGE_API_KEY={canary('mine')}\n", manifest, store)
    busy = Wrapped(store)

    def promote(name, version, *, expect_current):
        promoted = store.promote(name, version, expect_current=expect_current)
        put(store, KEY, canary("theirs"))
        return promoted

    monkeypatch.setattr(busy, "promote", promote)
    assert isinstance(run_import(plan, busy).outcomes[0].error, VersionConflictError)


def test_a_store_that_gives_back_another_value_stops_the_import(
    manifest: Manifest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(f"VANTAGE_API_KEY={canary()}\nAPI_KEY={canary()}\n", manifest, store)
    lying = Wrapped(store)
    monkeypatch.setattr(
        lying, "read", lambda name, **_: SecretReading(SecretValue(canary("other")), store.read(name).version)
    )
    with pytest.raises(StoreIntegrityError, match="'vantage/api-key' was written"):
        run_import(plan, lying)
    assert list(store.list()) == [KEY]


def test_an_outage_stops_the_import(manifest: Manifest, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(f"VANTAGE_API_KEY={canary()}\n", manifest, store)
    away = Wrapped(store)

    def fail(*_args: object, **_named: object) -> SecretVersion:
        raise StoreUnavailableError("The store does not answer.")

    monkeypatch.setattr(away, "stage", fail)
    with pytest.raises(StoreUnavailableError):
        run_import(plan, away)


# --- introduction, progress, words ----------------------------------------------------------------------------------


def test_introduce_is_asked_to_write_what_is_written_and_nothing_else(manifest: Manifest, store: Store) -> None:
    kept = canary("kept")
    put(store, manifest.find("API_KEY").name, kept)
    asked: list[str] = []

    def introduce(spec: SecretSpec, value: SecretValue) -> SecretVersion:
        asked.append(spec.key)
        return put(store, spec.name, value.reveal_text())

    plan = planned(f"VANTAGE_API_KEY={canary()}\nAPI_KEY={kept}\nLEVEL=1\nX_TOKEN={canary()}\n", manifest, store)
    assert run_import(plan, store, introduce=introduce).complete
    assert asked == ["VANTAGE_API_KEY", "X_TOKEN"]


def test_a_target_that_cannot_take_one_secret_does_not_stop_the_others(manifest: Manifest, store: Store) -> None:
    def introduce(spec: SecretSpec, value: SecretValue) -> SecretVersion:
        if spec.kind == "api-key":
            raise RotationError("The overlap is not over.")
        return put(store, spec.name, value.reveal_text())

    plan = planned(f"VANTAGE_API_KEY={canary()}\nKAFKA_SASL_PASSWORD={canary()}\n", manifest, store)
    result = run_import(plan, store, introduce=introduce)
    assert isinstance(result.outcomes[0].error, RotationError)
    assert result.outcomes[1].version is not None


def test_progress_is_told_row_by_row_in_the_file_s_order(manifest: Manifest, store: Store) -> None:
    told: list[ImportOutcome] = []
    plan = planned(f"LEVEL=1\nAPI_KEY={canary()}\nVANTAGE_API_KEY=\n", manifest, store)
    result = run_import(plan, store, on_progress=told.append)
    assert tuple(told) == result.outcomes
    assert [outcome.row.key for outcome in told] == ["LEVEL", "API_KEY", "VANTAGE_API_KEY"]


def test_what_is_left_names_consumers_lines_to_remove_and_history(manifest: Manifest, store: Store) -> None:
    plan = planned(f"KAFKA_SASL_PASSWORD={canary()}\nLEVEL=1\nAPI_KEY={canary()}\n", manifest, store)
    restart, remove, history = run_import(plan, store).left_to_do[-3:]
    assert restart.startswith("Restart collector, query-api, worker")
    assert remove.endswith("KAFKA_SASL_PASSWORD, API_KEY")
    assert "history" in history


def test_with_nothing_imported_nobody_is_told_to_remove_anything(manifest: Manifest, store: Store) -> None:
    assert not any("remove" in words for words in run_import(planned("LEVEL=1\n", manifest, store), store).left_to_do)


def test_plan_and_result_show_no_value(manifest: Manifest, store: Store) -> None:
    plain = canary()
    plan = planned(f"API_KEY={plain}\nMY_TOKEN={plain}\n", manifest, store)
    result = run_import(plan, store)
    assert plain not in f"{plan!r}{result!r}{result.left_to_do}"


def test_what_a_target_asks_its_administrator_for_is_brought_first(manifest: Manifest, store: Store) -> None:
    kind = 'kind = "kafka-password"\n'
    more = """
[targets.kafka]
bootstrap = ["kafka:9093"]
admin_secret = "vantage/kafka-admin"
[secrets.KAFKA_ADMIN_PASSWORD]
name = "vantage/kafka-admin"
purpose = "Changes logins"
owner = "platform"
"""
    text = manifest.path.read_text().replace(kind, f'{kind}account = "vantage"\n')
    manifest.path.write_text(text + more)
    plan = planned(f"KAFKA_SASL_PASSWORD={canary()}\nKAFKA_ADMIN_PASSWORD={canary()}\n", load(manifest.path), store)
    assert [row.key for row in plan.rows] == ["KAFKA_ADMIN_PASSWORD", "KAFKA_SASL_PASSWORD"]

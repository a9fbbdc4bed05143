"""Settings classes that take their secrets from the store."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

import vantage_secrets
from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.client.pydantic_settings import VantageSecretsSource, VantageSettings
from vantage_secrets.errors import InvalidInputError, StoreAccessDeniedError, StoreUnavailableError
from vantage_secrets.secret import SecretName
from vantage_secrets.testing import MemoryStore

PASSWORD = SecretName("vantage/worker-clickhouse-password")
KEY = SecretName("vantage/api-key")
ALIASES = {
    "WORKER_CLICKHOUSE_PASSWORD": PASSWORD,
    "VANTAGE_API_KEY": KEY,
    "WORKER_LOGIN": SecretName("vantage/worker-login"),
    "WORKER_CLICKHOUSE__PASSWORD": SecretName("vantage/nested-password"),
}


@pytest.fixture
def value() -> str:
    return canary()


@pytest.fixture
def store(value: str) -> MemoryStore:
    return MemoryStore({str(PASSWORD): value, str(KEY): canary("key")})


@pytest.fixture(autouse=True)
def client(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretClient]:
    """The process's own client."""
    with SecretClient(store, aliases=ALIASES, background=False) as own:
        monkeypatch.setattr(vantage_secrets, "default_client", lambda: own)
        yield own


class Worker(VantageSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")

    clickhouse_host: str = "localhost"
    clickhouse_password: str = ""


def test_a_field_is_filled_from_the_store_and_one_that_is_no_secret_from_the_next_source(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_CLICKHOUSE_HOST", "db.internal")
    settings = Worker()
    assert settings.clickhouse_password == value
    assert settings.clickhouse_host == "db.internal"


def test_only_the_secrets_that_the_class_has_fields_for_are_read(store: MemoryStore) -> None:
    Worker()
    assert store.reads == {PASSWORD: 1}


def test_the_order_is_arguments_store_environment_dotenv(
    store: MemoryStore, client: SecretClient, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dotenv = tmp_path / "CLEAR.env"
    dotenv.write_text("WORKER_CLICKHOUSE_PASSWORD=from-dotenv\n")
    assert Worker(clickhouse_password="from-arguments").clickhouse_password == "from-arguments"
    monkeypatch.setenv("WORKER_CLICKHOUSE_PASSWORD", "from-environment")
    assert Worker(_env_file=dotenv).clickhouse_password == value
    store.delete(PASSWORD)
    client.fresh_values.clear()
    with pytest.raises(Exception, match="There is no secret"):
        client.refresh(PASSWORD)
    assert Worker(_env_file=dotenv).clickhouse_password == "from-environment"
    monkeypatch.delenv("WORKER_CLICKHOUSE_PASSWORD")
    assert Worker(_env_file=dotenv).clickhouse_password == "from-dotenv"


def test_a_secret_str_field_hides_the_value(value: str) -> None:
    class Hiding(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_")
        clickhouse_password: SecretStr

    settings = Hiding()
    assert settings.clickhouse_password.get_secret_value() == value
    assert value not in repr(settings)


def test_aliases_work_as_for_the_environment(store: MemoryStore, value: str) -> None:
    class Aliased(VantageSettings):
        key: str = Field(validation_alias="VANTAGE_API_KEY")
        password: str = Field(validation_alias=AliasChoices("NOT_THERE", "worker_clickhouse_password"))
        by_name: str = Field(validation_alias="vantage/api-key")

    settings = Aliased()
    assert store.read(KEY).value.matches(settings.key)
    assert settings.password == value
    assert settings.by_name == settings.key


def test_case_matters_exactly_when_the_class_says_so(value: str) -> None:
    class Loose(VantageSettings):
        Worker_ClickHouse_Password: str = "default"

    class Strict(VantageSettings):
        model_config = SettingsConfigDict(case_sensitive=True)
        worker_clickhouse_password: str = "default"
        WORKER_CLICKHOUSE_PASSWORD: str = "default"

    assert Loose().Worker_ClickHouse_Password == value
    strict = Strict()
    assert (strict.worker_clickhouse_password, value == strict.WORKER_CLICKHOUSE_PASSWORD) == ("default", True)


def test_a_prefix_given_when_the_settings_are_made_counts_for_the_store_too(value: str) -> None:
    class Bare(VantageSettings):
        clickhouse_password: str = "default"

    assert Bare().clickhouse_password == "default"
    assert Bare(_env_prefix="WORKER_").clickhouse_password == value


class Login(BaseModel):
    username: str
    password: SecretStr


def test_a_secret_with_named_fields_fills_a_nested_model(store: MemoryStore, value: str) -> None:
    class Nested(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_")
        login: Login

    store.put("vantage/worker-login", {"username": "worker", "password": value})
    assert Nested().login.password.get_secret_value() == value


def test_a_nested_field_is_found_by_the_delimiter_and_joins_the_environment(
    store: MemoryStore, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nested(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_", env_nested_delimiter="__")
        clickhouse: Login

    store.put("vantage/nested-password", value)
    store.reads.clear()
    monkeypatch.setenv("WORKER_CLICKHOUSE__USERNAME", "worker")
    settings = Nested()
    assert (settings.clickhouse.username, settings.clickhouse.password.get_secret_value() == value) == ("worker", True)
    assert set(store.reads) == {SecretName("vantage/nested-password")}


def test_an_outage_and_a_refusal_are_raised_as_they_are(store: MemoryStore) -> None:
    store.away = True
    with pytest.raises(StoreUnavailableError):
        Worker()
    store.away = False
    store.denied.add(PASSWORD)
    with pytest.raises(StoreAccessDeniedError):
        Worker()


def test_a_plain_settings_class_may_put_the_source_in_itself(client: SecretClient, value: str) -> None:
    class Plain(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_", hide_input_in_errors=True)
        clickhouse_password: str

        @classmethod
        def settings_customise_sources(cls, settings_cls: type[BaseSettings], **sources: Any) -> Any:
            return sources["init_settings"], VantageSecretsSource(settings_cls, client)

    assert Plain().clickhouse_password == value


def test_a_class_whose_errors_would_print_inputs_is_refused(client: SecretClient) -> None:
    class Printing(BaseSettings):
        password: str

    with pytest.raises(InvalidInputError, match="Printing") as caught:
        VantageSecretsSource(Printing, client)
    assert "hide_input_in_errors" in caught.value.hint


def test_the_source_shows_no_value(client: SecretClient, value: str) -> None:
    source = VantageSecretsSource(Worker, client, env_prefix="WORKER_")
    assert source()["clickhouse_password"] == value
    assert repr(source) == "VantageSecretsSource(env_prefix='WORKER_')"
    assert value not in repr(vars(source))


# What an error holds


def _everything_in(error: BaseException) -> str:
    told = "".join(traceback.format_exception(error))
    chain: list[BaseException | None] = [error]
    for each in chain:
        if each is not None:
            told += f"{each!s} {each!r} {each.args!r} {vars(each)!r} {getattr(each, 'doc', '')}"
            told += f"{each.errors()!r} {each.json()}" if isinstance(each, ValidationError) else ""
            chain += [each.__cause__, each.__context__]
    return told


class _WrongNumber(VantageSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")
    clickhouse_password: int


class _Missing(VantageSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")
    clickhouse_password: str
    not_there: str


class _Validated(VantageSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")
    clickhouse_password: str

    @field_validator("clickhouse_password")
    @classmethod
    def _refuse(cls, given: str) -> str:
        raise ValueError(f"{given} is too weak")


class _Asserted(_Validated):
    @field_validator("clickhouse_password")
    @classmethod
    def _refuse(cls, given: str) -> str:
        raise AssertionError(f"{given} is too weak")


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        (_WrongNumber, {"int_parsing"}),
        (_Missing, {"missing"}),
        (_Validated, {"value_error"}),
        (_Asserted, {"value_error"}),
    ],
)
def test_a_validation_error_holds_no_value_anywhere(
    settings: type[VantageSettings], kinds: set[str], value: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings()
    told = _everything_in(caught.value)
    assert "clickhouse_password" in told or "not_there" in told
    assert (value in told) is False
    assert {each["type"] for each in caught.value.errors()} == kinds
    assert {each["input"] for each in caught.value.errors()} == {"***"}


def test_a_secret_for_a_nested_model_that_is_not_json_is_not_in_the_error(store: MemoryStore, value: str) -> None:
    class Nested(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_")
        login: Login

    store.put("vantage/worker-login", value)
    with pytest.raises(SettingsError) as caught:
        Nested()
    assert (value in _everything_in(caught.value)) is False


def test_the_values_may_still_be_json_where_the_field_takes_text_too(store: MemoryStore, value: str) -> None:
    class Either(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_")
        login: dict[str, str] | str

    store.put("vantage/worker-login", value)
    assert Either().login == value
    store.put("vantage/worker-login", json.dumps({"password": value}))
    vantage_secrets.default_client().refresh()
    assert Either().login == {"password": value}


def test_without_pydantic_settings_the_import_names_the_pip_command() -> None:
    code = (
        "import sys; sys.modules['pydantic_settings'] = None\n"
        "from vantage_secrets.errors import MissingExtraError\n"
        "try:\n"
        "    import vantage_secrets.client.pydantic_settings\n"
        "except MissingExtraError as exc:\n"
        "    print(exc.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'vantage-secrets[pydantic]'"

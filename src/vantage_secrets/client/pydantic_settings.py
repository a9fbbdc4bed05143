"""Settings classes of pydantic-settings that take their secrets from the store.

::

    class WorkerSettings(VantageSettings):
        model_config = SettingsConfigDict(env_prefix="WORKER_")
        clickhouse_host: str
        clickhouse_password: SecretStr  # the manifest's WORKER_CLICKHOUSE_PASSWORD

A field is looked up as pydantic-settings would look up its environment variable (prefix, aliases, case), among the
manifest's keys. The order is: arguments, store, environment, ``.env`` file, secret files; a field that is no secret of
the manifest, or whose secret the store does not hold, falls to the next source.

Raises:
    MissingExtraError: pydantic-settings is not installed; at import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from vantage_secrets.errors import InvalidInputError, MissingExtraError, SecretNotFoundError, VantageSecretsError
from vantage_secrets.secret import REDACTED, SecretName

try:
    from pydantic import ValidationError
    from pydantic_core import InitErrorDetails, PydanticCustomError
    from pydantic_core.core_schema import ErrorType
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
        SettingsError,
    )
except ModuleNotFoundError:
    raise MissingExtraError("pydantic-settings", "pydantic") from None

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from vantage_secrets.client.secret_client import SecretClient


class VantageSecretsSource(EnvSettingsSource):
    """Looks fields up in the store under the names that their environment variables would have.

    Only the secrets that the class has fields for are read. A secret with named fields fills a nested model.

    SECURITY: pydantic prints a wrong input, and for a missing field all inputs, in its errors. The source therefore
    refuses a class that does not set ``hide_input_in_errors``. What ``ValidationError.errors()`` returns still has
    the inputs, unless the class is a :class:`VantageSettings`.

    Args:
        settings_cls: The class to fill.
        client: Where to read; the process's own client by default.
        **options: ``env_prefix``, ``case_sensitive`` and the others of pydantic's ``EnvSettingsSource``.

    Raises:
        InvalidInputError: The class does not set ``hide_input_in_errors``.
    """

    def __init__(self, settings_cls: type[BaseSettings], client: SecretClient | None = None, **options: Any) -> None:
        """Know the names; read nothing yet."""
        if not settings_cls.model_config.get("hide_input_in_errors"):
            raise InvalidInputError(
                f"pydantic would print secrets in the validation errors of {settings_cls.__name__}.",
                hint="Derive it from VantageSettings, or set hide_input_in_errors=True in its model_config.",
            )
        super().__init__(settings_cls, **options)
        if client is None:
            from vantage_secrets import default_client

            client = default_client()
        self.env_vars = _Secrets(client, case_sensitive=self.case_sensitive)

    def __call__(self) -> dict[str, Any]:
        """Return what the store has for the class's fields.

        Raises:
            VantageSecretsError: What the store said, other than that there is no such secret.
            SettingsError: A secret for a nested field is not JSON.
        """
        try:
            return super().__call__()
        except SettingsError as exc:
            ours = exc.__cause__
            if not isinstance(ours, VantageSecretsError):
                raise
        raise ours

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return the JSON that ``value`` is.

        Raises:
            ValueError: It is not JSON.
        """
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            pass
        # SECURITY: raised out here, because json.JSONDecodeError keeps the whole text, and a chain would keep that.
        raise ValueError(f"the secret for '{field_name}' is not JSON")

    def explode_env_vars(self, field_name: str, field: FieldInfo, env_vars: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the nested values whose names begin with the field's, without reading any other secret."""
        if not self.env_nested_delimiter:
            return {}
        starts = tuple(name + self.env_nested_delimiter for _, name, _ in self._extract_field_info(field, field_name))
        below = {name: env_vars[name] for name in env_vars if name.startswith(starts) and env_vars.get(name)}
        return super().explode_env_vars(field_name, field, below)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(env_prefix={self.env_prefix!r})"


class _Secrets(Mapping[str, "str | None"]):
    """The secrets by environment spelling and canonical name, each read when it is asked for."""

    def __init__(self, client: SecretClient, *, case_sensitive: bool) -> None:
        self._client = client
        spelled = {**{str(name): name for name in client.aliases.values()}, **client.aliases}
        self._names: dict[str, SecretName] = {
            text if case_sensitive else text.lower(): name for text, name in spelled.items()
        }

    def __getitem__(self, key: str) -> str:
        try:
            value = self._client.get(self._names[key])
        except SecretNotFoundError:
            raise KeyError(key) from None
        revealed = value.reveal()
        return json.dumps(revealed) if isinstance(revealed, dict) else value.reveal_text()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class VantageSettings(BaseSettings):
    """A ``BaseSettings`` whose secrets come from the store, and whose validation errors hold no input.

    Attributes:
        vantage_client: Where to read; the process's own client by default.

    Raises:
        pydantic.ValidationError: A value is of the wrong shape or missing; every input in it is ``***``.
        VantageSecretsError: As :class:`VantageSecretsSource`.
    """

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    vantage_client: ClassVar[SecretClient | None] = None

    def __init__(self, /, **values: Any) -> None:
        """Fill the fields, from ``values`` first."""
        try:
            super().__init__(**values)
        except ValidationError as exc:
            bare = _without_inputs(exc)
        else:
            return
        # SECURITY: raised out here, so that the error with the inputs is not kept as its context.
        raise bare

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order: arguments, store, environment, ``.env`` file, secret files."""
        options = {}
        if isinstance(env_settings, EnvSettingsSource):  # What was given to __init__ as _env_prefix and the like.
            options = {
                "case_sensitive": env_settings.case_sensitive,
                "env_prefix": env_settings.env_prefix,
                "env_nested_delimiter": env_settings.env_nested_delimiter,
                "env_parse_none_str": env_settings.env_parse_none_str,
                "env_parse_enums": env_settings.env_parse_enums,
            }
        store = VantageSecretsSource(settings_cls, cls.vantage_client, **options)
        return init_settings, store, env_settings, dotenv_settings, file_secret_settings


# pydantic's own errors whose texts may quote what was given: a validator's words, a tag, a character.
_QUOTING = frozenset({"value_error", "assertion_error", "union_tag_invalid", "get_attribute_error", "uuid_parsing"})
_PLAIN = frozenset(get_args(ErrorType)) - _QUOTING


def _without_inputs(error: ValidationError) -> ValidationError:
    """Return the same errors with every input replaced, and with none of the texts that may quote one."""
    details: list[InitErrorDetails] = []
    for each in error.errors(include_url=False, include_input=False):
        if each["type"] in _PLAIN:
            kind: str | PydanticCustomError = each["type"]
            context = each.get("ctx", {})
        else:
            kind, context = PydanticCustomError("value_error", "The value was refused by a check of its field"), {}
        details.append(InitErrorDetails(type=kind, loc=each["loc"], input=REDACTED, ctx=context))
    return ValidationError.from_exception_data(error.title, details, hide_input=True)

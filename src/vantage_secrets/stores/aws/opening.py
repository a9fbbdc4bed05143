"""Opening an AWS store by its URL: region and prefix, options, and the chain of credentials."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from vantage_secrets.clock import Clock, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError, InvalidURLError, MissingExtraError, StoreAccessDeniedError
from vantage_secrets.stores.aws.examining import Login
from vantage_secrets.stores.aws.service import Service
from vantage_secrets.stores.aws.store import AwsStore

_OPTIONS: Final = frozenset(
    {"endpoint_url", "profile", "role_arn", "kms_key_id", "recovery_window", "timeout"},
)
_PLACE = re.compile(r"aws://([a-z]{2,}(?:-[a-z]+)+-[0-9]+)(?:/([A-Za-z0-9/_+=.@-]*))?", re.ASCII)
_PREFIX_LENGTH_MAX: Final = 300  # A name at AWS has at most 512 characters, one of ours 127.

_TIMEOUT: Final = "15s"
_ATTEMPT_COUNT: Final = 3
_BACK_OFF_SECONDS: Final = 3.0
"""What botocore's standard retry mode waits at most in all: up to 1 s, then up to 2 s, with full jitter."""
_CONNECT_SECONDS_MAX: Final = 3.0
_READ_SECONDS_MAX: Final = 10.0
_TIMEOUT_SECONDS_MIN: Final = 5.0

_WINDOW_DAYS: Final = range(7, 31)
_WINDOW_DEFAULT: Final = "30"


def open_aws(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Callable[[], str] | None = None,  # noqa: ARG001  # nobody is asked for a passphrase
    clock: Clock = utc_now,
) -> AwsStore:
    """Return the store that ``url`` names. Nothing is read or written at AWS yet.

    Credentials come from the SDK's own chain: environment variables, the profile's role or SSO session, web
    identity, the container's or the machine's role. A long-lived access key works, and a warning is logged.

    Args:
        url: ``aws://REGION/PREFIX``, such as ``aws://eu-central-1/vantage/production``; the prefix may be left out.
        environment: Which environment's secrets are kept here; written as a tag.
        options: ``endpoint_url`` (a VPC endpoint, or a server for tests), ``profile``, ``role_arn`` (a role to
            assume), ``kms_key_id`` (for new secrets), ``recovery_window`` (days, 7 to 30, or 0 to delete at once;
            30 by default), ``timeout`` (how long one call may take with its retries, 5s or more; 15s by default).
        prompt: Not used.
        clock: Tells the time that versions bear.

    Raises:
        InvalidURLError: The URL names no region, or a prefix that AWS does not take.
        InvalidInputError: An option is unknown or not valid, or there is no such profile.
        MissingExtraError: ``boto3`` is not installed.
        StoreAccessDeniedError: The SDK's configuration of the login cannot be used.
    """
    region, prefix = place_in(url)
    window, timeout_seconds = _checked(options)
    try:
        import boto3  # noqa: F401  # looked for first, so that what is missing is named
    except ImportError:
        raise MissingExtraError("boto3", "aws") from None
    client, login = _connect(region, options, timeout_seconds)
    return AwsStore(
        Service(client),
        url=f"aws://{region}/{prefix}".rstrip("/"),
        prefix=f"{prefix}/" if prefix else "",
        environment=environment,
        login=login,
        kms_key_id=options.get("kms_key_id"),
        recovery_window=window,
        clock=clock,
    )


def place_in(url: str) -> tuple[str, str]:
    """Return the region and the prefix that ``url`` names, the prefix without slashes at its ends.

    Raises:
        InvalidURLError: It names none, or a prefix that AWS does not take.
    """
    found = _PLACE.fullmatch(url)
    prefix = (found[2] or "").strip("/") if found else ""
    if found is None or "//" in prefix or len(prefix) > _PREFIX_LENGTH_MAX:
        raise InvalidURLError(
            f"'{url}' names no region of AWS, or a prefix that it does not take.",
            hint="Use aws://REGION/PREFIX, such as aws://eu-central-1/vantage, with letters, digits and /_+=.@- in it.",
        )
    return found[1], prefix


def _checked(options: Mapping[str, str]) -> tuple[int, float]:
    """Return the recovery window, days, and the time for one call, seconds."""
    if unknown := sorted(set(options) - _OPTIONS):
        raise InvalidInputError(
            f"The AWS store has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(_OPTIONS))}."
        )
    window = options.get("recovery_window", _WINDOW_DEFAULT)
    if not (window.isdecimal() and (int(window) == 0 or int(window) in _WINDOW_DAYS)):
        raise InvalidInputError(
            f"'{window[:20]}' is no recovery window.", hint="Give 7 to 30 days, or 0 to delete at once."
        )
    seconds = parse_duration(options.get("timeout", _TIMEOUT)).total_seconds()
    if seconds < _TIMEOUT_SECONDS_MIN:
        raise InvalidInputError(f"{seconds:.0f} s is too short a timeout.", hint="Give 5s or more.")
    return int(window), seconds


def _connect(region: str, options: Mapping[str, str], timeout_seconds: float) -> tuple[Any, Login]:
    """Return a client for the region, and what is known about its login."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        session, login = _session(region, options.get("profile"), options.get("role_arn"))
        client = session.client(
            "secretsmanager", endpoint_url=options.get("endpoint_url"), config=_config(timeout_seconds)
        )
    except ValueError as exc:
        error: Exception = InvalidInputError(f"An option of the AWS store is not valid: {type(exc).__name__}.")
    except (BotoCoreError, ClientError) as exc:
        error = _login_error(exc, options.get("profile"))
    else:
        if login.is_long_lived:
            _warn(login)
        return client, login
    raise error


def _config(timeout_seconds: float) -> Any:
    """Return the SDK's settings by which one call with all its retries ends within ``timeout_seconds``."""
    from botocore.config import Config

    for_one = (timeout_seconds - _BACK_OFF_SECONDS) / _ATTEMPT_COUNT
    return Config(
        connect_timeout=min(_CONNECT_SECONDS_MAX, for_one),
        read_timeout=min(_READ_SECONDS_MAX, for_one),
        retries={"mode": "standard", "total_max_attempts": _ATTEMPT_COUNT},
        parameter_validation=True,
    )


def _session(region: str, profile: str | None, role_arn: str | None) -> tuple[Any, Login]:
    import boto3
    import botocore.session
    from botocore.credentials import RefreshableCredentials

    source = botocore.session.Session(profile=profile)
    source.set_config_variable("region", region)
    credentials = source.get_credentials()
    is_static = credentials is not None and not isinstance(credentials, RefreshableCredentials)
    login = Login(
        method=credentials.method if credentials else "none",
        is_long_lived=bool(is_static and credentials.token is None),
        role_arn=role_arn or "",
    )
    chosen = _assuming(source, role_arn) if role_arn and credentials else source
    return boto3.Session(botocore_session=chosen, region_name=region), login


def _assuming(source: Any, role_arn: str) -> Any:
    """Return a session that assumes the role when it is first needed, and again before the login expires."""
    import botocore.session
    from botocore import credentials

    class AssumedRole(credentials.CredentialProvider):  # type: ignore[misc]  # botocore has no types
        METHOD = "assume-role"

        def load(self) -> Any:
            fetcher = credentials.AssumeRoleCredentialFetcher(
                client_creator=source.create_client,
                source_credentials=source.get_credentials(),
                role_arn=role_arn,
                extra_args={"RoleSessionName": "vantage-secrets"},
            )
            return credentials.DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    session = botocore.session.Session()
    session.register_component("credential_provider", credentials.CredentialResolver([AssumedRole()]))
    return session


def _login_error(exc: Exception, profile: str | None) -> Exception:
    if type(exc).__name__ == "ProfileNotFound":
        return InvalidInputError(
            f"There is no AWS profile '{profile}'.", hint="'aws configure list-profiles' shows those that there are."
        )
    return StoreAccessDeniedError(
        f"The AWS login cannot be used: {type(exc).__name__}.",
        hint="Check ~/.aws/config; 'aws sts get-caller-identity' shows who is logged in.",
    )


def _warn(login: Login) -> None:
    import logging

    logging.getLogger(__name__).warning("%s %s", login.words, login.next_action)

"""What works at AWS, what is missing, and the next command; for a person, without a value and without a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreUnavailableError,
    VantageSecretsError,
)
from vantage_secrets.stores.aws.directory import Directory
from vantage_secrets.stores.aws.marks import CURRENT, ENVIRONMENT
from vantage_secrets.stores.aws.service import Service
from vantage_secrets.stores.contract import Examination, Health

_ABSENT: Final = "examination--never-created"  # No name of ours has two hyphens in a row.
_ABSENT_VERSION: Final = "00000000-0000-0000-0000-000000000000"

_PROBES: Final[Mapping[str, Mapping[str, Any]]] = {
    "describe_secret": {},
    "get_secret_value": {"VersionStage": CURRENT},
    "list_secret_version_ids": {},
    "put_secret_value": {"SecretString": "examination", "ClientRequestToken": _ABSENT_VERSION},
    "update_secret_version_stage": {"VersionStage": "examination", "MoveToVersionId": _ABSENT_VERSION},
    "tag_resource": {"Tags": [{"Key": "examination", "Value": "examination"}]},
    "untag_resource": {"TagKeys": ["examination"]},
    "delete_secret": {"RecoveryWindowInDays": 30},
    "restore_secret": {},
}
"""Calls on a secret that does not exist: who may make them hears that it is absent, who may not hears that."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where the credentials come from.

    Attributes:
        method: The SDK's word for it: ``iam-role``, ``assume-role-with-web-identity``, ``sso``, ``env``; ``none``.
        is_long_lived: Whether it is an access key that never expires.
        role_arn: The role that is assumed with it, or empty.
    """

    method: str
    is_long_lived: bool
    role_arn: str

    @property
    def words(self) -> str:
        """One sentence on it."""
        if self.method == "none":
            return "There are no AWS credentials."
        kind = "a long-lived access key" if self.is_long_lived else "temporary"
        role = f"; the role {self.role_arn} is assumed with them" if self.role_arn else ""
        return f"The AWS credentials come from '{self.method}' and are {kind}{role}."

    @property
    def next_action(self) -> str:
        """What to do about it; empty when nothing."""
        if self.method == "none":
            return "Give this machine a role, or log in: aws sso login"
        if self.is_long_lived:
            return "Give this machine a role, or log in with 'aws sso login', and delete the access key."
        return ""


def examine(service: Service, directory: Directory, login: Login, environment: str) -> Iterator[Examination]:
    """Yield how login, TLS, listing, permissions, AWS's own rotation and quotas stand."""
    yield _of_login(login)
    yield _of_tls(service.endpoint)
    if login.method == "none":
        return  # nothing else can be tried without
    try:
        entries = [*directory.entries()]
    except VantageSecretsError as exc:
        yield _failed("listing names", exc)
        if isinstance(exc, StoreUnavailableError):
            return
        entries = []
    else:
        ours = [entry for entry in entries if _environment_of(entry) == environment]
        words = f"{len(ours)} secret(s) of '{environment}' can be listed, {len(entries) - len(ours)} other(s) beside."
        yield Examination("listing names", Health.WORKS, words)
    yield from _of_permissions(service, directory)
    yield from _of_rotation(entries)
    yield from _of_keys(entries)


def _of_login(login: Login) -> Examination:
    if login.method == "none":
        health = Health.MISSING
    else:
        health = Health.WARNING if login.is_long_lived else Health.WORKS
    return Examination("login", health, login.words, login.next_action)


def _of_tls(endpoint: str) -> Examination:
    if endpoint.startswith("https://"):
        return Examination("TLS", Health.WORKS, f"Requests go to {endpoint}, encrypted.")
    return Examination(
        "TLS",
        Health.WARNING,
        f"Requests go to {endpoint}, in clear text; that is for tests alone.",
        "Use an https:// endpoint_url, or none.",
    )


def _of_permissions(service: Service, directory: Directory) -> Iterator[Examination]:
    """Try each permission on a secret that is absent; the right to create one cannot be tried without doing it."""
    absent = directory.absent_id(_ABSENT)
    for method, parameters in _PROBES.items():
        permission = "secretsmanager:" + "".join(word.capitalize() for word in method.split("_"))
        try:
            service.call(method, SecretId=absent, **parameters)
        except SecretNotFoundError:
            yield Examination(permission, Health.WORKS, "Allowed below this prefix; tried on a secret that is absent.")
        except StoreAccessDeniedError as exc:
            hint = exc.hint if "expired" in exc.message else f"Allow {permission}; the page of this store has a policy."
            yield Examination(permission, Health.MISSING, exc.message, hint)
        except VantageSecretsError as exc:
            yield _failed(permission, exc)
    yield Examination(
        "secretsmanager:CreateSecret",
        Health.WARNING,
        "Not tried: AWS has no way to ask without creating a secret.",
        "The first 'vantage-secrets set NAME' tries it.",
    )


def _of_rotation(entries: list[Mapping[str, Any]]) -> Iterator[Examination]:
    rotated = sorted(entry["Name"] for entry in entries if entry.get("RotationEnabled"))
    for secret_id in rotated:
        yield Examination(
            "rotation by AWS",
            Health.WARNING,
            f"AWS rotates '{secret_id}' by itself; it can be read here and not rotated.",
            f"aws secretsmanager cancel-rotate-secret --secret-id {secret_id}",
        )
    if not rotated:
        yield Examination("rotation by AWS", Health.WORKS, "AWS rotates none of these secrets by itself.")


def _of_keys(entries: list[Mapping[str, Any]]) -> Iterator[Examination]:
    keys = sorted({entry.get("KmsKeyId") or "aws/secretsmanager" for entry in entries})
    if keys:
        yield Examination("encryption keys", Health.WORKS, f"In use: {', '.join(keys)}.")


def _failed(part: str, exc: VantageSecretsError) -> Examination:
    return Examination(part, Health.BROKEN, exc.message, exc.hint)


def _environment_of(entry: Mapping[str, Any]) -> str | None:
    return next((tag.get("Value") for tag in entry.get("Tags") or () if tag["Key"] == ENVIRONMENT), None)

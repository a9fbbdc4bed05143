"""How tests open a target by itself, without a manifest, a store and an engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.database import Database
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.manifest.fields import TARGET_KINDS, TARGETS
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.targets.contract import TargetContext
from vantage_secrets.testing import TargetContract


def context(
    kind: str,
    name: SecretName = TargetContract.secret,
    *,
    account: str = "",
    database: Database | None = None,
    administrator: Callable[[], Credential] | None = None,
    clock: Clock = utc_now,
    **settings: Any,
) -> TargetContext:
    """Return what a target of that kind is opened with; settings that are not given have the manifest's defaults."""
    spec = SecretSpec(
        "CREDENTIAL", name, kind, "what it opens", "who", (), timedelta(90), timedelta(1), True, None, account=account
    )
    table = TARGET_KINDS.get(kind)
    values = {field.name: field.default for field in TARGETS[table]} | settings if table else {}
    return TargetContext(
        spec,
        TargetSettings(table, table, values) if table else None,
        (lambda: database) if database else _unasked,
        administrator or _unasked,
        clock,
    )


def reading(value: SecretValue, version: str, name: SecretName = TargetContract.secret) -> SecretReading:
    """Return what a store would give."""
    return SecretReading(value, SecretVersion(name, version, Stage.CURRENT, utc_now()))


def _unasked() -> NoReturn:
    raise AssertionError("this target asked for what it does not need")

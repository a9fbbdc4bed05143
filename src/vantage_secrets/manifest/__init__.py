"""``vantage-secrets.toml``: which secrets exist, who consumes them, how and how often they are rotated."""

from __future__ import annotations

from vantage_secrets.manifest.model import (
    FILE_NAME,
    AuditSettings,
    ClientSettings,
    DatabaseSettings,
    Manifest,
    NotificationSettings,
    ScheduleSettings,
    SecretSpec,
    StoreSettings,
    TargetSettings,
)
from vantage_secrets.manifest.reading import VARIABLE, find_manifest, load, parse
from vantage_secrets.manifest.schema import json_schema
from vantage_secrets.manifest.writing import add_secret, render_default

__all__ = [
    "FILE_NAME",
    "VARIABLE",
    "AuditSettings",
    "ClientSettings",
    "DatabaseSettings",
    "Manifest",
    "NotificationSettings",
    "ScheduleSettings",
    "SecretSpec",
    "StoreSettings",
    "TargetSettings",
    "add_secret",
    "find_manifest",
    "json_schema",
    "load",
    "parse",
    "render_default",
]

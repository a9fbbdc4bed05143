"""``vantage-secrets.toml``: which secrets exist, who consumes them, how and how often they are rotated."""

from __future__ import annotations

from vantage_secrets.manifest.model import (
    FILE_NAME,
    AuditSettings,
    ClientSettings,
    DatabaseSettings,
    Manifest,
    SecretSpec,
    StoreSettings,
)
from vantage_secrets.manifest.reading import VARIABLE, find_manifest, load, parse
from vantage_secrets.manifest.writing import render_default

__all__ = [
    "FILE_NAME",
    "VARIABLE",
    "AuditSettings",
    "ClientSettings",
    "DatabaseSettings",
    "Manifest",
    "SecretSpec",
    "StoreSettings",
    "find_manifest",
    "load",
    "parse",
    "render_default",
]

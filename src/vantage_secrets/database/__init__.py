"""The control database: what is known about credentials, without their values."""

from __future__ import annotations

from vantage_secrets.database.connection import Database
from vantage_secrets.database.tables import (
    SCHEMA_VERSION,
    api_keys_table,
    metadata,
    notices_table,
    pauses_table,
    receipts_table,
    sightings_table,
    value_fingerprints_table,
)

__all__ = [
    "SCHEMA_VERSION",
    "Database",
    "api_keys_table",
    "metadata",
    "notices_table",
    "pauses_table",
    "receipts_table",
    "sightings_table",
    "value_fingerprints_table",
]

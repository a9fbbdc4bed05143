"""The tables of the control database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

SCHEMA_VERSION = 3
"""Counts up when a table changes; a database of a later version is refused rather than guessed at. Versions 2 and 3
added tables and changed none, so a database of an earlier version becomes one of version 3 when it is opened."""


class _Instant(TypeDecorator[datetime]):
    """An aware UTC ``datetime``: SQLite gives it back without a zone, PostgreSQL in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

schema_table = Table("schema", metadata, Column("version", Integer, primary_key=True))

api_keys_table = Table(
    "api_keys",
    metadata,
    Column("lineage", String(127), primary_key=True, comment="the secret's name: all versions of one key"),
    Column("version_id", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False, comment="the public part of the key"),
    Column("salt", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="HMAC-SHA-256 of the whole key under the salt"),
    Column("created_at", _Instant, nullable=False),
    Column("expires_at", _Instant),
    Column("revoked_at", _Instant),
    Column("last_used_at", _Instant),
)

receipts_table = Table(
    "receipts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret", String(127), nullable=False, index=True),
    Column("service", String(40), nullable=False, comment="the consumer, as the manifest names it"),
    Column("instance", String(255), nullable=False, comment="one running process of it, or one connection of that"),
    Column("version_id", String(64), nullable=False),
    Column("since", _Instant, nullable=False, comment="when it took that version"),
    Column("seen_at", _Instant, nullable=False, comment="when it was last heard of"),
    Column("expected_by", _Instant, nullable=False, comment="when it should have been heard of again"),
    Column("ended_at", _Instant, comment="when it took another version or said goodbye"),
    Column("ended_by", String(16), comment="moved, closed or dismissed"),
    comment="who holds which version of which secret, now and in the past; no row is ever deleted",
)

sightings_table = Table(
    "sightings",
    metadata,
    Column("secret", String(127), primary_key=True),
    Column("version_id", String(64), comment="the current version; empty when there is none"),
    Column("current_at", _Instant, comment="when the current version was written; empty when there is none"),
    Column("oldest_at", _Instant, comment="when the oldest version that still opens the door was written"),
    Column("is_under_way", Boolean, nullable=False, comment="whether a version is pending or an overlap is open"),
    Column("looked_at", _Instant, nullable=False, comment="when the store was last asked"),
    Column("begun_at", _Instant, comment="when its last rotation began"),
    Column("failure_count", Integer, nullable=False, default=0, comment="failed runs since the last good one"),
    Column("retry_at", _Instant, comment="when it is tried again, after a failure or during an overlap"),
    comment="what the store said last of each secret, so that the schedule need not ask it again",
)

pauses_table = Table(
    "pauses",
    metadata,
    Column("subject", String(127), primary_key=True, comment="a secret's name, or * for all"),
    Column("since", _Instant, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("reason", String(200), nullable=False),
)

notices_table = Table(
    "notices",
    metadata,
    Column("secret", String(127), primary_key=True),
    Column("topic", String(40), primary_key=True),
    Column("version_id", String(64), primary_key=True),
    Column("sent_at", _Instant, nullable=False),
    comment="what people were told already",
)

value_fingerprints_table = Table(
    "value_fingerprints",
    metadata,
    Column("secret", String(127), primary_key=True),
    Column("version_id", String(64), primary_key=True),
    Column("fingerprint", String(32), primary_key=True, comment="keyed; one for each field of a value that has fields"),
    Column("key_id", String(8), primary_key=True, comment="which key it was made with"),
    Column("length", Integer, nullable=False, comment="of the value, in bytes"),
    Column("alphabet", String(16), nullable=False, comment="the smallest of a few alphabets that has all of it"),
    Column("seen_at", _Instant, nullable=False, comment="when the value was last there"),
    Column("retired_at", _Instant, comment="when it was retired, or first seen gone; empty while it can be read"),
    comment="what tells a value that no store can return any more, when it is found somewhere",
)

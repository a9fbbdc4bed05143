"""Passwords of PostgreSQL: two roles in turn, both with the rights of the account that the manifest names."""

from __future__ import annotations

from vantage_secrets.targets.postgresql.target import PostgresqlTarget

__all__ = ["PostgresqlTarget"]

"""Contracts and fakes for people who add a store or a target."""

from __future__ import annotations

from vantage_secrets.testing.clock import FakeClock
from vantage_secrets.testing.store import MemoryStore

__all__ = ["FakeClock", "MemoryStore"]

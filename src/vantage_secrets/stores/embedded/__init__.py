"""The embedded store: one encrypted SQLite file on this machine."""

from __future__ import annotations

from vantage_secrets.stores.embedded.keys import KeySource
from vantage_secrets.stores.embedded.opening import create_embedded, open_embedded
from vantage_secrets.stores.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore", "KeySource", "create_embedded", "open_embedded"]

"""Google Secret Manager as a store; the SDK is imported when one is opened."""

from __future__ import annotations

from vantage_secrets.stores.gcp.opening import open_gcp
from vantage_secrets.stores.gcp.store import GoogleStore

__all__ = ["GoogleStore", "open_gcp"]

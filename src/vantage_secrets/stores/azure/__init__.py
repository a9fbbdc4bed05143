"""The store in Azure Key Vault."""

from __future__ import annotations

from vantage_secrets.stores.azure.opening import open_azure
from vantage_secrets.stores.azure.store import AzureStore

__all__ = ["AzureStore", "open_azure"]

"""The store in HashiCorp Vault and OpenBao: a KV engine of version 2, through hvac."""

from __future__ import annotations

from vantage_secrets.stores.vault.opening import open_vault
from vantage_secrets.stores.vault.store import VaultStore

__all__ = ["VaultStore", "open_vault"]

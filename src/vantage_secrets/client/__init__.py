"""How an application reads secrets: cached, refreshed in the background, and not going down with the store."""

from __future__ import annotations

from vantage_secrets.client.readings import ClientEvent, ClientEventKind, ClientReading, ClientStats
from vantage_secrets.client.secret_client import SecretClient

__all__ = ["ClientEvent", "ClientEventKind", "ClientReading", "ClientStats", "SecretClient"]

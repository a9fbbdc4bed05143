"""API keys: the target is our own verifier, which accepts any number of valid versions of one key."""

from __future__ import annotations

from vantage_secrets.targets.api_key.target import ApiKeyTarget
from vantage_secrets.targets.api_key.verifier import ApiKeyVerifier, Verification

__all__ = ["ApiKeyTarget", "ApiKeyVerifier", "Verification"]

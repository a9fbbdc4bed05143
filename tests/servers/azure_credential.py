"""The login that tests use in place of one from azure-identity."""

from __future__ import annotations

import time
from typing import Any

from azure.core.credentials import AccessToken


class StaticCredential:
    """A login that is there already: its token is the principal's name."""

    def __init__(self, principal: str = "officer") -> None:
        self.principal = principal

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return a token that counts for an hour."""
        return AccessToken(self.principal, int(time.time()) + 3600)

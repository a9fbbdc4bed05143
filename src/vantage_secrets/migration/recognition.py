"""Which unknown variables of a ``.env`` file look like secrets, and what they would be called in a store.

This proposes and never decides: a name can look like a secret and be none, and the other way round.
"""

from __future__ import annotations

import re

from vantage_secrets.errors import InvalidSecretNameError, InvalidSecretValueError
from vantage_secrets.secret import SecretName, SecretValue

_SECRET_WORDS = frozenset(
    """
    APIKEY AUTH CREDENTIAL CREDENTIALS CREDS DSN KEY PASS PASSPHRASE PASSWD PASSWORD PRIVATE PWD SECRET SECRETS TOKEN
    WEBHOOK
    """.split()  # noqa: SIM905 - a list of twenty words is easier to read without forty quotes
)
_SECRET_ENDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "CREDENTIALS")
# What ends like this speaks about a secret and is none: TOKEN_TTL_SECONDS, API_KEY_FILE, AWS_ACCESS_KEY_ID.
_ABOUT_WORDS = frozenset(
    """
    ALGORITHM COUNT DAYS ENABLED FILE HEADER HOURS ID INTERVAL LENGTH LIMIT MAX MIN MINUTES NAME PATH PREFIX PUBLIC
    SECONDS SIZE TTL TYPE USER USERNAME VERSION
    """.split()  # noqa: SIM905
)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def looks_secret(key: str, value: SecretValue | None) -> bool:
    """Return whether the name says so, or the value is a URL with a password or a private key."""
    words = [word for word in key.upper().split("_") if word]
    named = any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)
    about = bool(words) and (words[-1] in _ABOUT_WORDS or words[-2:] == ["PUBLIC", "KEY"])
    return (named and not about) or (value is not None and _holds_credential(value))


def proposed_name(key: str) -> SecretName | None:
    """Return the name that follows from a variable, ``STRIPE_TOKEN`` to ``stripe-token``; ``None`` when none does."""
    try:
        return SecretName("-".join(word for word in key.lower().split("_") if word))
    except InvalidSecretNameError:
        return None


def _holds_credential(value: SecretValue) -> bool:
    try:
        text = value.reveal_text()
    except InvalidSecretValueError:
        return False
    return _PASSWORD_IN_URL.search(text) is not None or ("-----BEGIN " in text and "PRIVATE KEY-----" in text)

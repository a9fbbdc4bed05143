"""Where secrets are at Google: the project, the prefix and the location, and the names that follow from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from vantage_secrets.errors import InvalidSecretNameError, InvalidURLError
from vantage_secrets.secret import SecretName, Spelling

PENDING_SUFFIX: Final = "--pending"
"""What the secret that holds pending values is called after; no name of ours has two hyphens in a row."""

NAME_ANNOTATION: Final = "vantage-secrets-name"
"""Where a secret says which name of ours it bears."""

PREFIX_LENGTH_MAX: Final = 100
"""Longest prefix, in characters: with a name of 127 and the suffix it stays below Google's 255."""

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]{1,20}", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", re.ASCII)
_LOCATION = re.compile(r"[a-z]+(?:-[a-z]+)*[0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a project.

    Attributes:
        project: Id of the project, or its number.
        prefix: What the ids of all secrets begin with, before ``_``; empty for none.
        location: Region of regional secrets, such as ``europe-west3``; empty for global ones.
    """

    project: str
    prefix: str = ""
    location: str = ""

    @property
    def parent(self) -> str:
        """Full name of what holds the secrets."""
        return f"projects/{self.project}" + (f"/locations/{self.location}" if self.location else "")

    def secret_id(self, name: SecretName) -> str:
        """Return how Google writes ``name``."""
        spelled = name.spelled(Spelling.GOOGLE)
        return f"{self.prefix}_{spelled}" if self.prefix else spelled

    def secret(self, name: SecretName) -> str:
        """Return the full name of the secret that plain readers read."""
        return f"{self.parent}/secrets/{self.secret_id(name)}"

    def pending(self, name: SecretName) -> str:
        """Return the full name of the secret that holds the pending value."""
        return self.secret(name) + PENDING_SUFFIX

    def name_of(self, secret: Any) -> SecretName | None:
        """Return which name of ours a secret bears, or ``None`` when it is none of this place's.

        Args:
            secret: A ``Secret`` of the SDK.
        """
        try:
            name = SecretName(secret.annotations.get(NAME_ANNOTATION, ""))
        except InvalidSecretNameError:
            return None
        return name if self.secret_id(name) == secret.name.rpartition("/")[2] else None


def parse_url(url: str, location: str) -> Place:
    """Return the place that ``gcp://PROJECT`` or ``gcp://PROJECT/PREFIX`` names.

    Raises:
        InvalidURLError: It names no project, or the prefix or the location cannot be one.
    """
    scheme, _separator, rest = url.partition("://")
    project, slash, prefix = rest.partition("/")
    hint = "Use gcp://PROJECT or gcp://PROJECT/PREFIX."
    if scheme != "gcp" or _PROJECT.fullmatch(project) is None:
        raise InvalidURLError(f"'{url}' names no Google project.", hint=hint)
    if slash and (len(prefix) > PREFIX_LENGTH_MAX or _PREFIX.fullmatch(prefix) is None):
        raise InvalidURLError(
            f"'{prefix[:PREFIX_LENGTH_MAX]}' cannot be a prefix.",
            hint="Use 1 to 100 letters, digits, '-' and '_', with a letter or a digit at both ends.",
        )
    if location and _LOCATION.fullmatch(location) is None:
        raise InvalidURLError(f"'{location}' is no location.", hint="Use one such as europe-west3.")
    return Place(project, prefix, location)

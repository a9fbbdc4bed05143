"""Where a store's object is: a namespace and a name."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vantage_secrets.errors import InvalidURLError

# RFC 1123 labels and subdomains, as Kubernetes' "Object Names and IDs" limits them: 63 and 253 characters.
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAMESPACE: Final = re.compile(rf"(?=.{{1,63}}\Z){_LABEL}", re.ASCII)
_SECRET: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)


class Place(NamedTuple):
    """One Secret object of a cluster; its text is how messages name it."""

    namespace: str
    secret: str

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"kubernetes://{self.namespace}/{self.secret}"

    def __str__(self) -> str:
        return f"Secret '{self.secret}' in namespace '{self.namespace}'"


def place_in(url: str) -> Place:
    """Return the object that ``url`` names.

    Raises:
        InvalidURLError: It is not ``kubernetes://NAMESPACE/SECRET`` with names that Kubernetes allows.
    """
    scheme, _separator, rest = url.partition("://")
    namespace, _slash, secret = rest.partition("/")
    if scheme != "kubernetes" or not _NAMESPACE.fullmatch(namespace) or not _SECRET.fullmatch(secret):
        raise InvalidURLError(
            f"'{url}' names no Kubernetes Secret.", hint="Use kubernetes://NAMESPACE/SECRET, in lower-case letters."
        )
    return Place(namespace, secret)

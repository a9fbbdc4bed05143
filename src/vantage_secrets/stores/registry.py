"""Stores by URL: ``embedded:///var/lib/vantage-secrets/secrets.db`` opens the store that registered ``embedded``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vantage_secrets.errors import InvalidURLError
from vantage_secrets.stores.contract import Store

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "vantage_secrets.stores"
"""Packages that bring a store register its opener here: ``(url, *, environment, options, prompt) -> Store``."""


def registered_schemes() -> dict[str, EntryPoint]:
    """Return what can open which URL scheme, without importing any of it."""
    from importlib.metadata import entry_points  # only where a store is not the embedded one: it costs 15 ms

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def open_store(
    url: str, *, environment: str, options: Mapping[str, str] | None = None, prompt: Callable[[], str] | None = None
) -> Store:
    """Return the store that ``url`` names, opened.

    Args:
        url: ``SCHEME:…``; the rest is the store's own to read. Options may stand behind a ``?``.
        environment: Which environment's secrets it must hold, such as ``production``.
        options: Settings that are no part of the place, such as ``key_file``; each store documents its own.
        prompt: Asks a person for a passphrase, where one can be asked.

    Raises:
        InvalidURLError: No store is registered for the scheme, or the store cannot read the rest.
        MissingExtraError: The store's SDK is not installed.
        StoreError: The store refused or could not be opened.
    """
    url, settings = split_options(url)
    settings = {**(options or {}), **settings}
    scheme, separator, _rest = url.partition(":")
    if scheme == "embedded":  # Looking through all installed packages for entry points costs more than one read.
        from vantage_secrets.stores.embedded import open_embedded

        return open_embedded(url, environment=environment, options=settings, prompt=prompt)
    entry = registered_schemes().get(scheme) if separator else None
    if entry is None:
        known = ", ".join(sorted(registered_schemes()))
        raise InvalidURLError(f"No store is registered for '{scheme}:'.", hint=f"Use one of: {known}.")
    opened: Store = entry.load()(url, environment=environment, options=settings, prompt=prompt)
    return opened


def split_options(url: str) -> tuple[str, dict[str, str]]:
    """Return the place that ``url`` names and the options behind its ``?``, such as ``?key_file=/path``."""
    place, separator, query = url.partition("?")
    if not separator:
        return url, {}
    from urllib.parse import parse_qsl

    return place, dict(parse_qsl(query))

"""Everything that tells our own values in a scan, from a store and from what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from vantage_secrets.errors import DatabaseError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known.fingerprints import FingerprintBook
from vantage_secrets.leaks.known.reading import Readings, ValueReader
from vantage_secrets.leaks.known.retired import RetiredLookup
from vantage_secrets.leaks.known.search import KnownSearch
from vantage_secrets.leaks.known.spelling import WINDOW_BYTES
from vantage_secrets.leaks.known.verdict import Specs, key_of, specs_by_name
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.secret import SecretVersion
from vantage_secrets.stores.contract import Store


class KnownValues(NamedTuple):
    """What a scan needs to recognise our own values.

    Attributes:
        search: Finds those that can be read.
        retired: Tells those that cannot be read any more.
    """

    search: KnownSearch
    retired: RetiredLookup


def collect(
    store: Store,
    open_book: Callable[[FingerprintKey], FingerprintBook],
    *,
    key: FingerprintKey,
    secrets: Iterable[SecretSpec],
    coverage: Coverage,
) -> KnownValues:
    """Read all values of ``store``, remember them, and return what tells them and those that were there before.

    Args:
        store: Where they are.
        open_book: Returns the book of what is remembered under a key.
        key: Which key.
        secrets: What the manifest says.
        coverage: Told what was read, what could not be read, and what the reader of the report should know.

    Raises:
        MissingExtraError: ``hyperscan`` is not installed.
    """
    specs = specs_by_name(secrets)
    found = ValueReader(store, specs, coverage).read()
    retired = _retired(found, open_book, key, specs, coverage)
    search = KnownSearch(found.known_values(specs), key)
    coverage.add("secret value", len(search))
    if search.skipped:
        keys = sorted({search.values[number].version.secret for number in search.skipped})
        coverage.notes.append(
            f"Values, or fields of them, shorter than {WINDOW_BYTES} bytes are not searched for: {', '.join(keys)}."
        )
    return KnownValues(search, retired)


def _retired(
    found: Readings,
    open_book: Callable[[FingerprintKey], FingerprintBook],
    key: FingerprintKey,
    specs: Specs,
    coverage: Coverage,
) -> RetiredLookup:
    try:
        book = open_book(key)
        book.record(found.readings)
        untold = book.settle(
            found.described, lambda name: name not in found.failed and (found.is_listed or name in specs)
        )
        lookup = book.lookup(specs)
    except DatabaseError as exc:
        coverage.miss(Place("control database", kind="secret", detail="values that were retired"), exc.message)
        return RetiredLookup((), key)
    if untold:
        coverage.notes.append(_untold_words(untold, key, specs))
    return lookup


def _untold_words(untold: Iterable[SecretVersion], key: FingerprintKey, specs: Specs) -> str:
    counts: dict[str, int] = {}
    for version in untold:
        name = key_of(specs, version.name)
        counts[name] = counts.get(name, 0) + 1
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    return (
        f"Retired versions of which nothing was remembered under the key {key.key_id}, so that a leak of them is not "
        f"recognised: {listed}."
    )

"""Bring the values out of a store: every version that can be read, of every secret that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    VantageSecretsError,
)
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.known.search import KnownValue
from vantage_secrets.leaks.known.verdict import Specs, key_of, known_version
from vantage_secrets.secret import SecretName, SecretReading, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Store

_T = TypeVar("_T")
_READABLE = (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)


class Readings(NamedTuple):
    """What was read of a store.

    Attributes:
        readings: Each value that could be read, with its version.
        described: All versions of each secret, also those that cannot be read any more.
        failed: Secrets of which the store did not say whether they are there.
        is_listed: Whether the store listed all that it has.
    """

    readings: list[SecretReading]
    described: list[tuple[SecretVersion, ...]]
    failed: frozenset[SecretName]
    is_listed: bool

    def known_values(self, specs: Specs) -> list[KnownValue]:
        """Return the values with what a finding says of each."""
        current = {versions[0].name: _in_stage(versions, Stage.CURRENT) for versions in self.described}
        return [
            KnownValue(known_version(specs, version, current.get(version.name)), value)
            for value, version in self.readings
        ]


class ValueReader:
    """Reads all values of one store; what it cannot read, it tells, and goes on.

    Args:
        store: Where they are; reads are on record where it is an ``AuditedStore``.
        specs: What the manifest says of its secrets.
        coverage: Told what could not be read. A secret that the manifest does not have, and that may not be read
            either, is only noted: it is somebody else's.
    """

    def __init__(self, store: Store, specs: Specs, coverage: Coverage) -> None:
        """Read nothing yet."""
        self._store = store
        self._specs = specs
        self._coverage = coverage
        self._failed: set[SecretName] = set()

    def read(self) -> Readings:
        """Return every value that can be read, of the manifest's secrets and of any other that the store lists."""
        listed = self._listed()
        names = sorted({*self._specs, *(listed or ())})
        described = self._each(names, self._store.describe_many, self._store.describe)
        failed = frozenset(self._failed)
        alive = [version for versions in described for version in versions if version.stage in _READABLE]
        current = [version.name for version in alive if version.stage is Stage.CURRENT]
        readings = self._each(current, self._store.read_many, self._store.read)
        # A version that became current, or ceased to be, between the two calls is read as what it is now.
        read_already = {(reading.version.name, reading.version.id) for reading in readings}
        for version in alive:
            if (version.name, version.id) not in read_already:
                with self._told(version.name, version.id):
                    readings.append(self._read_version(version))
        return Readings(readings, described, failed, listed is not None)

    def _listed(self) -> list[SecretName] | None:
        try:
            return list(self._store.list())
        except VantageSecretsError as exc:
            self._coverage.notes.append(f"The secrets of {self._store.url} cannot be listed: {exc.message}")
            return None

    def _read_version(self, version: SecretVersion) -> SecretReading:
        if Capability.READ_BY_VERSION in self._store.capabilities:
            return self._store.read(version.name, version=version.id)
        return self._store.read(version.name, stage=version.stage)

    def _each(
        self,
        names: Sequence[SecretName],
        many: Callable[[Iterable[SecretName]], Iterator[_T]],
        one: Callable[[SecretName], _T],
    ) -> list[_T]:
        """Return what the store says of each; one by one when the call for all together failed."""
        try:
            return list(many(names))
        except VantageSecretsError:
            found = []
        for name in names:
            with self._told(name):
                found.append(one(name))
        return found

    @contextmanager
    def _told(self, name: SecretName, version_id: str = "") -> Iterator[None]:
        """Go on after a failure, which is told; that a secret or version is gone by now is none."""
        try:
            yield
        except SecretNotFoundError:
            return
        except VantageSecretsError as exc:
            self._failed.add(name)
            place = Place(self._store.url, key_of(self._specs, name), kind="secret", detail=version_id)
            if isinstance(exc, StoreAccessDeniedError) and name not in self._specs:
                self._coverage.notes.append(f"{place.path} may not be read, and the manifest does not have it.")
            else:
                self._coverage.miss(place, exc.message)


def _in_stage(versions: tuple[SecretVersion, ...], stage: Stage) -> SecretVersion | None:
    return next((version for version in versions if version.stage is stage), None)

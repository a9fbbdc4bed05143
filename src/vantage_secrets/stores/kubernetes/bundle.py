"""One Kubernetes Secret: the values in its data, and in an annotation what is known of their versions."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from collections.abc import Iterable
from typing import Any, Final

from vantage_secrets.errors import (
    EnvironmentMismatchError,
    InvalidSecretNameError,
    SecretNotFoundError,
    StoreError,
    StoreFullError,
    StoreIntegrityError,
    StoreReadOnlyError,
)
from vantage_secrets.secret import SecretName, SecretValue, Spelling, Stage
from vantage_secrets.stores.kubernetes.encoding import DIGEST_KEY_BYTES, decode_value, value_digest
from vantage_secrets.stores.kubernetes.others import FIELD_MANAGER, writers
from vantage_secrets.stores.kubernetes.place import Place
from vantage_secrets.stores.kubernetes.rows import VersionRow, compact, forget_retired, parse_row

FORMAT: Final = "1"
"""Number of the layout that this module reads and writes."""

ENVIRONMENT_ANNOTATION: Final = "vantage-secrets/environment"
FORMAT_ANNOTATION: Final = "vantage-secrets/format"
VERSIONS_ANNOTATION: Final = "vantage-secrets/versions"

DIGEST_KEY: Final = "_vantage-secrets-digest-key"
"""Key in the data under which the digests' key stands; no name of ours is spelled with ``_``."""

DATA_BYTES_MAX: Final = 1 << 20
"""All values of one object together, in bytes: Kubernetes' ``MaxSecretSize``."""

ANNOTATION_BYTES_MAX: Final = 256 << 10
"""Names and values of all annotations of one object, in bytes: Kubernetes' ``TotalAnnotationSizeLimitB``."""

RETIRED_COUNT_MAX: Final = 10
"""How many retired versions of one secret are remembered; fewer where the annotations are full."""

_SUFFIXES: Final = {Stage.CURRENT: "", Stage.PREVIOUS: ".previous", Stage.PENDING: ".pending"}


def spelled(name: SecretName) -> str:
    """Return the key of the data under which the current value of ``name`` stands."""
    return name.spelled(Spelling.KUBERNETES)


def key_of(name: SecretName, stage: Stage) -> str:
    """Return the key of the data for a stage, which is not ``RETIRED``."""
    return spelled(name) + _SUFFIXES[stage]


def keys_of(name: SecretName) -> tuple[str, ...]:
    """Return all keys of the data that belong to ``name``."""
    return tuple(key_of(name, stage) for stage in _SUFFIXES)


class Bundle:
    """A Secret object as the API server gave it, read and changed in memory.

    What else stands in the object, keys and annotations of other tools, stays as it is.

    Args:
        document: The object; ``None`` when there is none yet.
        place: Where it is.
        environment: Which environment's secrets it must hold.

    Raises:
        EnvironmentMismatchError: It holds another environment's.
        StoreError: A later release wrote it.
        StoreIntegrityError: Somebody removed or damaged what belongs to it.
    """

    def __init__(self, document: dict[str, Any] | None, place: Place, environment: str) -> None:
        self.place = place
        self.is_new = document is None
        self.is_changed = False
        self._document = _fresh(place) if document is None else document
        self.data: dict[str, str] = self._document.get("data") or {}
        self.annotations: dict[str, str] = self.metadata.get("annotations") or {}
        self._check(environment)
        self._rows = self._parsed()
        self._environment = environment

    @property
    def metadata(self) -> dict[str, Any]:
        """The object's metadata, as the API server gave it."""
        found: dict[str, Any] = self._document["metadata"]
        return found

    @property
    def type(self) -> str:
        """The object's type; ``Opaque`` unless it belongs to something."""
        return str(self._document.get("type") or "Opaque")

    @property
    def is_immutable(self) -> bool:
        """Whether the object is marked as never to be changed."""
        return self._document.get("immutable") is True

    # reading

    def names(self) -> list[SecretName]:
        """Return the names of all secrets of ours, in order.

        Raises:
            StoreIntegrityError: The annotation is damaged.
        """
        try:
            return sorted(SecretName(key.replace(".", "/")) for key in self._rows)
        except InvalidSecretNameError:
            raise self._damaged(f"the annotation {VERSIONS_ANNOTATION}") from None

    def owns(self, key: str) -> bool:
        """Return whether a secret of ours is spelled ``key``."""
        return key in self._rows

    def versions(self, name: SecretName) -> tuple[VersionRow, ...]:
        """Return what is known of a secret's versions, the oldest first; nothing when it is not there.

        Raises:
            StoreIntegrityError: The annotation is damaged.
        """
        try:
            return tuple(parse_row(found) for found in self._rows.get(spelled(name), ()))
        except ValueError:
            raise self._damaged(f"the annotation {VERSIONS_ANNOTATION}") from None

    def known(self, name: SecretName) -> tuple[VersionRow, ...]:
        """Return a secret's versions, the oldest first.

        Raises:
            SecretNotFoundError: There is no such secret.
        """
        rows = self.versions(name)
        if not rows:
            hint = None
            if spelled(name) in self.data:
                hint = (
                    f"A key '{spelled(name)}' is there that was not written by vantage-secrets; store its value with "
                    f"'vantage-secrets set' after removing it."
                )
            raise SecretNotFoundError(f"There is no secret '{name}' in {self.place}.", hint=hint)
        return rows

    def current_ids(self) -> dict[SecretName, str]:
        """Return the id of each secret's current version."""
        found = {}
        for name in self.names():
            for row in self.versions(name):
                if row.stage is Stage.CURRENT:
                    found[name] = row.id
        return found

    def value(self, name: SecretName, row: VersionRow) -> SecretValue:
        """Return the value of a version that is not retired.

        Raises:
            StoreIntegrityError: It is not there, or is not what was written.
        """
        key = key_of(name, row.stage)
        if key not in self.data:
            raise self._touched(key, "was removed")
        try:
            raw = base64.b64decode(self.data[key], validate=True)
        except binascii.Error:
            raise self._touched(key, "is not base64") from None
        if not hmac.compare_digest(value_digest(self.digest_key(), name, row.id, row.shape, raw), row.value_digest):
            raise self._touched(key, "was changed")
        return decode_value(row.shape, raw)

    def digest_key(self) -> bytes:
        """Return the key of the digests, made when there is none.

        Raises:
            StoreIntegrityError: It is not the length that it had.
        """
        if DIGEST_KEY not in self.data:
            self.put(DIGEST_KEY, os.urandom(DIGEST_KEY_BYTES))
        try:
            key = base64.b64decode(self.data[DIGEST_KEY], validate=True)
        except binascii.Error:
            key = b""
        if len(key) != DIGEST_KEY_BYTES:
            raise self._touched(DIGEST_KEY, "was changed")
        return key

    def data_bytes(self) -> int:
        """Return the size of all values together, in bytes, as the API server counts it."""
        return sum(len(text) // 4 * 3 - text[-2:].count("=") for text in self.data.values())

    def annotation_bytes(self) -> int:
        """Return the size of all annotations together, in bytes, as the API server counts it."""
        return sum(len(key.encode()) + len(text.encode()) for key, text in self.annotations.items())

    # changing

    def put(self, key: str, raw: bytes) -> None:
        """Have ``raw`` stand under a key of the data."""
        self.data[key] = base64.b64encode(raw).decode()

    def move(self, source: str, target: str) -> None:
        """Have what stands under ``source`` stand under ``target``; nothing there when somebody removed it."""
        self.data.pop(target, None)
        if source in self.data:
            self.data[target] = self.data.pop(source)

    def set_versions(self, name: SecretName, rows: Iterable[VersionRow]) -> None:
        """Have ``rows``, the oldest first, be a secret's versions; without any it is gone."""
        kept = [*rows]
        retired = [row for row in kept if row.stage is Stage.RETIRED]
        for row in sorted(retired, key=lambda row: row.retired_at or 0)[:-RETIRED_COUNT_MAX]:
            kept.remove(row)
        self._rows.pop(spelled(name), None)
        if kept:
            self._rows[spelled(name)] = [row.as_list() for row in kept]
        self.is_changed = True

    def body(self) -> dict[str, Any]:
        """Return the object to be written: with the resourceVersion that it was read with, so it is compare-and-set.

        Raises:
            StoreFullError: It would be larger than Kubernetes takes.
            StoreReadOnlyError: It is immutable.
        """
        if self.is_immutable:
            raise StoreReadOnlyError(
                f"The {self.place} is immutable: Kubernetes lets nobody change it, whatever their permissions.",
                hint="Make a Secret under another name without 'immutable: true', and use that in the store's URL.",
            )
        self.digest_key()
        self._write_annotations()
        size = self.data_bytes()
        if size > DATA_BYTES_MAX:
            raise StoreFullError(
                f"The values of the {self.place} would be {size:,} bytes; Kubernetes takes {DATA_BYTES_MAX:,}.",
                hint="Retire previous versions, or keep further secrets in another Secret object.",
            )
        # The server keeps managedFields by itself; for many keys they are larger than everything else.
        metadata = {key: found for key, found in self.metadata.items() if key != "managedFields"}
        metadata["annotations"] = self.annotations
        return {**self._document, "metadata": metadata, "data": self.data}

    def _write_annotations(self) -> None:
        self.annotations[ENVIRONMENT_ANNOTATION] = self._environment
        self.annotations[FORMAT_ANNOTATION] = FORMAT
        self.annotations[VERSIONS_ANNOTATION] = compact(self._rows)
        surplus = self.annotation_bytes() - ANNOTATION_BYTES_MAX
        if surplus <= 0:
            return
        surplus = forget_retired(self._rows, surplus)
        if surplus > 0:
            raise StoreFullError(
                f"The annotations of the {self.place} are full: {len(self._rows):,} secrets need {surplus:,} bytes "
                f"more than the {ANNOTATION_BYTES_MAX:,} that Kubernetes takes.",
                hint="Keep further secrets in another Secret object.",
            )
        self.annotations[VERSIONS_ANNOTATION] = compact(self._rows)

    # checking

    def _check(self, environment: str) -> None:
        found = self.annotations.get(ENVIRONMENT_ANNOTATION, environment)
        if found != environment:
            raise EnvironmentMismatchError(f"The {self.place} belongs to '{found}', not to '{environment}'.")
        layout = self.annotations.get(FORMAT_ANNOTATION, FORMAT)
        if layout != FORMAT:
            raise StoreError(
                f"The {self.place} has format '{layout[:20]}'; this release reads format {FORMAT}.",
                hint="Install the release of vantage-secrets that wrote it, or a later one.",
            )
        if (VERSIONS_ANNOTATION in self.annotations) != (DIGEST_KEY in self.data):
            lost = DIGEST_KEY if VERSIONS_ANNOTATION in self.annotations else f"annotation {VERSIONS_ANNOTATION}"
            raise self._touched(lost, "was removed")

    def _parsed(self) -> dict[str, list[Any]]:
        try:
            rows = json.loads(self.annotations.get(VERSIONS_ANNOTATION, "{}"))
            if all(isinstance(found, list) and found for found in rows.values()):
                return dict(rows)
        except (ValueError, AttributeError, RecursionError):
            pass
        raise self._damaged(f"the annotation {VERSIONS_ANNOTATION}")

    def _damaged(self, what: str) -> StoreIntegrityError:
        return StoreIntegrityError(
            f"In the {self.place}, {what} is damaged.",
            hint="Keep a copy as evidence ('kubectl get secret -o yaml'), find who writes to it, and restore it.",
        )

    def _touched(self, key: str, what: str) -> StoreIntegrityError:
        """Return the error for what somebody else changed, with the name under which they wrote."""
        writer = next(writers(self.metadata, key), "")
        by = f" by '{writer}'" if writer else ""
        return StoreIntegrityError(
            f"In the {self.place}, '{key}' {what}{by}, not by vantage-secrets.",
            hint="Find who writes to it ('kubectl get secret --show-managed-fields'), then store the value anew.",
        )


def _fresh(place: Place) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
    metadata = {"name": place.secret, "namespace": place.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}

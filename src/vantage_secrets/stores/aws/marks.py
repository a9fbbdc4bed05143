"""What we write beside a value: staging labels on a version, tags on a secret, and the ids of versions.

Staging labels belong to one version and come back with every read, so a version's times and the shape of its value
are labels. A label is attached to one version of a secret at a time; ours therefore end with the beginning of the
version's id. Tags belong to the secret and outlive its versions, so what became of retired versions is in tags.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"

_PLACEHOLDER: Final = "vantage-placeholder-"

ENVIRONMENT: Final = "vantage-secrets:environment"
SALT: Final = "vantage-secrets:salt"
"""Random, new whenever a secret begins to exist, so that its versions' ids are its own."""
NURSERY: Final = "vantage-secrets:nursery"
"""On a secret whose nursery may still be there."""
REPLACES: Final = "vantage-secrets:replaces"
"""On a nursery whose secret is just being brought back from deletion, to begin anew."""
RETIRED: Final = "vantage-secrets:retired:"

RETIRED_COUNT_MAX: Final = 20
"""How many retired versions are remembered; a secret takes 50 tags, and the rest are the owner's."""

NURSERY_SUFFIX: Final = "--pending"
"""What a secret's nursery is called: no name of ours has two hyphens in a row."""

_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_CREATED = re.compile(r"vantage-created-(\d{8}T\d{12}Z)-(text|bytes|fields)-[0-9a-f]{8}", re.ASCII)
_PROMOTED = re.compile(r"vantage-promoted-(\d{8}T\d{12}Z)-[0-9a-f]{8}", re.ASCII)


def version_id(salt: str, name: str, token: str) -> str:
    """Return the id of the version that ``token`` makes of ``name``: shaped like a UUID, 36 characters.

    AWS takes it as ``ClientRequestToken`` and makes it the version's id. A name-based UUID as in RFC 9562,
    section 5.5, but from SHA-256 in place of SHA-1.
    """
    digest = hashlib.sha256(f"{salt}\0{name}\0{token}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def stamp(at: datetime) -> str:
    """Return ``at`` as it stands in labels and tags: ISO 8601, basic form, UTC, microseconds."""
    return at.astimezone(UTC).strftime(_STAMP)


def parse_stamp(text: str) -> datetime:
    """Return the instant that :func:`stamp` wrote.

    Raises:
        ValueError: It did not write that.
    """
    return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)


def created_label(version: str, at: datetime, shape: str) -> str:
    """Return the label that says when a version was written, and of which shape its value is."""
    return f"vantage-created-{stamp(at)}-{shape}-{version[:8]}"


def promoted_label(version: str, at: datetime) -> str:
    """Return the label that says when a version became current."""
    return f"vantage-promoted-{stamp(at)}-{version[:8]}"


def placeholder_label(version: str) -> str:
    """Return the label of a version that holds no secret: it stands where AWS insists on a current one."""
    return _PLACEHOLDER + version[:8]


def is_placeholder(labels: Iterable[str]) -> bool:
    """Return whether a version with these labels holds no secret."""
    return any(label.startswith(_PLACEHOLDER) for label in labels)


def creation(labels: Iterable[str]) -> tuple[datetime, str] | None:
    """Return when a version with these labels was written and the shape of its value; ``None`` if not by us."""
    for label in labels:
        if found := _CREATED.fullmatch(label):
            return parse_stamp(found[1]), found[2]
    return None


def promotions(labels: Iterable[str]) -> dict[str, datetime]:
    """Return the labels among these that say when the version became current."""
    return {label: parse_stamp(found[1]) for label in labels if (found := _PROMOTED.fullmatch(label))}


def is_ours(label: str) -> bool:
    """Return whether we attached that label."""
    return label.startswith("vantage-")


def retired_tag(created_at: datetime, promoted_at: datetime | None, retired_at: datetime) -> str:
    """Return the value of the tag that remembers a retired version."""
    return " ".join((stamp(created_at), stamp(promoted_at) if promoted_at else "-", stamp(retired_at)))


def retired_times(tags: Mapping[str, str]) -> Iterator[tuple[str, datetime, datetime | None, datetime]]:
    """Yield id, creation, promotion and retirement of each version that the tags remember."""
    for key, value in tags.items():
        if key.startswith(RETIRED):
            created, promoted, retired = value.split(" ")
            yield (
                key.removeprefix(RETIRED),
                parse_stamp(created),
                None if promoted == "-" else parse_stamp(promoted),
                parse_stamp(retired),
            )

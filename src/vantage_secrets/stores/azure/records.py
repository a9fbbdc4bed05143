"""What stands in the vault about one secret, and which stage follows from it. No I/O.

Key Vault has versions, of which the newest is what readers get, and no stages. So a secret lives under two names:

* ``NAME``: one version for each promotion. The newest is current. Its tags name the version that it replaced, which
  is previous. All others are retired.
* ``NAME--pending``: one version for each ``stage``; the one that is enabled and was not promoted is pending.

One write of a version under ``NAME`` therefore changes all stages at once; what is disabled afterwards only makes
true for the vendor's own calls what is so for ours already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from vantage_secrets.errors import InvalidSecretNameError, SecretNotFoundError
from vantage_secrets.secret import NAME_LENGTH_MAX, SecretName, SecretVersion, Spelling, Stage

PENDING_MARK: Final = "--pending"
"""Ends the name of the secret that holds pending versions: no name of ours has two hyphens together."""

_PREFIX: Final = "vantage-secrets-"
NAME: Final = _PREFIX + "name"
"""Canonical name; makes the map of names reversible. On every version."""
ENVIRONMENT: Final = _PREFIX + "environment"
ID: Final = _PREFIX + "id"
"""Version id: the same on the pending version and on what a promotion makes of it."""
STAGED_AT: Final = _PREFIX + "staged-at"
TOKEN: Final = _PREFIX + "token"
"""SHA-256 of the idempotence token."""
DIGEST: Final = _PREFIX + "digest"
ANNOUNCED: Final = _PREFIX + "announced"
"""Sequence number that a promotion under way wants for this version."""
SEQUENCE: Final = _PREFIX + "sequence"
"""How many promotions there were, this one included: the order of versions, which ``created`` cannot tell."""
PREVIOUS: Final = _PREFIX + "previous"
"""Id of the version that this one replaced, which its writer expected to be current."""
PROMOTED_AT: Final = _PREFIX + "promoted-at"
RETIRED_AT: Final = _PREFIX + "retired-at"
"""Eleven tags of the fifteen that a version may have; the longest value is 128 of 256 characters."""


class Record(NamedTuple):
    """One version in the vault, without its value.

    Attributes:
        place: Name of the secret in the vault, in lower case.
        version: The vault's own id of the version; empty in a list of secrets.
        enabled: Whether the vault returns its value.
        created_at: When it was written, in the vault's whole seconds.
        updated_at: When its tags or its state were last changed.
        tags: All of them, others' too.
        recovery_level: Word of the vault on what becomes of deleted secrets.
    """

    place: str
    version: str
    enabled: bool
    created_at: datetime
    updated_at: datetime
    tags: Mapping[str, str]
    recovery_level: str = ""

    @property
    def id(self) -> str:
        """The version's id for callers; of a version that someone else wrote, the vault's own."""
        return self.tags.get(ID) or self.version

    @property
    def sequence(self) -> int:
        """Its place in the order of promotions; 0 when it does not say."""
        text = self.tags.get(SEQUENCE, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def is_retired(self) -> bool:
        """Whether its value can be read no more, or must not be."""
        return not self.enabled or RETIRED_AT in self.tags

    def time(self, tag: str) -> datetime | None:
        """Return the instant that a tag names, or ``None`` where there is none."""
        try:
            found = datetime.fromisoformat(self.tags.get(tag, ""))
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def belongs_to(self, name: SecretName) -> bool:
        """Return whether its tags say that it is a version of ``name``."""
        return self.tags.get(NAME) == str(name)


class Places(NamedTuple):
    """The two names in the vault under which one secret lives."""

    main: str
    pending: str

    @classmethod
    def of(cls, name: SecretName) -> Places:
        """Return the places of ``name``.

        Raises:
            InvalidSecretNameError: The name is too long for the mark of the second place.
        """
        main = name.spelled(Spelling.AZURE)
        if len(main) > NAME_LENGTH_MAX - len(PENDING_MARK):
            raise InvalidSecretNameError(
                f"'{name}' has {len(main)} characters.",
                hint=f"Azure Key Vault takes {NAME_LENGTH_MAX}; {len(PENDING_MARK)} of them are for '{PENDING_MARK}'.",
            )
        return cls(main, main + PENDING_MARK)


def name_of(record: Record) -> SecretName | None:
    """Return the secret that a listed name belongs to; ``None`` when it is not ours."""
    try:
        name = SecretName(record.tags.get(NAME, ""))
        return name if record.place in Places.of(name) else None
    except InvalidSecretNameError:
        return None


def rivals_of_newest(main: Sequence[Record]) -> tuple[Record, ...]:
    """Return which versions may be the newest; more than one where the vault alone knows.

    The highest sequence number is; and each version without one, written by someone else, that is not older. Of two
    with the same number, which only happens when both guards of a promotion failed, the higher id counts.
    """
    if not main:
        return ()
    oldest = datetime.min.replace(tzinfo=UTC)
    top = max(main, key=lambda one: (one.sequence, oldest if one.sequence else one.created_at, one.id))
    return (top, *(one for one in main if not one.sequence and one is not top and one.created_at >= top.created_at))


def as_version(name: SecretName, record: Record, stage: Stage) -> SecretVersion:
    """Return what callers see of a version in ``stage``."""
    promoted_at = record.time(PROMOTED_AT)
    if stage in (Stage.CURRENT, Stage.PREVIOUS):
        promoted_at = promoted_at or record.created_at  # Written by someone else: current from the first moment.
    return SecretVersion(
        name,
        record.id,
        stage,
        record.time(STAGED_AT) or record.created_at,
        promoted_at,
        (record.time(RETIRED_AT) or record.updated_at) if stage is Stage.RETIRED else None,
    )


def absent(name: SecretName, found: Iterable[Record] = ()) -> SecretNotFoundError:
    """Return the error that there is no such secret, naming what stands in its place."""
    others = {one.tags.get(NAME) for one in found}
    if not others:
        return SecretNotFoundError(f"There is no secret '{name}' in the vault.")
    owner = next((f"'{other}'" for other in others if other), "a secret that vantage-secrets did not write")
    return SecretNotFoundError(
        f"There is no secret '{name}' in the vault: under its name stands {owner}.",
        hint=f"To adopt it, give it the tag '{NAME}={name}' ('az keyvault secret set-attributes'); else rename one.",
    )

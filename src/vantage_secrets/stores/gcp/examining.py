"""Looking at a store for a person: what works, what is missing, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vantage_secrets.errors import StoreError
from vantage_secrets.stores.contract import Examination, Health
from vantage_secrets.stores.gcp.calls import Calls, Newest
from vantage_secrets.stores.gcp.place import Place
from vantage_secrets.stores.gcp.record import CURRENT_ALIAS, ENVIRONMENT_LABEL, FILTER, has_versions

METADATA_PER_MINUTE: Final = 600
"""Google's quota of metadata reads, a minute and project."""

LOOKED_AT_COUNT: Final = 10
"""How many secrets are looked at one by one; each costs two calls of that quota."""

_READING: Final = ("secretmanager.versions.access", "secretmanager.secrets.get")
_ROTATING: Final = (
    "secretmanager.versions.access",
    "secretmanager.secrets.get",
    "secretmanager.secrets.update",
    "secretmanager.versions.add",
    "secretmanager.versions.destroy",
    "secretmanager.versions.list",
)


class Examiner:
    """Looks at one store, without changing anything.

    Args:
        calls: Google's methods.
        place: Where the secrets are.
        endpoint: Where Google is.
        environment: Whose secrets they should be.
    """

    def __init__(self, calls: Calls, place: Place, endpoint: str, environment: str) -> None:
        self._calls = calls
        self._place = place
        self._endpoint = endpoint
        self._environment = environment

    def run(self) -> Iterator[Examination]:
        """Yield what was found; ends early where the rest depends on what is broken."""
        yield self._connection()
        found: list[Any] = []
        try:
            for secret in self._calls.secrets(self._place.parent, FILTER, "listing secrets"):
                if has_versions(secret) and self._place.name_of(secret) is not None:
                    found.append(secret)
        except StoreError as exc:
            yield Examination("listing names", Health.BROKEN, exc.message, exc.hint)
            return
        yield Examination("login", Health.WORKS, "Google accepts the login.")
        yield Examination("listing names", Health.WORKS, f"{len(found)} secret(s) can be listed.")
        yield self._quota(len(found))
        yield from self._settings(found)
        for secret in found[:LOOKED_AT_COUNT]:
            yield from self._one(secret)

    def _connection(self) -> Examination:
        if self._endpoint.endswith("googleapis.com:443"):
            return Examination("connection", Health.WORKS, f"TLS to {self._endpoint}.")
        return Examination(
            "connection",
            Health.WARNING,
            f"The endpoint is {self._endpoint}, which is not Google's; a loopback address is spoken to in the clear.",
            "Leave the option 'endpoint' out where the secrets are real.",
        )

    def _quota(self, count: int) -> Examination:
        words = f"'status' asks for metadata once a secret; Google allows {METADATA_PER_MINUTE} a minute and project."
        if count <= METADATA_PER_MINUTE:
            return Examination("metadata quota", Health.WORKS, words)
        return Examination(
            "metadata quota",
            Health.WARNING,
            f"{words} There are {count} secrets.",
            "Ask Google for a higher quota of 'Read requests', or spread the secrets over projects.",
        )

    def _settings(self, found: list[Any]) -> Iterator[Examination]:
        """Yield what in the secrets' own settings will hurt some day."""
        environments = {secret.annotations.get(ENVIRONMENT_LABEL, "") for secret in found} - {self._environment}
        if environments:
            yield Examination(
                "environment",
                Health.WARNING,
                f"Some secrets belong to {', '.join(sorted(environments))}, not to {self._environment}.",
                "Give each environment a project or a prefix of its own.",
            )
        settings = {
            "expire": ([one for one in found if one.expire_time], "--remove-expiration"),
            "keep destroyed versions for a while, billed, and to be restored": (
                [one for one in found if one.version_destroy_ttl],
                "--remove-version-destroy-ttl",
            ),
        }
        for words, (those, option) in settings.items():
            if those:
                command = f"gcloud secrets update {those[0].name.rpartition('/')[2]} {option}"
                yield Examination("settings", Health.WARNING, f"{len(those)} secret(s) {words}.", command)

    def _one(self, secret: Any) -> Iterator[Examination]:
        """Yield what this login may do with a secret, and whether plain readers read what we call current."""
        secret_id = secret.name.rpartition("/")[2]
        full = f"{self._place.parent}/secrets/{secret_id}"
        what = f"looking at '{secret_id}'"
        try:
            held = self._calls.permitted(full, [*{*_READING, *_ROTATING}], what)
            yield _permissions(secret_id, held)
            if "secretmanager.versions.list" in held:
                newest = next(iter(self._calls.newest(full, what)), None)
                yield from _newest(secret_id, newest, secret.version_aliases.get(CURRENT_ALIAS))
        except StoreError as exc:
            yield Examination(f"permissions on {secret_id}", Health.BROKEN, exc.message, exc.hint)


def _permissions(secret_id: str, held: set[str]) -> Examination:
    part = f"permissions on {secret_id}"
    lacking = [one for one in _ROTATING if one not in held]
    if not lacking:
        return Examination(part, Health.WORKS, "It can be read and rotated; making new ones cannot be tried unseen.")
    can_read = all(one in held for one in _READING)
    words = "It can be read, and not rotated" if can_read else "It cannot be read with its version"
    return Examination(
        part,
        Health.MISSING,
        f"{words}: this login lacks {', '.join(lacking)}.",
        f"gcloud secrets add-iam-policy-binding {secret_id} --member=MEMBER "
        f"--role=projects/PROJECT/roles/{'vantageSecretsRotator' if can_read else 'vantageSecretsReader'}",
    )


def _newest(secret_id: str, newest: Newest | None, current: int | None) -> Iterator[Examination]:
    part = f"newest version of {secret_id}"
    if newest is None or current is None:
        return
    if newest.state != "ENABLED":
        yield Examination(
            part,
            Health.BROKEN,
            f"Version {newest.number} is the newest and {newest.state.lower()}: plain readers fail.",
            f"gcloud secrets versions enable {newest.number} --secret={secret_id}"
            if newest.state == "DISABLED"
            else "Rotate the secret, or promote its previous version.",
        )
    elif newest.number != current:
        yield Examination(
            part,
            Health.WARNING,
            f"Version {newest.number} is the newest, and {current} is current: plain readers read another value.",
            "Finish the promotion that was begun; if there is none, somebody else added that version.",
        )
    else:
        yield Examination(part, Health.WORKS, "Plain readers read what is current.")

"""Finding secrets: AWS's names for ours, where a secret's versions are, and asking again what AWS has not seen yet."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vantage_secrets.errors import InvalidSecretNameError, SecretNotFoundError, VersionNotFoundError
from vantage_secrets.secret import SecretName, SecretReading, Spelling, Stage
from vantage_secrets.stores.aws.encoding import decode
from vantage_secrets.stores.aws.errors import RequestRefusedError
from vantage_secrets.stores.aws.marks import ENVIRONMENT, NURSERY_SUFFIX, creation
from vantage_secrets.stores.aws.recency import RecentWrites
from vantage_secrets.stores.aws.record import LABEL_OF, Held, Record
from vantage_secrets.stores.aws.service import Service

_NAME_CHARACTERS: Final = string.ascii_lowercase + string.digits + "/-"
_PAGE_COUNT: Final = 100  # The most that ListSecrets gives at once.


class Directory:
    """The secrets below one prefix.

    A secret that never had a current version is kept in its *nursery*, a secret of AWS's beside it: AWS makes the
    first version of a secret current whatever labels it is given, and takes ``AWSCURRENT`` away from no version.

    Args:
        service: Makes the calls.
        prefix: What stands before our names, with the slash; may be empty.
        recent: What was written here a moment ago.
    """

    def __init__(self, service: Service, prefix: str, recent: RecentWrites) -> None:
        self.service = service
        self.recent = recent
        self._prefix = prefix

    def secret_id(self, name: SecretName) -> str:
        """Return AWS's name for ``name``. The spelling is one to one: no two names meet."""
        return self._prefix + name.spelled(Spelling.PATH)

    def nursery_id(self, name: SecretName) -> str:
        """Return AWS's name for the nursery of ``name``."""
        return self.secret_id(name) + NURSERY_SUFFIX

    def absent_id(self, text: str) -> str:
        """Return an id below the prefix that no secret of ours can have."""
        return self._prefix + text

    def name_of(self, secret_id: str) -> SecretName | None:
        """Return our name for AWS's, be it the secret or its nursery; ``None`` for what is not ours."""
        if not secret_id.startswith(self._prefix):
            return None
        try:
            return SecretName(secret_id.removeprefix(self._prefix).removesuffix(NURSERY_SUFFIX))
        except InvalidSecretNameError:
            return None

    def record(self, name: SecretName, secret_id: str) -> Record | None:
        """Return what AWS says about ``secret_id``, or ``None`` when it has no such secret.

        One call; a second one when another program wrote a version, to learn when.
        """
        expected = self.recent.expected(secret_id)
        found: Record | None = None
        for _ in self.recent.tries():
            answer = self.service.find("describe_secret", SecretId=secret_id)
            found = Record(name, secret_id, answer) if answer else None
            if all(found and found.shows(label, version) for label, version in expected.items()):
                break
        else:
            self.recent.forget(secret_id)  # Somebody else moved them meanwhile.
        if found and answer and found.foreign and not found.is_deleted:
            found = Record(name, secret_id, answer, self._dates(secret_id))
        return found

    def home(self, name: SecretName) -> Record | None:
        """Return the secret, or its nursery, whichever holds the versions; ``None`` when neither does."""
        main = self.record(name, self.secret_id(name))
        if main and not main.is_deleted and main.has_value:
            return main
        nursery = self.record(name, self.nursery_id(name))
        return nursery if nursery and not nursery.is_deleted and nursery.has_value else None

    def existing(self, name: SecretName) -> Record:
        """Return what :meth:`home` returns.

        Raises:
            SecretNotFoundError: There is no such secret.
        """
        if found := self.home(name):
            return found
        raise SecretNotFoundError(f"There is no secret '{name}' in this store.")

    def names(self, prefix: str, environment: str) -> list[SecretName]:
        """Return, in order, the names that begin with ``prefix`` of the secrets that are ours and this environment's.

        All pages are fetched first, 100 names a call, because AWS has an order of its own.
        """
        return sorted(
            {
                name
                for entry in self.entries(prefix)
                if (name := self.name_of(entry["Name"]))
                and str(name).startswith(prefix)
                and any(tag == {"Key": ENVIRONMENT, "Value": environment} for tag in entry.get("Tags") or ())
            }
        )

    def entries(self, prefix: str = "") -> Iterator[Mapping[str, Any]]:
        """Yield what AWS lists below this prefix, page by page, secrets that are not ours among them."""
        if prefix.strip(_NAME_CHARACTERS):
            return  # No name of ours begins so, and AWS refuses to look for such characters.
        begin = self._prefix + prefix
        filters = [{"Key": "name", "Values": [begin]}] if begin else []
        for page in self.service.pages("list_secrets", MaxResults=_PAGE_COUNT, Filters=filters):
            yield from page.get("SecretList", ())

    def answer(self, secret_id: str, label: str) -> dict[str, Any] | None:
        """Return the answer to ``GetSecretValue`` for a label, or ``None`` when there is no such value.

        Never asks by version id: a policy may forbid that to everybody, and then a version without labels
        cannot be read by anybody.
        """
        version = self.recent.expected(secret_id).get(label)
        found: dict[str, Any] | None = None
        for _ in self.recent.tries():
            try:
                found = self.service.find("get_secret_value", SecretId=secret_id, VersionStage=label)
            except RequestRefusedError:
                found = None  # Scheduled for deletion, which home() sees too.
            if version is None or (found and found["VersionId"] == version):
                break
        else:
            self.recent.forget(secret_id, label)  # Somebody else moved it meanwhile.
        return found

    def reading(self, name: SecretName, answer: Mapping[str, Any], stage: Stage) -> SecretReading:
        """Return an answer of ``GetSecretValue``, or an entry of a batch's, with its version.

        Raises:
            VersionNotFoundError: It is a placeholder, or the label stands on a version of another stage.
            StoreIntegrityError: What is stored is not what was written.
        """
        held = Held(answer["VersionId"], frozenset(answer.get("VersionStages") or ()), answer.get("CreatedDate"))
        if held.stage is not stage:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        found = creation(held.labels)
        return SecretReading(decode(name, answer, found[1] if found else None), held.as_version(name))

    def held_reading(self, record: Record, held: Held) -> SecretReading | None:
        """Return the value of a living version, or ``None`` when its label has moved meanwhile."""
        assert held.stage is not None
        answer = self.answer(record.secret_id, LABEL_OF[held.stage])
        if answer is None or answer["VersionId"] != held.id:
            return None
        return self.reading(record.name, answer, held.stage)

    def _dates(self, secret_id: str) -> dict[str, Any]:
        return {
            version["VersionId"]: version.get("CreatedDate")
            for page in self.service.pages("list_secret_version_ids", SecretId=secret_id)
            for version in page.get("Versions", ())
        }

"""Google Secret Manager as a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreError,
    StoreUnavailableError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Examination, Store
from vantage_secrets.stores.gcp.calls import Calls, Payload
from vantage_secrets.stores.gcp.encoding import decode_value
from vantage_secrets.stores.gcp.errors import ChangedMeanwhileError
from vantage_secrets.stores.gcp.examining import Examiner
from vantage_secrets.stores.gcp.place import Place
from vantage_secrets.stores.gcp.promoting import Promotion
from vantage_secrets.stores.gcp.record import CURRENT_ALIAS, FILTER, PREVIOUS_ALIAS, Record, has_versions
from vantage_secrets.stores.gcp.seen import Known, Seen
from vantage_secrets.stores.gcp.writing import Writer, absent

READERS_MAX: Final = 16
"""How many values ``read_many`` fetches at once."""

UNKNOWN_AT: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a version was written, for a reader that may not see it: long ago, so that no overlap is taken to be open."""

_BULK_COUNT = 10  # From so many names on a list costs less of the quota than asking for each.
_ALIASES: Final = {Stage.CURRENT: CURRENT_ALIAS, Stage.PREVIOUS: PREVIOUS_ALIAS}


class GoogleStore(Store):
    """Google Secret Manager. Safe from several threads; open it anew after a fork, as gRPC needs it.

    A secret of ours is a secret of Google's, and plain readers get its current value as ``latest`` or as the alias
    ``current``; the previous one has the alias ``previous``. A pending value waits in a secret beside it, whose id
    ends in ``--pending``. What is known of versions stands in annotations, changed under the secret's etag.

    Reading ``current`` or ``previous`` is one call of the access quota, and one of the metadata quota when a process
    first sees a version. A reader that may not see metadata, or finds that quota used up, gets the value with
    ``google-NUMBER`` for an id and 1970 for its time.

    Made by :func:`~vantage_secrets.stores.gcp.open_gcp`.

    Args:
        place: Project, prefix and location.
        calls: Google's methods.
        environment: Which environment's secrets it holds.
        template: What new secrets begin with: replication, key.
        endpoint: Where Google is.
        clock: Tells the time that versions bear.
    """

    scheme = "gcp"
    capabilities = frozenset(
        {Capability.COMPARE_AND_SET, Capability.READ_BY_VERSION, Capability.HISTORY, Capability.BINARY_VALUES}
    )

    def __init__(
        self,
        place: Place,
        calls: Calls,
        *,
        environment: str,
        template: dict[str, Any],
        endpoint: str,
        clock: Clock = utc_now,
    ) -> None:
        self.url = f"gcp://{place.project}" + (f"/{place.prefix}" if place.prefix else "")
        self.environment = environment
        self.endpoint = endpoint
        self._place = place
        self._calls = calls
        self._writer = Writer(calls, place, environment=environment, template=template, clock=clock)
        self._seen = Seen()

    def __repr__(self) -> str:
        return f"GoogleStore({self.url!r})"

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`.

        Raises:
            StoreAccessDeniedError: Also when somebody disabled the version at Google; no other one is served.
        """
        self.refuse_packed(name)
        if version is None and stage in _ALIASES:
            return self._read_alias(name, stage)
        record = self._record(name)
        if version is None and stage is Stage.RETIRED:
            raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
        row = record.in_stage(stage) if version is None else record.row(version)
        if row is None:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        if row.retired:
            raise VersionRetiredError(f"Version {row.id} of '{name}' was retired; its value is gone for good.")
        where = f"{self._place.pending(name)}/versions/{row.pending}"
        if row.numbers:
            where = f"{self._place.secret(name)}/versions/{row.numbers[-1]}"
        found = self._access(name, where, f"version {row.id}")
        return SecretReading(decode_value(found.data, row.shape), record.version(row))

    def read_many(self, names: Iterable[SecretName]) -> Iterator[SecretReading]:
        """Yield the current values, sixteen at a time; see :meth:`Store.read_many`.

        Which versions they are is learnt from one list where there are many that were not seen before.
        """
        wanted = [*names]
        if sum(not self._seen.knows(name) for name in wanted) >= _BULK_COUNT:
            with suppress(StoreError):  # Whoever may not list learns of each by itself.
                for record in self._records():
                    self._learn_all(record)
        with ThreadPoolExecutor(max_workers=min(READERS_MAX, len(wanted) or 1)) as pool:
            waiting = [pool.submit(self.read, name) for name in wanted]
            try:
                for done in as_completed(waiting):
                    with suppress(SecretNotFoundError):
                        yield done.result()
            finally:
                for one in waiting:
                    one.cancel()

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions that are remembered, the newest first; see :meth:`Store.describe`.

        One call of the metadata quota. The last 60 versions are remembered.
        """
        self.refuse_packed(name)
        return _versions(self._record(name))

    def describe_many(self, names: Iterable[SecretName]) -> Iterator[tuple[SecretVersion, ...]]:
        """Yield what ``describe`` returns for each that there is; 250 secrets a call of the metadata quota."""
        wanted = set(names)
        for name in wanted:
            self.refuse_packed(name)
        if len(wanted) == 1:
            yield from super().describe_many(wanted)
            return
        yield from (_versions(record) for record in self._records() if record.name in wanted)

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order, after the last page came; see :meth:`Store.list`."""
        secrets = self._calls.secrets(self._place.parent, FILTER, "listing secrets")
        names = (self._place.name_of(secret) for secret in secrets if has_versions(secret))
        yield from sorted(name for name in names if name is not None and str(name).startswith(prefix))

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable, in a secret beside; see :meth:`Store.stage`.

        Raises:
            NameCollisionError: Google has a secret of that id that is not ours and holds something.
            EnvironmentMismatchError: The secret belongs to another environment.
        """
        self.refuse_packed(name)
        self.refuse_token(token)
        return self._writer.stage(name, value, token, created_at)

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set which version is current, see :meth:`Store.promote`, and ADR 0012 for the order of calls."""
        self.refuse_packed(name)
        return Promotion(self._writer, name, version, expect_current).run()

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Destroy a version at Google; see :meth:`Store.retire`."""
        self.refuse_packed(name)
        return self._writer.retire(name, version)

    def delete(self, name: SecretName) -> bool:
        """Delete the secret, and the one beside it; see :meth:`Store.delete`."""
        self.refuse_packed(name)
        self._seen.forget(name)
        return self._writer.delete(name)

    def examine(self) -> Iterator[Examination]:
        """Yield what works, what is missing and the next command; see :meth:`Store.examine`."""
        return Examiner(self._calls, self._place, self.endpoint, self.environment).run()

    def close(self) -> None:
        """Close the connection; see :meth:`Store.close`."""
        self._calls.close()

    def _record(self, name: SecretName) -> Record:
        """Return the record of a secret with versions, whatever its environment."""
        try:
            secret = self._calls.get(self._place.secret(name), f"looking at '{name}'")
        except SecretNotFoundError:
            raise absent(name) from None
        if self._place.name_of(secret) != name:
            raise SecretNotFoundError(
                f"There is no secret '{name}'.",
                hint=f"Google has a secret '{self._place.secret_id(name)}', which was not made by vantage-secrets.",
            )
        record = Record.parse(name, secret)
        if not record.rows:
            raise absent(name)
        return record

    def _records(self) -> Iterator[Record]:
        for secret in self._calls.secrets(self._place.parent, FILTER, "listing secrets"):
            name = self._place.name_of(secret)
            if name is not None and has_versions(secret):
                yield Record.parse(name, secret)

    def _read_alias(self, name: SecretName, stage: Stage) -> SecretReading:
        where = f"{self._place.secret(name)}/versions/{_ALIASES[stage]}"
        try:
            found = self._access(name, where, f"{stage} version")
        except VersionRetiredError:
            raise
        except SecretNotFoundError:
            raise self._absence(name, stage) from None
        known = self._seen.find(name, stage, found.number, found.data) or self._ask(name, stage, found)
        return SecretReading(decode_value(found.data, known.shape), known.version)

    def _access(self, name: SecretName, where: str, which: str) -> Payload:
        try:
            return self._calls.access(where, f"reading '{name}'")
        except ChangedMeanwhileError as exc:
            state = exc.state
        secret_id = self._place.secret_id(name)
        if state == "DISABLED":
            raise StoreAccessDeniedError(
                f"Somebody disabled the {which} of '{name}' at Google; nothing older is served in its place.",
                hint=f"If that was a mistake: gcloud secrets versions list {secret_id}, then "
                f"gcloud secrets versions enable NUMBER --secret={secret_id}; else rotate the secret.",
            )
        raise VersionRetiredError(
            f"Somebody destroyed the {which} of '{name}' at Google; its value is gone for good.",
            hint=f"Stage and promote another value of '{name}', or promote the previous version.",
        )

    def _absence(self, name: SecretName, stage: Stage) -> SecretNotFoundError:
        """Return which kind of absence it is that a stage's alias leads nowhere."""
        try:
            self._record(name)
        except SecretNotFoundError as exc:
            return exc
        except (StoreAccessDeniedError, StoreUnavailableError):
            return absent(name)
        return VersionNotFoundError(f"'{name}' has no {stage} version.")

    def _ask(self, name: SecretName, stage: Stage, found: Payload) -> Known:
        """Learn from the annotations which version a number is; Google's number serves when nobody tells."""
        known = Known(SecretVersion(name, f"google-{found.number}", stage, UNKNOWN_AT), None)
        with suppress(StoreAccessDeniedError, StoreUnavailableError, SecretNotFoundError):
            secret = self._calls.get(self._place.secret(name), f"looking at '{name}'", patient=False)
            if self._place.name_of(secret) == name:
                row = Record.parse(name, secret).numbered(found.number)
                if row is not None:
                    known = Known(row.as_version(name, stage), row.shape)
        self._seen.learn(name, found.number, known, found.data)
        return known

    def _learn_all(self, record: Record) -> None:
        row = record.in_stage(Stage.CURRENT)
        if row is not None:
            known = Known(record.version(row), row.shape)
            self._seen.learn(record.name, record.aliases[CURRENT_ALIAS], known, None)


def _versions(record: Record) -> tuple[SecretVersion, ...]:
    return tuple(record.version(row) for row in reversed(record.rows))

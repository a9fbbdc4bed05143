"""The calls of KV version 2 that the store makes, through hvac, with our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from vantage_secrets.clock import Clock
from vantage_secrets.errors import StoreUnavailableError
from vantage_secrets.stores.vault.encoding import ENVIRONMENT, Entry, entry_key, read_entries, read_time
from vantage_secrets.stores.vault.errors import Failure, as_error, attempt
from vantage_secrets.stores.vault.session import Session

_T = TypeVar("_T")

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sight:
    """What stands at a path of KV, as far as the call that made this tells.

    Attributes:
        newest: Number of the newest version, deleted or not; 0 where there is none.
        live: Whether the newest can be read.
        exists: Whether there is anything at the path, if only metadata.
        created_at: When the newest was written.
        data: The newest version's data, where data was asked for and may be read.
        entries: Which versions of ours the versions of KV are.
        environment: Whose the path is, where we wrote to it.
        readable: Numbers of the versions that can be read, where metadata was asked for.
        max_versions: How many versions the path is told to keep, where metadata was asked for; 0 where it is not.
        keys_count: How many keys its ``custom_metadata`` has.
    """

    newest: int = 0
    live: bool = False
    exists: bool = False
    created_at: datetime = _LONG_AGO
    data: dict[str, Any] | None = field(default=None, repr=False)
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict)
    environment: str | None = None
    readable: frozenset[int] = frozenset()
    max_versions: int = 0
    keys_count: int = 0

    def holds(self, part: str) -> bool:
        """Return whether the newest version can be read and has data of that packed secret, or any where none is named.

        A key with nothing behind it, as people put there to be filled, is not a secret.
        """
        return self.data is not None and (not part or self.data.get(part) not in (None, ""))

    def keys_of(self, part: str) -> list[str]:
        """Return the keys of ``custom_metadata`` with entries of that packed secret, or of the only one."""
        return [entry_key(found, number) for found, number in self.entries if found == part]

    def entry(self, part: str) -> tuple[int, Entry] | None:
        """Return the entry, with its number, that tells which version of ours the newest version of KV holds.

        A secret alone at its path has a new version of KV for each of its own; a packed one shares them with its
        neighbours, so that its newest entry counts until there is another.
        """
        numbers = [number for found, number in self.entries if found == part and number <= self.newest]
        number = max(numbers, default=0)
        if not number or (not part and number != self.newest):
            return None
        return number, self.entries[part, number]


class Connection:
    """The KV engine at one mount; safe from several threads.

    Args:
        client: An ``hvac.Client`` with a session that retries.
        session: Keeps the client logged in.
        address: Where the server is, for messages.
        mount: The mount of the engine.
        clock: Tells whether a deletion that is due later has come.
    """

    def __init__(self, client: Any, session: Session, *, address: str, mount: str, clock: Clock) -> None:
        """Keep them; nothing is sent before the first call."""
        self.address = address
        self.mount = mount
        self._client = client
        self._session = session
        self._clock = clock
        self._closed = False

    @property
    def login_words(self) -> str:
        """Which way of logging in is used."""
        return self._session.words

    def close(self) -> None:
        """End all connections; every call fails afterwards. Safe to repeat."""
        self._closed = True
        self._session.forget()
        self._client.adapter.close()

    def read_data(self, path: str, version: int | None = None) -> Sight:
        """Return what stands at ``path``, or one version of it, with data where it may be read."""
        answer = self._call(
            lambda: self._client.secrets.kv.v2.read_secret_version(
                path, version=version, mount_point=self.mount, raise_on_deleted_version=True
            ),
            f"read '{path}'",
            self.needs("read", "data", path),
        )
        if isinstance(answer, Failure):
            return self._sight(None, answer.metadata) if answer.metadata else Sight()
        return self._sight(answer["data"]["data"], answer["data"]["metadata"])

    def read_metadata(self, path: str) -> Sight:
        """Return what stands at ``path``, without data."""
        answer = self._call(
            lambda: self._client.secrets.kv.v2.read_secret_metadata(path, mount_point=self.mount),
            f"read the metadata of '{path}'",
            self.needs("read", "metadata", path),
        )
        if isinstance(answer, Failure):
            return Sight()
        found = answer["data"]
        versions = {int(number): version for number, version in found["versions"].items()}
        newest = found["current_version"]
        custom = found["custom_metadata"] or {}
        return Sight(
            newest=newest,
            live=newest in versions and self._is_live(versions[newest]),
            exists=True,
            created_at=read_time(versions[newest]["created_time"]) if newest in versions else _LONG_AGO,
            entries=read_entries(custom),
            environment=custom.get(ENVIRONMENT),
            readable=frozenset(number for number, version in versions.items() if self._is_live(version)),
            max_versions=found["max_versions"],
            keys_count=len(custom),
        )

    def write(self, path: str, data: dict[str, Any], *, cas: int) -> bool:
        """Write a version if the newest is number ``cas``; return whether it was so."""
        return self._changed(
            lambda: self._client.secrets.kv.v2.create_or_update_secret(path, data, cas=cas, mount_point=self.mount),
            path,
        )

    def patch(self, path: str, data: dict[str, Any], *, cas: int) -> bool:
        """Write a version with some keys changed, ``None`` to remove one, if the newest is number ``cas`` and live."""
        body = {"data": data, "options": {"cas": cas}}
        return self._changed(lambda: self._change("patch", "data", path, body), path)

    def annotate(self, path: str, custom: Mapping[str, str | None], *, max_versions: int | None = None) -> None:
        """Merge ``custom`` into the metadata of ``path``, ``None`` to remove a key; make the path if need be."""
        body: dict[str, Any] = {"custom_metadata": {**custom}}
        if max_versions is not None:
            body["max_versions"] = max_versions
        doing, needs = f"write the metadata of '{path}'", self.needs("create and patch", "metadata", path)
        answer = self._call(lambda: self._change("patch", "metadata", path, body), doing, needs)
        if isinstance(answer, Failure):  # There is nothing to merge with.
            body["custom_metadata"] = {key: text for key, text in custom.items() if text is not None}
            self._call(lambda: self._change("post", "metadata", path, body), doing, needs)

    def destroy(self, path: str, numbers: Iterable[int]) -> None:
        """Make versions unreadable for good. Safe to repeat; numbers that are not there are no error."""
        chosen = sorted({*numbers})
        if chosen:
            self._call(
                lambda: self._client.secrets.kv.v2.destroy_secret_versions(path, chosen, mount_point=self.mount),
                f"destroy versions of '{path}'",
                self.needs("update", "destroy", path),
            )

    def remove(self, path: str) -> None:
        """Remove everything at ``path``. Safe to repeat."""
        self._call(
            lambda: self._client.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point=self.mount),
            f"delete '{path}'",
            self.needs("delete", "metadata", path),
        )

    def list_keys(self, folder: str) -> list[str]:
        """Return what stands directly in ``folder``, folders with a slash behind them."""
        answer = self._call(
            lambda: self._client.secrets.kv.v2.list_secrets(folder, mount_point=self.mount),
            f"list '{folder or '/'}'",
            self.needs("list", "metadata", folder),
        )
        return [] if isinstance(answer, Failure) else [str(key) for key in answer["data"]["keys"]]

    def ask(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the answer of any other call of the server, or ``None`` where there is nothing."""
        answer = self._call(lambda: self._client.adapter.request(method, url, json=body), f"answer at {url}")
        return answer if isinstance(answer, dict) else None

    def health(self) -> dict[str, Any]:
        """Return what the server tells of itself to anybody, sealed or not."""
        adapter = type(self._client.adapter).from_adapter(self._client.adapter)
        adapter.token = adapter.namespace = None  # The server has no namespace, and nobody must be logged in.
        query = {"standbycode": "200", "perfstandbycode": "200", "sealedcode": "200", "uninitcode": "200"}
        self._require_open()
        answer = attempt(lambda: adapter.get("/v1/sys/health", params=query))
        if isinstance(answer, Failure):
            raise as_error(answer, address=self.address, doing="tell about itself")
        return dict(answer)

    def needs(self, capability: str, kind: str, path: str) -> str:
        """Return what a policy must give, in words."""
        return f'{capability} on "{self.mount}/{kind}/{path}"'

    def _change(self, method: str, kind: str, path: str, body: dict[str, Any]) -> Any:
        """Send what hvac has no call for: its ``patch`` is a read and a write, and resets metadata it is not told."""
        from hvac.utils import format_url

        url = format_url("/v1/{mount}/{kind}/{path}", mount=self.mount, kind=kind, path=path)
        headers = {"Content-Type": "application/merge-patch+json"} if method == "patch" else {}
        return self._client.adapter.request(method, url, json=body, headers=headers)

    def _changed(self, call: Callable[[], object], path: str) -> bool:
        """Return whether a write with check-and-set took place; when it did not, the newest version is another one."""
        needs = self.needs("create, update and patch", "data", path)
        return not isinstance(self._call(call, f"write '{path}'", needs), Failure)

    def _call(self, call: Callable[[], _T], doing: str, needs: str = "") -> _T | Failure:
        """Return what ``call`` returned, or the failure that its caller asks about: absence, a lost comparison."""
        self._require_open()
        self._session.ready()
        token = self._client.token
        answer = attempt(call)
        if isinstance(answer, Failure) and answer.status in (401, 403) and self._session.renewed(token):
            answer = attempt(call)
        if isinstance(answer, Failure) and not answer.is_absence and not answer.is_conflict:
            raise as_error(answer, address=self.address, doing=doing, needs=needs)
        return answer

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("The store is closed.")

    def _sight(self, data: dict[str, Any] | None, metadata: dict[str, Any]) -> Sight:
        custom = metadata.get("custom_metadata") or {}
        return Sight(
            newest=metadata["version"],
            live=data is not None,
            exists=True,
            created_at=read_time(metadata["created_time"]),
            data=data,
            entries=read_entries(custom),
            environment=custom.get(ENVIRONMENT),
            keys_count=len(custom),
        )

    def _is_live(self, version: dict[str, Any]) -> bool:
        deleted = version["deletion_time"]  # In the future where 'delete_version_after' is set.
        return not version["destroyed"] and (not deleted or read_time(deleted) > self._clock())

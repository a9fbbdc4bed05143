"""All servers of a target as its administrator sees them, and what they say about users."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vantage_secrets.credential import Credential
from vantage_secrets.errors import TargetUnavailableError
from vantage_secrets.targets.clickhouse.connection import AnswerError, Server
from vantage_secrets.targets.clickhouse.shown_user import ShownUser, read_shown
from vantage_secrets.targets.clickhouse.statements import kill_queries, quoted_name, quoted_text

SETTLE_SECONDS = 10.0
"""How long a change may take to be seen by fresh logins everywhere; then ``verify`` says what is missing."""

_LOOK_SECONDS_MAX = 1.0
_READING = {"session_timezone": "UTC"}
"""``SHOW CREATE USER`` writes times in the session's time zone; since 23.6."""

_ACCESS_DENIED = 497
_ON_CLUSTER = {"distributed_ddl_task_timeout": "20"}
"""Seconds that a statement waits for the cluster's other servers: less than we wait for the answer."""


class Version(NamedTuple):
    """A server's version, as far as it decides anything."""

    major: int
    minor: int
    patch: int

    @classmethod
    def of(cls, text: str) -> Version:
        """Return the version that begins ``text``, such as ``24.10.2.80`` or ``24.8.4.13.altinitystable``."""
        found = re.match(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,9}))?", text)
        return cls(int(found[1]), int(found[2]), int(found[3] or 0)) if found else cls(0, 0, 0)

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Servers:
    """The servers of one target.

    Args:
        all_: Every server; the first is the one that cluster statements go to.
        cluster: The cluster's name, or empty where there is none.
        administrator: Returns the login that may change users.
    """

    def __init__(self, all_: Iterable[Server], cluster: str, administrator: Callable[[], Credential]) -> None:
        """Ask nothing yet."""
        self.all = tuple(all_)
        self.on = f"ON CLUSTER {quoted_name(cluster)}" if cluster else ""
        self._administrator = administrator
        self._login: Credential | None = None

    @property
    def places(self) -> tuple[Server, ...]:
        """Where users are changed: one server of a cluster, which tells the others, else each one by itself."""
        return self.all[:1] if self.on else self.all

    def ask(self, statement: str, server: Server, *, doing: str) -> str:
        """Return the answer to the administrator.

        Raises:
            RotationError: The server refused.
            TargetUnavailableError: It did not answer.
        """
        try:
            return self._ask(statement, server)
        except AnswerError as exc:
            raise server.error(exc, doing) from None

    def change(self, statement: str, server: Server, *, doing: str) -> None:
        """Let the administrator change something at one of ``places``.

        Raises:
            RotationError: The server refused.
            TargetUnavailableError: It, or another server of the cluster, did not answer.
        """
        try:
            self._ask(statement, server, _ON_CLUSTER if self.on else None)
        except AnswerError as exc:
            raise server.error(exc, doing) from None

    def rows(self, query: str, server: Server, *, doing: str = "be looked at") -> list[dict[str, Any]]:
        """Return the rows of a query."""
        answer = self.ask(f"{query} FORMAT JSONEachRow", server, doing=doing)
        try:
            return [json.loads(line) for line in answer.splitlines() if line]
        except ValueError:
            raise server.stranger("answered a query with something else") from None

    def versions(self) -> dict[str, Version]:
        """Return every server's version by its name."""
        versions = {}
        for server in self.all:
            version = Version.of(self.ask("SELECT version()", server, doing="tell its version"))
            if not version.major:
                raise server.stranger("told no version")
            versions[server.name] = version
        return versions

    def storages(self, users: Iterable[str], server: Server) -> dict[str, str]:
        """Return where each of ``users`` is kept, such as ``users_xml``; those that do not exist are not there.

        Only for servers that have SQL users.
        """
        names = ", ".join(map(quoted_text, users))
        query = f"SELECT name, storage FROM system.users WHERE name IN ({names})"  # noqa: S608  # quoted
        found = self.rows(query, server)
        return {row["name"]: row["storage"] for row in found}

    def shown(self, user: str, server: Server) -> ShownUser:
        """Return what the server tells of ``user``, which must exist."""
        return read_shown(self.told(f"SHOW CREATE USER {quoted_name(user)}", server, doing=f"show the user '{user}'"))

    def told(self, statement: str, server: Server, *, doing: str) -> str:
        """Return the text that a ``SHOW`` statement answers, as it is, its times in UTC."""
        try:
            return self._ask(f"{statement} FORMAT TSVRaw", server, _READING).strip()
        except AnswerError as exc:
            raise server.error(exc, doing) from None

    def end_queries(self, user: str, server: Server) -> None:
        """End what ``user`` is running, where the administrator may; else it runs to its end, and nothing comes after.

        Raises:
            TargetUnavailableError: A server did not answer.
        """
        try:
            self._ask(kill_queries(user, on=self.on), server, _ON_CLUSTER if self.on else None)
        except AnswerError as exc:
            if exc.code != _ACCESS_DENIED:
                raise server.error(exc, f"end the queries of '{user}'") from None

    def settle(self, *, accepted: Sequence[Credential] = (), refused: Sequence[Credential] = ()) -> None:
        """Return when every server says yes and no to fresh logins as it should, or when the time allowed has passed.

        A server that is away is not waited for: the verbs that prove something will say so.
        """
        deadline, pause = time.monotonic() + SETTLE_SECONDS, 0.02
        expected = [(one, True) for one in accepted] + [(one, False) for one in refused]
        waiting = [(server, *one) for server in self.all for one in expected]
        while True:
            waiting = [one for one in waiting if not _is(*one)]
            if not waiting or time.monotonic() + pause > deadline:
                return
            time.sleep(pause)
            pause = min(pause * 2, _LOOK_SECONDS_MAX)

    def _ask(self, statement: str, server: Server, settings: Mapping[str, str] | None = None) -> str:
        """Ask as the administrator, whose login is read from the store anew when a server refuses it."""
        if self._login is not None:
            try:
                return server.ask(statement, self._login, settings)
            except AnswerError as exc:
                if not exc.is_login_refusal:
                    raise
        self._login = self._administrator()
        return server.ask(statement, self._login, settings)


def _is(server: Server, credential: Credential, expected: bool) -> bool:
    try:
        return server.accepts(credential) is expected
    except TargetUnavailableError:
        return True

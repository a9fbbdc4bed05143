"""Two SQL users with equal rights, used in turn: for servers before 24.10, and where a log must tell who is who."""

from __future__ import annotations

from datetime import datetime

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.rights import Rights, read_rights
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.statements import (
    Method,
    alter_end,
    alter_methods,
    create_closed,
    drop,
)
from vantage_secrets.targets.clickhouse.strategy import Pair, Strategy
from vantage_secrets.targets.contract import Overlap


class AlternatingUsers(Strategy):
    """Gives the new password to the user of the pair that is not in use.

    A user that is there must have the rights of the one in use. One that is missing is made: closed at first, opened
    in one statement when it has all rights, so that one that was begun by a run that died is known, and made anew.
    A revoked user stays, with a password that nobody knows: then the administrator needs to change two users alone.

    Args:
        servers: The servers.
        account: The account; the first rotation takes its rights from the user of that name.
    """

    name = "alternating-users"
    overlap = Overlap.ALTERNATING_USERS

    def __init__(self, servers: Servers, account: str) -> None:
        """Ask nothing yet."""
        self._servers = servers
        self._pair = Pair(account)

    def generate(self, current: SecretValue | None) -> SecretValue:
        """Return a fresh credential for the other user."""
        return self._pair.next(current)

    def install(self, pending: Credential, keep: Credential | None) -> None:
        """Let ``pending``'s user log in with it; ``keep``'s is not touched."""
        self._pair.check(pending, keep)
        method = Method.of(pending.password)
        for server in self._servers.places:
            there = self._there(server)
            if pending.username != self._pair.account:
                self._prepare(pending.username, self._model(pending, keep, there), server, there, method)
            elif not server.accepts(pending):  # a person brings a password; one that works stays as it is
                self._set(self._model(pending, None, there), method, server)
            for other in self._pair.users:
                if other in there and other not in (pending.username, keep.username if keep else ""):
                    self._close(other, server)
        self._servers.settle(accepted=(pending,))

    def limit(self, previous: Credential, until: datetime, keep: Credential | None) -> datetime:  # noqa: ARG002
        """Give the user of ``previous`` an end, while it has that password."""
        until, ends = until.replace(microsecond=0), []
        for server in self._servers.places:
            if previous.username not in self._there(server):
                continue
            had = [one.until for one in self._servers.shown(previous.username, server).methods if one.until]
            end = min([until, *had])
            if end not in had and server.accepts(previous):
                self._change(alter_end(previous.username, end, on=self._servers.on), server, previous.username)
            ends.append(end)
        return max(ends, default=until)

    def revoke(self, previous: Credential, keep: Credential | None) -> None:
        """Give the user of ``previous`` a password that nobody knows, and end what it runs."""
        same = keep is not None and keep.username == previous.username
        for server in self._servers.places:
            if previous.username not in self._there(server):
                continue
            if keep is not None and same:  # a late install wrote over it
                self._set(previous.username, Method.of(keep.password), server)
            else:
                self._close(previous.username, server)
        self._servers.settle(refused=(previous,))

    def accepted_count(self) -> int | None:
        """Nothing: whether somebody knows a user's password cannot be seen."""
        return None

    def tells_versions_apart(self) -> bool:
        """Yes, by the user's name."""
        return True

    def _there(self, server: Server) -> frozenset[str]:
        """Return which of the three users there are.

        Raises:
            RotationError: One of them stands in a file of the server, where SQL cannot change it.
        """
        storages = self._servers.storages(self._pair.everyone, server)
        in_files = sorted(name for name, storage in storages.items() if storage == "users_xml")
        if in_files:
            raise RotationError(
                f"User '{in_files[0]}' at {server.name} stands in users.xml, where SQL cannot change it (code 495).",
                hint="Give users_folder and users_file in the manifest, or make the user by SQL and take it out there.",
            )
        return frozenset(storages)

    def _model(self, pending: Credential, keep: Credential | None, there: frozenset[str]) -> str:
        """Return the user whose rights the new one must have."""
        account = self._pair.account
        wanted = keep.username if keep else account
        others: tuple[str, ...] = () if keep or pending.username == account else (pending.username, *self._pair.users)
        for name in (wanted, *others):
            if name in there:
                return name
        raise RotationError(
            f"ClickHouse has no user '{wanted}' whose rights '{pending.username}' could have.",
            hint=f"Make it with its rights: CREATE USER {wanted} …, then run the command again.",
        )

    def _prepare(self, user: str, model: str, server: Server, there: frozenset[str], method: Method) -> None:
        """Let ``user`` log in by ``method``, with the rights of ``model``."""
        if user == model:
            self._set(user, method, server)
            return
        rights = read_rights(self._servers, model, server)
        shown = self._servers.shown(user, server) if user in there else None
        if shown is None or (shown.is_closed and rights.clauses.get("HOST") != "NONE"):
            self._make(user, rights, server)
        else:
            differences = rights.differences(read_rights(self._servers, user, server, shown), (model, user))
            if differences:
                raise _drift(model, user, server, differences)
        self._set(user, method, server, rights.final_clauses())

    def _make(self, user: str, rights: Rights, server: Server) -> None:
        """Make a closed user with all rights. What a run that died left of it opened nothing, and goes first."""
        on = self._servers.on
        for statement in (drop(user, on=on), create_closed(user, on=on), *rights.grant_statements(user, on=on)):
            self._change(statement, server, user)

    def _set(self, user: str, method: Method, server: Server, clauses: str = "") -> None:
        self._change(alter_methods(user, [method], on=self._servers.on, clauses=clauses), server, user)

    def _close(self, user: str, server: Server) -> None:
        self._set(user, Method.nobodys(), server)
        self._servers.end_queries(user, server)

    def _change(self, statement: str, server: Server, user: str) -> None:
        self._servers.change(statement, server, doing=f"change the user '{user}'")


def _drift(model: str, user: str, server: Server, differences: list[str]) -> RotationError:
    shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
    return RotationError(
        f"Users '{model}' and '{user}' at {server.name} have unequal rights: {shown}.",
        hint=f"Make them equal, or DROP USER {user}: it is made anew with the rights of {model}.",
    )

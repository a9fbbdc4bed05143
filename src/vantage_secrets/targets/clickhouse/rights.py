"""What a user may do: read, compared between two users, and given to a new one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.shown_user import ShownUser
from vantage_secrets.targets.clickhouse.statements import quoted_name, quoted_text

_WHOSE = re.compile(r" (?:TO|FROM) (?:`(?:[^`\\]|\\.)*`|[^\s`]+)((?: WITH (?:GRANT|ADMIN) OPTION)?)$")

_LISTS = {"quotas": "QUOTA", "settings_profiles": "SETTINGS PROFILE", "row_policies": "ROW POLICY"}
"""Things that name the users they hold for, by their table in ``system``."""


class Assigned(NamedTuple):
    """Something that names the users it holds for.

    Attributes:
        kind: ``QUOTA``, ``SETTINGS PROFILE`` or ``ROW POLICY``.
        name: As ``ALTER`` takes it.
        users: The users and roles that it names.
        is_exception: Whether it holds for all except those.
    """

    kind: str
    name: str
    users: tuple[str, ...]
    is_exception: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def statement(self, another: str, *, on: str) -> str:
        """Return the statement that puts ``another`` user beside those that are named."""
        users = ", ".join(map(quoted_name, (*self.users, another)))
        to = f"TO {'ALL EXCEPT ' if self.is_exception else ''}{users}"
        if self.kind != "ROW POLICY":
            return " ".join(filter(None, (f"ALTER {self.kind} {self.name}", on, to)))
        policy, _on, table = self.name.rpartition(" ON ")
        return " ".join(filter(None, (f"ALTER ROW POLICY {policy}", on, f"ON {table}", to)))


class Rights(NamedTuple):
    """What one user may do.

    Attributes:
        clauses: Those of ``SHOW CREATE USER``: hosts, default roles, settings.
        grants: Privileges and roles, as ``SHOW GRANTS`` tells them without the user's name.
        assigned: Quotas, profiles and row policies that name the user.
    """

    clauses: Mapping[str, str]
    grants: frozenset[str]
    assigned: tuple[Assigned, ...]

    def differences(self, other: Rights, names: tuple[str, str]) -> list[str]:
        """Return what one of two users has and the other has not, each in words that name who has it."""
        mine, theirs = frozenset(self._all()), frozenset(other._all())
        return [f"only {names[0]} has {one}" for one in sorted(mine - theirs)] + [
            f"only {names[1]} has {one}" for one in sorted(theirs - mine)
        ]

    def _all(self) -> Iterator[str]:
        yield from (f"{head} {text}" for head, text in self.clauses.items())
        yield from self.grants
        yield from map(str, self.assigned)

    def grant_statements(self, user: str, *, on: str) -> list[str]:
        """Return what gives ``user`` these grants and puts it on these lists."""
        statements = []
        for grant in sorted(self.grants):
            verb, _, what = grant.partition(" ")  # GRANT, or REVOKE for an exception from a grant, which comes later
            bare, option, kind = what.partition(" WITH ")
            to = "TO" if verb == "GRANT" else "FROM"
            statements.append(" ".join(filter(None, (verb, on, bare, to, quoted_name(user)))) + option + kind)
        return statements + [one.statement(user, on=on) for one in self.assigned]

    def final_clauses(self) -> str:
        """Return the clauses as ``ALTER USER`` takes them; the hosts are always among them."""
        return " ".join(f"{head} {text}" for head, text in {"HOST": "ANY", **self.clauses}.items())


def read_rights(servers: Servers, user: str, server: Server, shown: ShownUser | None = None) -> Rights:
    """Return what ``user``, who must exist, may do at one server."""
    shown = shown or servers.shown(user, server)
    told = servers.told(f"SHOW GRANTS FOR {quoted_name(user)}", server, doing=f"show the grants of '{user}'")
    grants = frozenset(_WHOSE.sub(r"\1", line) for line in told.splitlines() if line)
    return Rights(shown.clauses, grants, tuple(_assigned(servers, user, server)))


def _assigned(servers: Servers, user: str, server: Server) -> Iterator[Assigned]:
    for table, kind in _LISTS.items():
        place = "short_name, database, table, " if kind == "ROW POLICY" else ""
        rows = servers.rows(
            f"SELECT name, {place}apply_to_list, apply_to_except FROM system.{table} "  # noqa: S608  # quoted
            f"WHERE has(apply_to_list, {quoted_text(user)}) OR has(apply_to_except, {quoted_text(user)})",
            server,
        )
        for row in rows:
            name = quoted_name(row["name"])
            if kind == "ROW POLICY":
                where = f"{quoted_name(row['database'])}.{quoted_name(row['table']) if row['table'] else '*'}"
                name = f"{quoted_name(row['short_name'])} ON {where}"
            excepted = row["apply_to_except"]
            yield Assigned(kind, name, tuple(excepted or row["apply_to_list"]), bool(excepted))

"""Which strategy a target takes, as its servers are set up now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vantage_secrets.errors import RotationError
from vantage_secrets.manifest import TargetSettings
from vantage_secrets.targets.clickhouse.alternating_users import AlternatingUsers
from vantage_secrets.targets.clickhouse.servers import Servers, Version
from vantage_secrets.targets.clickhouse.strategy import Pair, Strategy
from vantage_secrets.targets.clickhouse.two_credentials import TwoCredentials
from vantage_secrets.targets.clickhouse.user_entries import UserEntries
from vantage_secrets.targets.clickhouse.users_files import UsersFiles

SQL_USERS = (23, 8)
"""The oldest release whose SQL users are changed: salted hashes and ``VALID UNTIL`` are there. (SQL users: 20.4.)"""

METHOD_ENDS = (24, 10)
"""Several methods a user came with 24.9, an end for each with 24.10 (ClickHouse pull request 70090)."""

GRANT_ON_NAMES = (24, 11)
"""``GRANT ALTER USER ON name``; before, the right to change users is the right to take over any."""

_FORGETS_ENDS = ((24, 3, 3), (24, 5, 3))
"""Releases that lose ``VALID UNTIL`` of SQL users when they restart."""


_UNLIMITED = 1_000
"""More methods than anybody gives a user."""


def choose(settings: TargetSettings, servers: Servers, account: str) -> Strategy:
    """Return the strategy that the manifest names, or else the one that fits the servers.

    Users in files need files. Where the users that alternate are there already, they go on. Where each server can
    end one method alone, one user has two passwords.

    Raises:
        RotationError: The servers can do none, or not the one that is named.
        TargetUnavailableError: A server did not answer.
    """
    named, oldest = settings.text("strategy"), min(servers.versions().values())
    if named == UsersFiles.name:
        return _files(settings, servers, account)
    storages = _storages(servers, account, oldest)
    if oldest < SQL_USERS or "users_xml" in storages.values():
        return _without_sql(settings, servers, account, oldest, named)
    if named == AlternatingUsers.name:
        return AlternatingUsers(servers, account)
    if named == TwoCredentials.name:
        return _two(servers, account, oldest)
    alternates = not {*Pair(account).users}.isdisjoint(storages)
    if alternates or oldest < METHOD_ENDS or _methods_max(servers) < 2:
        return AlternatingUsers(servers, account)
    return TwoCredentials(servers, account)


def warnings(servers: Servers, versions: Mapping[str, Version], strategy: Strategy) -> tuple[str, ...]:
    """Return what a person should know before a rotation."""
    said = [f"Passwords travel unencrypted to {one.name}: use https." for one in servers.all if one.sends_in_clear]
    if len({*versions.values()}) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        said.append(f"The servers run different releases ({listed}); the oldest decides what can be done.")
    if isinstance(strategy, UsersFiles):
        return (*said, "Users in files have no end: if nobody ends the overlap, the old password goes on working.")
    for name, version in sorted(versions.items()):
        if version in _FORGETS_ENDS:
            said.append(f"{name} runs {version}, which forgets VALID UNTIL when it restarts: update it.")
    if min(versions.values()) < GRANT_ON_NAMES:
        said.append("Before 24.11 the administrator's ALTER USER holds for every user: guard it as you guard root.")
    return tuple(said)


def _storages(servers: Servers, account: str, oldest: Version) -> dict[str, str]:
    """Return where the three users are kept; nothing where some server does not know users of SQL."""
    if oldest < SQL_USERS:
        return {}
    everyone = Pair(account).everyone
    return {name: kind for server in servers.all for name, kind in servers.storages(everyone, server).items()}


def _files(settings: TargetSettings, servers: Servers, account: str) -> UsersFiles:
    file, folder = settings.path("users_file"), settings.path("users_folder")
    if not isinstance(file, Path) or not isinstance(folder, Path):
        raise RotationError(
            f"Target '{settings.name}' keeps users in files, and the manifest does not say where.",
            hint=f"Give users_file and users_folder under [targets.{settings.name}].",
        )
    return UsersFiles(servers, account, UserEntries(file, folder))


def _without_sql(settings: TargetSettings, servers: Servers, account: str, oldest: Version, named: str) -> UsersFiles:
    why = (
        f"ClickHouse {oldest} has no SQL users that could be changed safely"
        if oldest < SQL_USERS
        else f"User '{account}' stands in users.xml, where SQL cannot change it (code 495)"
    )
    if named != "auto" or settings.path("users_folder") is None:
        raise RotationError(
            f"{why}.",
            hint=f'Give users_folder and users_file under [targets.{settings.name}], and strategy = "users-files"; '
            "or make the user by SQL, on 23.8 or later, and take it out of users.xml.",
        )
    return _files(settings, servers, account)


def _two(servers: Servers, account: str, oldest: Version) -> TwoCredentials:
    if oldest < METHOD_ENDS or _methods_max(servers) < 2:
        why = f"a server runs {oldest}" if oldest < METHOD_ENDS else "max_authentication_methods_per_user is 1"
        raise RotationError(
            f"One user cannot have two passwords with ends of their own here: {why}.",
            hint='Use strategy = "alternating-users", or 24.10 or later on every server.',
        )
    return TwoCredentials(servers, account)


def _methods_max(servers: Servers) -> int:
    """Return how many methods a user may have on every server; a server that says 0 sets no limit."""
    query = "SELECT value FROM system.server_settings WHERE name = 'max_authentication_methods_per_user'"
    found = [int(row["value"]) for server in servers.all for row in servers.rows(query, server)]
    return min(filter(None, found), default=_UNLIMITED)

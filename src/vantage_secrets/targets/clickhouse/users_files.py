"""Users in files of the server: for old releases, and for users of ``users.xml``, which SQL cannot change.

One file for each user of the pair, in ``users.d``: it holds the rights that the account has, and the SHA-256 of the
password. A revoked user's file goes. The account's own entry in ``users.xml``, which is not ours, stays there and is
taken out of force by a file.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.strategy import Pair, Strategy
from vantage_secrets.targets.clickhouse.user_entries import UserEntries
from vantage_secrets.targets.contract import Overlap


class UsersFiles(Strategy):
    """Writes the user of the pair that is not in use, then has every server load it.

    Args:
        servers: The servers; all read the same folder.
        account: The account.
        entries: The server's users as its files tell.
    """

    name: ClassVar[str] = "users-files"
    overlap: ClassVar[Overlap] = Overlap.ALTERNATING_USERS

    def __init__(self, servers: Servers, account: str, entries: UserEntries) -> None:
        """Read nothing yet."""
        self._servers = servers
        self._pair = Pair(account)
        self._entries = entries

    def generate(self, current: SecretValue | None) -> SecretValue:
        """Return a fresh credential for the other user."""
        return self._pair.next(current)

    def install(self, pending: Credential, keep: Credential | None) -> None:
        """Write the file of ``pending``'s user, with the rights of ``keep``'s."""
        self._pair.check(pending, keep)
        self._require_equal(keep.username if keep else None)
        if pending.username != self._pair.account:
            model = keep.username if keep else self._model(pending)
            self._entries.require_ours(pending.username)
            self._entries.write(pending.username, model=model, digest=_digest(pending.password))
        elif not all(server.accepts(pending) for server in self._servers.all):  # a person brings a password
            self._entries.write(pending.username, model=pending.username, digest=_digest(pending.password))
        for other in self._pair.users:
            if other not in (pending.username, keep.username if keep else ""):
                self._entries.remove(other)
        self._reload()
        self._servers.settle(accepted=(pending,))

    def limit(self, previous: Credential, until: datetime, keep: Credential | None) -> datetime:  # noqa: ARG002
        """Change nothing: a file has no end."""
        return until

    def revoke(self, previous: Credential, keep: Credential | None) -> None:
        """Take the user of ``previous`` away."""
        if keep is not None and keep.username == previous.username:  # a late install wrote over it
            self._entries.write(keep.username, model=keep.username, digest=_digest(keep.password))
            self._reload()
        else:
            self._entries.remove(previous.username)
            self._reload()
            for server in self._servers.all:
                self._servers.end_queries(previous.username, server)
        self._servers.settle(refused=(previous,))

    def accepted_count(self) -> int | None:
        """Return how many of the account's users the files have in force."""
        return sum(self._entries.is_in_force(user) for user in self._pair.everyone)

    def tells_versions_apart(self) -> bool:
        """Yes, by the user's name."""
        return True

    def _model(self, pending: Credential) -> str:
        for user in (self._pair.account, pending.username, *self._pair.users):
            if self._entries.has(user):
                return user
        raise RotationError(
            f"The server's files have no user '{self._pair.account}' whose rights could be taken.",
            hint=f"Write <{self._pair.account}> with its rights into the file that users_file names.",
        )

    def _require_equal(self, model: str | None) -> None:
        """Check that the user in use has the rights that the account has in ``users.xml``, where it stands there.

        Raises:
            RotationError: One of the two was changed alone.
        """
        account = self._pair.account
        if model in (None, account) or not self._entries.has(account):
            return
        differences = self._entries.differences(account, str(model))
        if differences:
            raise RotationError(
                f"Users '{account}' and '{model}' have unequal rights in the server's files: {'; '.join(differences)}.",
                hint=f"Make {self._entries.file_of(str(model))} and {self._entries.users_file} say the same.",
            )

    def _reload(self) -> None:
        for server in self._servers.all:
            self._servers.change("SYSTEM RELOAD CONFIG", server, doing="load its users anew")


def _digest(password: SecretValue) -> str:
    """Return the SHA-256 as the file takes it: without a salt, which the format does not have.

    SECURITY: two equal passwords are seen to be equal, and a short one can be guessed. Ours have 256 random bits.
    """
    return hashlib.sha256(password.reveal_text().encode("utf-8", "surrogatepass")).hexdigest()

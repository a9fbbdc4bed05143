"""One SQL user with two passwords, from ClickHouse 24.9 on; each can have its own end from 24.10 on."""

from __future__ import annotations

from datetime import UTC, datetime

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.shown_user import ShownMethod
from vantage_secrets.targets.clickhouse.statements import Method, alter_methods
from vantage_secrets.targets.clickhouse.strategy import Strategy, new_password
from vantage_secrets.targets.contract import Overlap


class TwoCredentials(Strategy):
    """Restates the user's whole list of methods each time: there is no way to drop a chosen one.

    The oldest stands first. The server does not tell which hash is whose, so what is restated as it was is known by
    its place in the list.

    Args:
        servers: The servers.
        account: The user.
    """

    name = "two-credentials"
    overlap = Overlap.TWO_CREDENTIALS

    def __init__(self, servers: Servers, account: str) -> None:
        """Ask nothing yet."""
        self._servers = servers
        self._account = account

    def generate(self, current: SecretValue | None) -> SecretValue:
        """Return a fresh password for the account, in the shape that the current value has."""
        password = new_password()
        is_named = current is not None and isinstance(current.reveal(), dict)
        return Credential(self._account, password).as_value() if is_named else password

    def install(self, pending: Credential, keep: Credential | None) -> None:
        """State ``keep`` with the end that it has, and ``pending``."""
        self._check(pending, keep)
        for server in self._servers.places:
            shown = self._methods(server)
            if keep is None and len(shown) == 1 and server.accepts(pending):
                continue  # what a person brings works already, with the end that it has
            methods = [Method.of(pending.password)]
            # SECURITY: what the server does not accept now is not brought back to life.
            if keep is not None and server.accepts(keep):
                methods.insert(0, Method.of(keep.password, self._end_of_kept(shown)))
            self._state(server, methods)
        self._servers.settle(accepted=(pending,))

    def limit(self, previous: Credential, until: datetime, keep: Credential | None) -> datetime:
        """State the end of ``previous`` beside ``keep``; without knowing ``keep`` nothing can be stated."""
        self._check(previous, keep)
        until = until.replace(microsecond=0)
        ends = []
        for server in self._servers.places:
            shown = self._methods(server)
            had = shown[0].until if len(shown) == 2 else None
            end = min(until, had or until)
            if keep is not None and had != end and self._are_both(server, shown, previous, keep):
                self._state(server, [Method.of(previous.password, end), Method.of(keep.password, shown[1].until)])
            ends.append(end)
        return max(ends)

    def _are_both(self, server: Server, shown: tuple[ShownMethod, ...], previous: Credential, keep: Credential) -> bool:
        """Return whether the user's two methods are these two: another run may have gone on since."""
        return (
            len(shown) == 2 and previous.password != keep.password and server.accepts(previous) and server.accepts(keep)
        )

    def revoke(self, previous: Credential, keep: Credential | None) -> None:
        """State ``keep`` alone, or what nobody knows."""
        self._check(previous, keep)
        for server in self._servers.places:
            shown = self._methods(server)
            if keep is None:
                self._state(server, [Method.nobodys()])
            elif server.accepts(keep):
                self._state(server, [Method.of(keep.password, shown[-1].until)])
            else:
                raise RotationError(
                    f"The server does not accept the version of '{self._account}' that is to stay, "
                    "so nothing was revoked.",
                    hint="Set the account's password at the server by hand, then run the command again.",
                )
        self._servers.settle(refused=(previous,))

    def accepted_count(self) -> int | None:
        """Return how many methods of the user have not ended."""
        now = datetime.now(UTC)
        shown = self._servers.shown(self._account, self._servers.places[0])
        return sum(method.until is None or method.until > now for method in shown.methods)

    def tells_versions_apart(self) -> bool:
        """No: both log in by one name, and no log of the server tells the method."""
        return False

    def _check(self, *credentials: Credential | None) -> None:
        for one in credentials:
            if one is not None and one.username != self._account:
                raise RotationError(
                    f"The value is for user '{one.username}', and two-credentials changes '{self._account}'.",
                    hint=f'Set account = "{one.username}", or strategy = "alternating-users", in the manifest.',
                )

    def _methods(self, server: Server) -> tuple[ShownMethod, ...]:
        """Return the methods of the user.

        Raises:
            RotationError: There is no such user, or it has methods that are not ours to restate.
        """
        if self._account not in self._servers.storages((self._account,), server):
            raise RotationError(
                f"ClickHouse at {server.name} has no user '{self._account}'.",
                hint=f"Make it with its rights: CREATE USER {self._account} …, then run the command again.",
            )
        methods = self._servers.shown(self._account, server).methods
        foreign = sorted({one.kind for one in methods if not one.is_plain and one.kind != "no_password"})
        if foreign or len(methods) > 2:
            what = f"methods of the kind {', '.join(foreign)}" if foreign else f"{len(methods)} ways to log in"
            raise RotationError(
                f"User '{self._account}' at {server.name} has {what}: more than the two passwords that are ours.",
                hint="Give who else logs in a user of their own, then leave this one a single password.",
            )
        return methods or (ShownMethod("no_password", None, is_plain=True),)

    def _end_of_kept(self, shown: tuple[ShownMethod, ...]) -> datetime | None:
        """Return the end of the method that is kept: of those that have not passed, it was there first."""
        now = datetime.now(UTC)
        alive = [one.until for one in shown if one.until is None or one.until > now]
        return alive[0] if alive else None

    def _state(self, server: Server, methods: list[Method]) -> None:
        statement = alter_methods(self._account, methods, on=self._servers.on)
        self._servers.change(statement, server, doing=f"change the user '{self._account}'")

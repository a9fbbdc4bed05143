"""The password of a ClickHouse account as a target of rotation."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.clickhouse.choosing import choose, warnings
from vantage_secrets.targets.clickhouse.connection import Server
from vantage_secrets.targets.clickhouse.servers import Servers
from vantage_secrets.targets.clickhouse.strategy import Strategy
from vantage_secrets.targets.clickhouse.usage import last_use
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse, Overlap, Probe, Target, TargetContext


class ClickHouseTarget(Target):
    """An account on one ClickHouse server, or on all servers of a cluster.

    Args:
        context: The secret and its account, the settings under ``[targets.NAME]``, and the administrator's login.

    Raises:
        RotationError: The settings cannot be used.
    """

    kind = "clickhouse-password"
    overlap = Overlap.TWO_CREDENTIALS

    def __init__(self, context: TargetContext) -> None:
        """Connect to nothing yet."""
        if context.settings is None or not context.spec.account:
            raise RotationError(
                f"Nothing says which account of which ClickHouse '{context.spec.name}' opens.",
                hint=f"Write [targets.clickhouse] with a url, and account under [secrets.{context.spec.key}].",
            )
        self._settings = context.settings
        self._account = context.spec.account
        urls, ca_file = (self._settings.text("url"), *self._settings.texts("replicas")), self._settings.path("ca_file")
        servers = [Server(url, ca_file) for url in urls]
        self._servers = Servers(servers, self._settings.text("cluster"), context.administrator)

    def probe(self) -> Probe:
        """Ask every server for its version, and tell which strategy fits."""
        versions = self._servers.versions()
        self._strategy = strategy = self._choose()
        releases = ", ".join(sorted({str(version) for version in versions.values()}))
        return Probe(
            f"ClickHouse {releases} on {len(versions)} server(s); {strategy.name} for '{self._account}'",
            strategy.overlap,
            strategy.accepted_count(),
            warnings(self._servers, versions, strategy),
        )

    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return a password of 256 random bits, with the user's name where two users alternate."""
        self._strategy = self._choose()
        return self._strategy.generate(None if current is None else current.value)

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Have every server accept ``pending`` and go on accepting ``keep``.

        Raises:
            RotationError: The account is set up so that it cannot be done; nothing was changed.
        """
        self._strategy.install(self._credential(pending), self._credential(keep) if keep else None)

    def verify(self, pending: SecretReading) -> None:
        """Log in with it, on every server.

        Raises:
            CredentialRefusedError: A server refused it.
        """
        credential = self._credential(pending)
        _accepted, refused, away = self._try(credential)
        if refused:
            raise CredentialRefusedError(
                f"ClickHouse at {' and '.join(refused)} refused version {pending.version.id} of "
                f"'{pending.version.name}', user '{credential.username}'.",
                hint="Run the command again; if it stays so, look whether the user may log in from this machine, and "
                "whether that server has the user at all (cluster, or a folder of its own).",
            )
        if away is not None:
            raise away

    def limit(self, previous: SecretReading, *, until: datetime, keep: SecretReading | None) -> datetime:
        """Have the servers end ``previous`` at ``until`` by ``VALID UNTIL``, in whole seconds; files cannot.

        Where one user has two passwords both have to be stated: without ``keep`` the server is told nothing.
        """
        return self._strategy.limit(self._credential(previous), until, self._credential(keep) if keep else None)

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Have every server refuse ``previous`` and go on accepting ``keep``; queries of a user that goes are ended.

        Sessions of the native protocol that are open already go on until they end, where one user has both passwords.
        """
        self._strategy.revoke(self._credential(previous), self._credential(keep) if keep else None)

    def verify_refused(self, previous: SecretReading) -> None:
        """Log in with it on every server, and see it refused.

        Raises:
            CredentialAcceptedError: A server accepts it.
            TargetUnavailableError: A server gave no answer, or one that is no refusal.
        """
        accepted, _refused, away = self._try(self._credential(previous))
        if accepted:
            raise CredentialAcceptedError(
                f"ClickHouse at {' and '.join(accepted)} still accepts version {previous.version.id} of "
                f"'{previous.version.name}'."
            )
        if away is not None:
            raise away

    def last_used(self, reading: SecretReading) -> LastUse:
        """Return when the version's user last ran a query of others than ours; unknown where one user has both."""
        if not self._strategy.tells_versions_apart():
            return UNKNOWN_USE
        return last_use(self._servers, self._credential(reading).username, reading.version.created_at)

    def close(self) -> None:
        """Close nothing: no connection outlives its question."""

    @cached_property
    def _strategy(self) -> Strategy:
        return self._choose()

    def _choose(self) -> Strategy:
        return choose(self._settings, self._servers, self._account)

    def _credential(self, reading: SecretReading) -> Credential:
        return Credential.of(reading.value, account=self._account)

    def _try(self, credential: Credential) -> tuple[list[str], list[str], TargetUnavailableError | None]:
        """Return which servers accept it, which refuse it, and what one said that did neither."""
        answers: dict[bool, list[str]] = {True: [], False: []}
        away = None
        for server in self._servers.all:
            try:
                answers[server.accepts(credential)].append(server.name)
            except TargetUnavailableError as exc:
                away = exc
        return answers[True], answers[False], away

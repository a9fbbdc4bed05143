"""Passwords of PostgreSQL as a target of rotation: two roles in turn, both acting as the account."""

from __future__ import annotations

import secrets
from datetime import datetime

from vantage_secrets.credential import Credential
from vantage_secrets.errors import (
    CredentialAcceptedError,
    CredentialRefusedError,
    RotationError,
    TargetUnavailableError,
)
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse, Overlap, Probe, Target, TargetContext
from vantage_secrets.targets.postgresql.login import APPLICATION_NAME, Answer, require_psycopg
from vantage_secrets.targets.postgresql.roles import Account, Role, count_sessions, end_sessions
from vantage_secrets.targets.postgresql.server import servers_of


class PostgresqlTarget(Target):
    """Two roles ``ACCOUNT_a`` and ``ACCOUNT_b`` of a PostgreSQL server, in turn, both with the rights of ``ACCOUNT``.

    Args:
        context: The secret and its account, the settings of its ``[targets.NAME]`` table, and the administrator.

    Raises:
        MissingExtraError: psycopg is not installed.
        RotationError: The account is the administrator's own, or an address cannot be read.
    """

    kind = "postgresql-password"
    overlap = Overlap.ALTERNATING_USERS

    def __init__(self, context: TargetContext) -> None:
        """Read the settings; nothing is connected yet."""
        require_psycopg()
        settings = context.settings
        if settings is None:
            raise RotationError(f"'{context.spec.name}' has no table [targets.postgresql].", hint="Write one.")
        self._name = context.spec.name
        self._clock = context.clock
        self._account = Account(context.spec.account)
        administrator = settings.text("admin_user")
        if administrator in self._account.roles:
            # SECURITY: a rotation that ends in the middle would leave nobody who could repair it.
            raise RotationError(
                f"'{administrator}' is the administrator that changes the roles; it cannot rotate itself.",
                hint="Name another role under admin_user.",
            )
        has_secret = bool(settings.text("admin_secret"))
        login = context.administrator if has_secret else lambda: administrator
        urls = (settings.text("url"), *settings.texts("replicas"))
        self._primary, *_ = self._servers = servers_of(urls, login)

    def probe(self) -> Probe:
        """Look at the account and at its logins, and count the roles that may log in."""
        with self._primary.administer() as connection:
            roles = self._account.read(connection)
            host = connection.info.host
            is_private = connection.pgconn.ssl_in_use or host.startswith(("/", "127.")) or host in ("localhost", "::1")
        now = self._clock()
        count = sum(role.is_open(now) for role in roles.values())
        warnings = [f"{clause}; a rotation will be refused." for clause in self._account.drift(roles)]
        if not is_private:
            warnings.append(f"The way to {self._primary.name} is not encrypted: write ?sslmode=verify-full.")
        summary = f"{count} of the roles {', '.join(sorted(roles))} may log in at {self._primary.name}"
        return Probe(summary, self.overlap, count, tuple(warnings))

    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return a password of 256 random bits for the role whose turn it is."""
        username = None if current is None else self._credential(current).username
        password = SecretValue(secrets.token_urlsafe(32))
        return Credential(self._account.next_login(username), password).as_value()

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Give the role of ``pending`` its password; where the role is missing it is created, equal to the account.

        Raises:
            RotationError: The logins' rights differ from the account's, or both credentials are one role's.
        """
        new = self._credential(pending)
        kept = None if keep is None else self._credential(keep)
        if kept is not None and kept.username == new.username and kept != new:
            raise RotationError(
                f"Both versions of '{self._name}' are passwords of the role '{new.username}', which has only one.",
                hint=f"Give the pending one up, then begin anew: vantage-secrets rotate {self._name} --abandon",
            )
        with self._primary.administer() as connection:
            self._account.lock(connection)
            roles = self._account.read(connection)
            self._account.refuse_drift(roles)
            self._account.open(connection, roles, new)
            others = [] if kept is None else self._others(roles, new, kept)
            for name in others:
                self._account.shut(connection, name)
        for name in others:
            self._end_sessions(name)

    def verify(self, pending: SecretReading) -> None:
        """Log in afresh on every server; a standby is waited for until it has followed.

        Raises:
            CredentialRefusedError: A server refused it.
            RotationError: A server lets the role in without a password, so that nothing can be said about this one.
        """
        for name, (answer, reason) in self._try_everywhere(pending):
            if answer is Answer.ACCEPTED and reason:
                raise RotationError(
                    f"PostgreSQL at {name} {reason}.", hint="Write scram-sha-256 for this role in its pg_hba.conf."
                )
            if answer is Answer.REFUSED:
                raise CredentialRefusedError(
                    f"PostgreSQL at {name} {reason}: version {pending.version.id} of '{self._name}'."
                )

    def limit(
        self,
        previous: SecretReading,
        *,
        until: datetime,
        keep: SecretReading | None,  # noqa: ARG002
    ) -> datetime:
        """Set ``VALID UNTIL`` of the role, never later than it is, and return when its password ends."""
        credential = self._credential(previous)
        with self._primary.administer() as connection:
            self._account.lock(connection)
            role = self._account.read(connection).get(credential.username)
            ends_at = role.ends_at if role and role.can_log_in else self._clock()
            if ends_at is not None and ends_at <= until:
                return ends_at
            # The role may have another password by now, whose life must not be touched.
            answer, reason = self._primary.log_in(credential)
            if answer is Answer.NOTHING:
                raise TargetUnavailableError(f"PostgreSQL at {self._primary.name} {reason}.")
            if answer is Answer.REFUSED:
                return min(until, self._clock())
            self._account.limit(connection, credential.username, until)
        return until

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Refuse the role of ``previous`` and end its sessions, on every server; the other role's go on."""
        old = self._credential(previous)
        kept = None if keep is None else self._credential(keep)
        with self._primary.administer() as connection:
            self._account.lock(connection)
            roles = self._account.read(connection)
            if kept is not None and kept.username == old.username:
                self._account.open(connection, roles, kept)  # one role, one password: the old one is gone
                return
            if old.username not in roles:
                return
            self._account.shut(connection, old.username)
        self._end_sessions(old.username)

    def verify_refused(self, previous: SecretReading) -> None:
        """Log in afresh on every server, and see it refused.

        Raises:
            CredentialAcceptedError: A server still lets it in.
        """
        for name, (answer, _) in self._try_everywhere(previous):
            if answer is Answer.ACCEPTED:
                raise CredentialAcceptedError(
                    f"PostgreSQL at {name} still accepts version {previous.version.id} of '{self._name}'."
                )

    def last_used(self, reading: SecretReading) -> LastUse:
        """Return the present while sessions of the role are open; PostgreSQL keeps no record of earlier ones."""
        username = self._credential(reading).username
        for server in self._servers:
            with server.administer() as connection:
                if count_sessions(connection, username, but=APPLICATION_NAME):
                    return LastUse(is_known=True, at=self._clock())
        return UNKNOWN_USE

    def close(self) -> None:
        """Close nothing: each verb closes its own connections."""

    def _credential(self, reading: SecretReading) -> Credential:
        """Return the credential, which is one of the account's and can be a password of PostgreSQL's.

        Raises:
            RotationError: It is somebody else's, or no text that PostgreSQL takes.
        """
        credential = Credential.of(reading.value, account=self._account.name)
        if credential.username not in self._account.roles:
            raise RotationError(
                f"Version {reading.version.id} of '{self._name}' is for the role '{credential.username}', which is not "
                f"one of {', '.join(self._account.roles)}.",
                hint="Correct account in the manifest, or set the secret anew.",
            )
        text = credential.password.reveal_text()
        # SECURITY: libpq would take what comes before a zero byte for the whole password.
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise RotationError(
                f"Version {reading.version.id} of '{self._name}' is not a text that PostgreSQL takes as a password.",
                hint="Set the secret anew, without zero bytes and with whole characters.",
            )
        return credential

    def _others(self, roles: dict[str, Role], *used: Credential) -> list[str]:
        """Return the roles that may log in and are in nobody's use."""
        names = {credential.username for credential in used}
        return [role.name for role in roles.values() if role.can_log_in and role.name not in names]

    def _end_sessions(self, username: str) -> None:
        """End what that role has open, on every server; called when nobody can log in as it any more."""
        for server in self._servers:
            with server.administer() as connection:
                end_sessions(connection, username)

    def _try_everywhere(self, reading: SecretReading) -> list[tuple[str, tuple[Answer, str]]]:
        """Return what each server answered to a fresh login.

        Raises:
            TargetUnavailableError: One did not answer, or its answer proves nothing.
        """
        credential = self._credential(reading)
        if len(self._servers) > 1:
            with self._primary.administer() as connection:
                row = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            for server in self._servers[1:]:
                server.wait_for(str(row[0]) if row else "0/0")
        answers = [(server.name, server.log_in(credential)) for server in self._servers]
        for name, (answer, reason) in answers:
            if answer is Answer.NOTHING:
                raise TargetUnavailableError(f"PostgreSQL at {name} {reason}.")
        return list(answers)

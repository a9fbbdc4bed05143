"""A SCRAM login at Kafka as a target of rotation."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import datetime
from typing import NoReturn

from vantage_secrets.errors import CredentialAcceptedError, CredentialRefusedError, RotationError
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse, Overlap, Probe, Target, TargetContext
from vantage_secrets.targets.kafka.cluster import Administration, Cluster
from vantage_secrets.targets.kafka.login import Login, next_mechanism, next_principal, principals
from vantage_secrets.targets.kafka.quotas import QuotasUnreadableError, make_quotas_equal
from vantage_secrets.targets.kafka.rights import (
    cluster_operations,
    cut_off,
    grant,
    let_in_again,
    missing_rights,
    rights_of,
)
from vantage_secrets.targets.kafka.scram import mechanisms_of, overwrite, write

SETTLE_SECONDS = 3.0
"""How long a broker may need until it has heard of a change; measured on one node: some milliseconds."""

_ADMINISTRATION = frozenset({"ALTER", "CLUSTER_ACTION"})
"""Who may do one of these with the cluster itself administers it, or is a broker's own login."""


class KafkaTarget(Target):
    """Two principals with equal rights that take turns, or one principal's two SCRAM mechanisms.

    Args:
        context: The secret, the table ``[targets.NAME]`` and the administrator's login.
    """

    kind = "kafka-password"
    overlap = Overlap.ALTERNATING_USERS

    def __init__(self, context: TargetContext) -> None:
        """Keep the settings; nothing is connected yet.

        Raises:
            RotationError: There is no table for it, or no account.
        """
        if context.settings is None or not context.spec.account:
            raise RotationError(
                f"'{context.spec.name}' names no Kafka cluster or no account there.",
                hint="Give it 'account', and the manifest a table [targets.kafka].",
            )
        self._account = context.spec.account
        self._cluster = Cluster(context.settings, context.administrator)
        self._changed_at = -math.inf
        self._alternates = context.settings.text("strategy") == "two-principals"

    def probe(self) -> Probe:
        """Look at brokers, ACLs and re-authentication, and change nothing."""
        from vantage_secrets.targets.kafka.probe import look

        return look(self._cluster, self._account, alternates=self._alternates)

    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return a new password for the principal, or the mechanism, that ``current`` is not for."""
        login = None if current is None else self._login(current)
        if self._alternates:
            return next_principal(self._account, login)
        return next_mechanism(self._account, login, self._cluster.mechanism)

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Accept ``pending``, with the ACLs and quotas of ``keep``'s principal.

        Raises:
            RotationError: The principal is a super user, a broker's or the administrator's; it has ACLs that the one
                of ``keep`` has not; or it is somebody else's, as nobody here knows its password.
        """
        login, kept = self._login(pending), None if keep is None else self._login(keep)
        self._refuse_same_slot(login, kept)
        administration = self._cluster.administer()
        self._refuse_own_administrator(administration, login)
        kept_opens = kept is not None and self._opens(administration, kept)
        mechanisms = mechanisms_of(administration, login.username)
        is_known = kept_opens and kept is not None and kept.username == login.username
        is_there = self._is_there_already(administration, login, mechanisms, is_known=is_known)
        self._give_rights(administration, login, login if kept is None else kept)
        if not is_there:
            self._write(administration, login, mechanisms)
        if not is_known and login.username not in principals(self._account):
            self._take_back_from_administrators(administration, login)

    def verify(self, pending: SecretReading) -> None:
        """Log in afresh at each broker.

        Raises:
            CredentialRefusedError: A broker refused it.
            RotationError: It logs in, and may administer the cluster.
        """
        login = self._login(pending)
        administration = self._cluster.administer()
        operations = frozenset[str]()
        for address in self._cluster.addresses(administration):
            operations |= self._log_in_at_last(login, address)
        self._refuse_operations(administration, login, operations)

    def limit(
        self,
        previous: SecretReading,  # noqa: ARG002
        *,
        until: datetime,
        keep: SecretReading | None,  # noqa: ARG002
    ) -> datetime:
        """Change nothing: Kafka ends no credential by itself."""
        return until

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Cut the principal off by ACLs, where it is not that of ``keep``, and overwrite its passwords."""
        login, kept = self._login(previous), None if keep is None else self._login(keep)
        administration = self._cluster.administer()
        if kept is not None and _slot(login) == _slot(kept):
            return  # Kafka holds one password there, and it is the one to keep
        self._refuse_own_administrator(administration, login)
        if login.username not in principals(self._account):
            self._opens(administration, login)  # refuses super users; what is one of the two, we have made
        shares_principal = kept is not None and kept.username == login.username
        if self._alternates and not shares_principal:
            cut_off(administration, login.username)
            mechanisms = mechanisms_of(administration, login.username)
        else:
            mechanisms = mechanisms_of(administration, login.username) & {login.mechanism}
        for mechanism in sorted(mechanisms):
            overwrite(administration, login.username, mechanism)
        self._changed_at = time.monotonic()

    def verify_refused(self, previous: SecretReading) -> None:
        """Try to log in at each broker, by each mechanism that the password may be for, and see it refused.

        Raises:
            CredentialAcceptedError: A broker still lets it in.
            TargetUnavailableError: A broker did not answer.
        """
        login = self._login(previous)
        administration = self._cluster.administer()
        mechanisms = {login.mechanism}
        if self._alternates:
            mechanisms |= mechanisms_of(administration, login.username)
        for address in self._cluster.addresses(administration):
            for mechanism in sorted(mechanisms):
                self._see_refused(login._replace(mechanism=mechanism), address)

    def last_used(self, reading: SecretReading) -> LastUse:  # noqa: ARG002
        """Return that Kafka cannot tell."""
        return UNKNOWN_USE

    def close(self) -> None:
        """Close nothing: each verb logs in afresh and lets its connections go."""

    def _login(self, reading: SecretReading) -> Login:
        """Return the login that a version is; one of somebody else's principal is never touched."""
        login = Login.of(reading.value, account=self._account, mechanism=self._cluster.mechanism)
        ours = (self._account, *principals(self._account))
        if login.username not in ours:
            raise RotationError(
                f"Version {reading.version.id} of '{reading.version.name}' is for the principal '{login.username}', "
                f"and its account is '{self._account}'.",
                hint=f"Set it anew with one of the user names {', '.join(ours)}, or correct 'account'.",
            )
        return login

    def _refuse_same_slot(self, login: Login, kept: Login | None) -> None:
        if kept is None or login.username != kept.username:
            return
        if self._alternates or login.mechanism == kept.mechanism:
            raise RotationError(
                f"Old and new password are both for '{login.username}', of which Kafka keeps one: no overlap.",
                hint="Rotate it instead of setting it by hand: vantage-secrets rotate NAME",
            )

    def _opens(self, administration: Administration, login: Login) -> bool:
        """Return whether Kafka lets ``login`` in.

        Raises:
            RotationError: It is an administrator's or a broker's: Kafka does not tell who its super users are, but
                what somebody who is in may do.
        """
        self._refuse_own_administrator(administration, login)
        try:
            operations = self._cluster.log_in(login, next(iter(administration.brokers.values())))
        except CredentialRefusedError:
            return False
        # Kafka tells what somebody may do only to those who may describe the cluster; a broker need not.
        operations |= cluster_operations(rights_of(administration, login.username))
        self._refuse_operations(administration, login, operations)
        return True

    def _refuse_own_administrator(self, administration: Administration, login: Login) -> None:
        if login.username == administration.login.username:
            self._refuse(login, "it is the administrator of this target")

    def _take_back_from_administrators(self, administration: Administration, login: Login) -> None:
        """Refuse a password that was just written for a principal that nobody could log in as before."""
        operations = self._log_in_at_last(login, next(iter(administration.brokers.values())))
        try:
            self._refuse_operations(administration, login, operations)
        except RotationError:
            overwrite(administration, login.username, login.mechanism)
            raise

    def _refuse_operations(self, administration: Administration, login: Login, operations: frozenset[str]) -> None:
        found = operations & _ADMINISTRATION
        if found and administration.has_authorizer():  # without one, everybody may do everything
            self._refuse(login, f"it may do {', '.join(sorted(found))} with the cluster")

    def _refuse(self, login: Login, why: str) -> NoReturn:
        raise RotationError(
            f"'{login.username}' is a super user, a broker's own login or an administrator ({why}); "
            "these are not rotated.",
            hint="Give the service a principal of its own, with ACLs for its topics and groups only.",
        )

    def _is_there_already(
        self, administration: Administration, login: Login, mechanisms: frozenset[str], *, is_known: bool
    ) -> bool:
        """Return whether Kafka has ``login`` as it is; it may be written where the principal is one of the two.

        Raises:
            RotationError: Writing it would end a password that nobody here knows, of we do not know whom.
        """
        if is_known or login.mechanism not in mechanisms or login.username in principals(self._account):
            return False
        if self._opens(administration, login):
            return True
        raise RotationError(
            f"Kafka has '{login.username}' with a password that nobody here knows; it is not overwritten.",
            hint="Set the password that it has, then rotate: vantage-secrets set NAME",
        )

    def _give_rights(self, administration: Administration, login: Login, kept: Login) -> None:
        """Make ACLs and quotas of the principal equal to those of the one to keep, and end its being cut off."""
        rights = rights_of(administration, login.username)
        if kept.username != login.username:
            wanted = rights_of(administration, kept.username)
            grant(
                administration,
                login.username,
                missing_rights(rights, like=wanted, idle=login.username, current=kept.username),
            )
            with suppress(QuotasUnreadableError):  # the probe has warned of it
                make_quotas_equal(self._cluster, administration.login, login.username, like=kept.username)
        let_in_again(administration, login.username, rights)

    def _write(self, administration: Administration, login: Login, mechanisms: frozenset[str]) -> None:
        """Make Kafka accept ``login``, and of two that alternate nothing else of the principal.

        This comes last: brokers follow one log, so that where a login works, its rights are there too.
        """
        if self._alternates and login.username in principals(self._account):
            for mechanism in sorted(mechanisms - {login.mechanism}):
                overwrite(administration, login.username, mechanism)
        write(administration, login)
        self._changed_at = time.monotonic()

    def _log_in_at_last(self, login: Login, address: str) -> frozenset[str]:
        while True:
            was_settled = self._is_settled()
            try:
                return self._cluster.log_in(login, address)
            except CredentialRefusedError:
                if was_settled:
                    raise

    def _see_refused(self, login: Login, address: str) -> None:
        while True:
            was_settled = self._is_settled()
            try:
                self._cluster.log_in(login, address)
            except CredentialRefusedError:
                return
            if was_settled:
                break
            time.sleep(0.1)
        raise CredentialAcceptedError(f"Kafka at {address} still lets '{login.username}' in by {login.mechanism}.")

    def _is_settled(self) -> bool:
        """Return whether all brokers have had the time to hear of the last change that was made here."""
        return time.monotonic() - self._changed_at > SETTLE_SECONDS


def _slot(login: Login) -> tuple[str, str]:
    """Return for what Kafka holds one password."""
    return login.username, login.mechanism

"""A program of the user's as a target of rotation."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import cached_property

from vantage_secrets.credential import Credential
from vantage_secrets.errors import CredentialAcceptedError, CredentialRefusedError, RotationError
from vantage_secrets.secret import SecretReading, SecretValue
from vantage_secrets.targets.command.program import run_program
from vantage_secrets.targets.command.protocol import Answer, Request
from vantage_secrets.targets.contract import UNKNOWN_USE, LastUse, Overlap, Probe, Target, TargetContext

_OPTIONAL = frozenset({"generate", "limit", "last_used"})
"""Verbs that a program may leave to us; its answer to ``probe`` names those that it knows."""


class CommandTarget(Target):
    """A program of yours, started for each verb, which speaks JSON on standard input and output.

    Args:
        context: The secret, and the settings of its ``[targets.NAME]`` table.

    Raises:
        RotationError: There is no such table.
    """

    kind = "command"
    overlap = Overlap.TWO_CREDENTIALS

    def __init__(self, context: TargetContext) -> None:
        """Read the settings; nothing is started yet."""
        settings = context.settings
        if settings is None or not settings.texts("command"):
            raise RotationError(f"'{context.spec.name}' has no program.", hint="Write command under [targets.command].")
        self._name, self._account = context.spec.name, context.spec.account
        self._command = settings.texts("command")
        self._seconds_max = settings.length("timeout").total_seconds()
        self._overlap = Overlap(settings.text("overlap"))

    def probe(self) -> Probe:
        """Let the program look at its target."""
        answer = self._ask("probe")
        answer.expect("ok")
        return Probe(
            answer.text("summary") or f"'{self._command[0]}' answers",
            self._overlap,
            answer.count("accepted_count"),
            answer.texts("warnings"),
        )

    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return what the program makes, or else 256 random bits; where accounts alternate, for the next one."""
        if "generate" in self._known:
            answer = self._ask("generate", current=current)
            answer.expect("ok")
            return answer.value()
        password = SecretValue(secrets.token_urlsafe(32))
        if self._overlap is not Overlap.ALTERNATING_USERS:
            return password
        if not self._account:
            raise RotationError(
                f"Nothing says which accounts alternate for '{self._name}'.",
                hint="Write account under the secret in the manifest, or let the program generate.",
            )
        username = current and Credential.of(current.value, account=self._account).username
        ends = ("-b", "-a") if username == f"{self._account}-a" else ("-a", "-b")
        return Credential(self._account + ends[0], password).as_value()

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Let the program make its target accept ``pending`` and ``keep``."""
        self._ask("install", pending=pending, keep=keep).expect("ok")

    def verify(self, pending: SecretReading) -> None:
        """Let the program log in afresh.

        Raises:
            CredentialRefusedError: It says that the credential was refused.
        """
        if not self._opens("verify", pending):
            raise CredentialRefusedError(
                f"'{self._command[0]}' says that version {pending.version.id} of '{self._name}' is refused."
            )

    def limit(
        self,
        previous: SecretReading,
        *,
        until: datetime,
        keep: SecretReading | None,
    ) -> datetime:
        """Let the program end ``previous`` at ``until``, if it can.

        Raises:
            RotationError: It says that it ends later.
        """
        if "limit" not in self._known:
            return until
        answer = self._ask("limit", previous=previous, keep=keep, until=until)
        answer.expect("ok")
        ends_at = answer.instant("ends_at") or until
        if ends_at > until:
            raise RotationError(
                f"'{self._command[0]}' ends version {previous.version.id} of '{self._name}' at {ends_at:%F %T}, later "
                f"than {until:%F %T}.",
                hint="Correct the program, or let it not know the verb limit.",
            )
        return ends_at

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Let the program make its target refuse ``previous``."""
        self._ask("revoke", previous=previous, keep=keep).expect("ok")

    def verify_refused(self, previous: SecretReading) -> None:
        """Let the program log in afresh, and be refused.

        Raises:
            CredentialAcceptedError: It says that the credential was accepted.
        """
        if self._opens("verify_refused", previous):
            raise CredentialAcceptedError(
                f"'{self._command[0]}' says that version {previous.version.id} of '{self._name}' is still accepted."
            )

    def last_used(self, reading: SecretReading) -> LastUse:
        """Return what the program tells, if it can."""
        if "last_used" not in self._known:
            return UNKNOWN_USE
        answer = self._ask("last_used", reading=reading)
        answer.expect("ok")
        return LastUse(is_known=True, at=answer.instant("at"))

    def close(self) -> None:
        """Close nothing: no program lives longer than its verb."""

    @cached_property
    def _known(self) -> frozenset[str]:
        """The optional verbs that the program knows; asked once."""
        answer = self._ask("probe")
        answer.expect("ok")
        return _OPTIONAL.intersection(answer.texts("knows"))

    def _opens(self, verb: str, reading: SecretReading) -> bool:
        # SECURITY: "ok" is no answer here: a program that says so to everything must not prove anything.
        answer = self._ask(verb, reading=reading)
        answer.expect("accepted", "refused")
        return answer.word == "accepted"

    def _ask(self, verb: str, **subjects: SecretReading | datetime | None) -> Answer:
        request = Request(verb, self._name, self._account, **subjects)
        outcome = run_program(self._command, request.encoded(), seconds_max=self._seconds_max)
        return Answer(self._command[0], request, outcome)

"""The protocol between us and a program: what each request and each answer looks like. See docs/targets/command.md."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from vantage_secrets.errors import InvalidSecretValueError, RotationError, TargetUnavailableError
from vantage_secrets.secret import REDACTED, SecretName, SecretReading, SecretValue
from vantage_secrets.targets.command.program import Outcome

PROTOCOL = 1
"""Counts up when a program that was written for the protocol before would misunderstand it."""

_MESSAGE_LENGTH_MAX = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Request:
    """One verb with what it is about.

    Attributes:
        verb: The verb, as the contract of targets calls it.
    """

    def __init__(
        self, verb: str, secret: SecretName, account: str, **subjects: SecretReading | datetime | None
    ) -> None:
        """Keep the words; values are taken out only in :meth:`encoded`."""
        self.verb = verb
        self._words = {"protocol": PROTOCOL, "verb": verb, "secret": str(secret), "account": account}
        self._subjects = subjects

    def encoded(self) -> bytes:
        """Return one line of JSON.

        Raises:
            RotationError: A value is bytes, which JSON cannot hold.
        """
        subjects = {key: _plain(subject) for key, subject in self._subjects.items()}
        return json.dumps(self._words | subjects).encode() + b"\n"

    def without_values(self, text: str) -> str:
        """Return a program's words as one short line in which no value of this request stands."""
        for subject in self._subjects.values():
            if isinstance(subject, SecretReading):
                found = subject.value.reveal()
                for value in found.values() if isinstance(found, dict) else [subject.value.reveal_text()]:
                    text = text.replace(value, REDACTED)
        return _CONTROL.sub(" ", text)[:_MESSAGE_LENGTH_MAX].strip()


class Answer:
    """What a program said.

    Attributes:
        word: One of ``ok``, ``accepted``, ``refused``.
    """

    def __init__(self, name: str, request: Request, outcome: Outcome) -> None:
        """Read the answer.

        Raises:
            TargetUnavailableError: It says ``unavailable``, or ended with another exit code than 0.
            RotationError: It says ``error``, or something that is not of the protocol.
        """
        self._where = f"'{name}' asked to {request.verb.replace('_', ' ')}"
        self._complaints = (
            f" It wrote {outcome.complaint_bytes:,} bytes on standard error, which are not shown."
            if outcome.complaint_bytes
            else ""
        )
        if outcome.exit_code != 0:
            raise TargetUnavailableError(f"{self._where} ended with exit code {outcome.exit_code}.{self._complaints}")
        self._fields = self._parsed(outcome.output)
        self.word = self._text("answer")
        if self.word in ("unavailable", "error"):
            said = request.without_values(self._text("message", "no message"))
            if self.word == "unavailable":
                raise TargetUnavailableError(f"{self._where} says that its target did not answer: {said}.")
            raise RotationError(f"{self._where} failed: {said}.{self._complaints}", hint=f"Look at '{name}'.")

    def expect(self, *words: str) -> None:
        """Return when the answer is one of these words.

        Raises:
            RotationError: It is another.
        """
        if self.word not in words:
            self._refuse(f"answer is {' or '.join(words)}")

    def text(self, key: str) -> str:
        """Return the text under ``key`` without control characters; empty where there is none."""
        return _CONTROL.sub(" ", self._text(key, ""))[:_MESSAGE_LENGTH_MAX]

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list of texts under ``key``; empty where there is none."""
        found = self._fields.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self._refuse(f"{key} is a list of texts")
        return tuple(_CONTROL.sub(" ", one)[:_MESSAGE_LENGTH_MAX] for one in found)

    def count(self, key: str) -> int | None:
        """Return the whole number under ``key``, or ``None`` where there is none."""
        found = self._fields.get(key)
        if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
            self._refuse(f"{key} is a whole number")
        return found

    def instant(self, key: str) -> datetime | None:
        """Return the instant under ``key``, aware UTC, or ``None`` where there is none."""
        if self._fields.get(key) is None:
            return None
        try:
            found = datetime.fromisoformat(self._text(key))
        except ValueError:
            found = datetime.min
        if found.tzinfo is None:
            self._refuse(f"{key} is a time with its zone, as in 2026-01-31T12:00:00+00:00")
        return found.astimezone(UTC)

    def value(self) -> SecretValue:
        """Return the secret value under ``value``: a text, or named fields."""
        try:
            return SecretValue(self._fields["value"])
        except (KeyError, InvalidSecretValueError):
            self._refuse("value is a text or named texts")

    def _parsed(self, output: bytes) -> dict[str, Any]:
        # SECURITY: what is not JSON may be a value, so it is not quoted; nor is the parser's error, which holds it.
        try:
            found = json.loads(output)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._refuse("standard output is one JSON object")
        return found

    def _text(self, key: str, default: str | None = None) -> str:
        found = self._fields.get(key, default)
        if not isinstance(found, str):
            self._refuse(f"{key} is a text")
        return found

    def _refuse(self, rule: str) -> NoReturn:
        raise RotationError(
            f"{self._where} did not keep the protocol, by which {rule}.{self._complaints}",
            hint="The page 'A program of yours' under Targets describes the protocol.",
        )


def _plain(subject: SecretReading | datetime | None) -> Any:
    if isinstance(subject, SecretReading):
        value = subject.value.reveal()
        if isinstance(value, bytes):
            raise RotationError(
                f"Version {subject.version.id} of '{subject.version.name}' is bytes, which programs are not given.",
                hint="Set it as text.",
            )
        return {"version": subject.version.id, "value": value}
    # Always of one length and in one zone, so that a program may compare them as texts.
    return subject and subject.astimezone(UTC).isoformat(timespec="microseconds")

"""How a command ends: every error class has its documented code, a message and a hint, and no more."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest
import typer

from tests.canary import canary
from vantage_secrets import errors
from vantage_secrets.audit.event import Outcome
from vantage_secrets.cli.failure import ExitCode, ending_of, exit_code_of, forbid_core_dumps, report
from vantage_secrets.errors import VantageSecretsError

CODES = {
    ExitCode.USAGE: {
        *("InvalidInputError", "InvalidSecretNameError", "InvalidSecretValueError", "NameCollisionError"),
        *("InvalidURLError", "ManifestError", "ManifestNotFoundError", "DotenvError", "MissingExtraError"),
        "UnsupportedOperationError",
    },
    ExitCode.ABSENT: {"UnknownSecretError", "SecretNotFoundError", "VersionNotFoundError", "VersionRetiredError"},
    ExitCode.DENIED: {
        *("StoreAccessDeniedError", "EncryptionKeyError", "EncryptionKeyNotFoundError", "WrongEncryptionKeyError"),
        *("InsecurePermissionsError", "EnvironmentMismatchError"),
    },
    ExitCode.CONFLICT: {"VersionConflictError", "PendingVersionExistsError"},
    ExitCode.UNAVAILABLE: {
        *("StoreUnavailableError", "StoreBusyError", "StoreFullError", "StoreReadOnlyError"),
        *("TargetUnavailableError", "AuditUnwritableError"),
    },
    ExitCode.INTEGRITY: {"StoreIntegrityError"},
    ExitCode.NEGATIVE: {"AuditIntegrityError"},
    ExitCode.FAILED: {
        *("VantageSecretsError", "SecretExposureError", "StoreError", "AuditError", "DatabaseError", "TargetError"),
        *("CredentialRefusedError", "CredentialAcceptedError", "RotationError", "ValueUnavailableError"),
        "DeliveryError",
    },
}


def _classes(kind: type[VantageSecretsError] = VantageSecretsError) -> Iterator[type[VantageSecretsError]]:
    if kind.__module__ == errors.__name__:  # other modules and tests may have classes of their own
        yield kind
        for inner in kind.__subclasses__():
            yield from _classes(inner)


def _one(kind: type[VantageSecretsError]) -> VantageSecretsError:
    return kind("package", "extra") if kind is errors.MissingExtraError else kind("What was found.")  # type: ignore[call-arg]


def test_every_error_class_has_its_exit_code() -> None:
    found: dict[ExitCode, set[str]] = {code: set() for code in CODES}
    for kind in _classes():
        found[ExitCode(exit_code_of(_one(kind)))].add(kind.__name__)
    assert found == CODES


@pytest.mark.parametrize("kind", dict.fromkeys(_classes()), ids=lambda kind: kind.__name__)
def test_every_error_is_two_lines_on_standard_error(
    kind: type[VantageSecretsError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = _one(kind)
    assert report(error, show_traceback=False) == exit_code_of(error)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"error[{kind.code}]: {error.message}\nhint: {error.hint}\n"


def test_an_error_of_the_system_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(FileNotFoundError(2, "No such file or directory", "a/b"), show_traceback=False) == ExitCode.FAILED
    assert capsys.readouterr().err == "error[system]: 'a/b': No such file or directory.\n"


def test_the_text_of_a_foreign_error_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ValueError(canary()), show_traceback=False) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith("error[internal]: An unexpected ValueError;")


def test_a_traceback_has_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(value: str) -> None:
        raise errors.StoreError("What was found.")

    with pytest.raises(errors.StoreError) as caught:
        fail(canary())
    report(caught.value, show_traceback=True)
    assert "in fail" in capsys.readouterr().err


def test_the_keyboard_and_an_answer_of_no_have_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt(), show_traceback=True) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == ""
    assert report(typer.Abort(), show_traceback=False) == ExitCode.NEGATIVE
    assert capsys.readouterr().err == "error[declined]: Nothing was changed.\n"


def test_ctrl_c_as_the_answer_to_a_question_is_an_interrupt() -> None:
    def ask() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise typer.Abort from None

    with pytest.raises(typer.Abort) as caught:
        ask()
    assert exit_code_of(caught.value) == ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("error", "outcome", "why"),
    [
        (typer.Exit(0), Outcome.SUCCESS, ""),
        (typer.Exit(1), Outcome.SUCCESS, ""),
        (typer.Exit(3), Outcome.FAILED, ""),
        (typer.Exit(42), Outcome.FAILED, ""),
        (errors.StoreAccessDeniedError("no"), Outcome.DENIED, "store_access_denied"),
        (errors.SecretNotFoundError("no"), Outcome.ABSENT, "secret_not_found"),
        (errors.StoreBusyError("no"), Outcome.FAILED, "store_busy"),
        (OSError("no"), Outcome.FAILED, "system"),
        (ValueError("no"), Outcome.FAILED, "internal"),
        (KeyboardInterrupt(), Outcome.FAILED, "interrupted"),
        (BrokenPipeError(), Outcome.SUCCESS, ""),
    ],
    ids=repr,
)
def test_the_audit_log_says_how_it_ended(error: BaseException, outcome: Outcome, why: str) -> None:
    assert ending_of(error) == (outcome, why)


def test_core_dumps_are_forbidden() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        forbid_core_dumps()
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)

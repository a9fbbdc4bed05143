"""How a command ends: exit codes, and errors as a message and a hint on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from enum import IntEnum
from typing import TYPE_CHECKING

from vantage_secrets import errors
from vantage_secrets.errors import VantageSecretsError

if TYPE_CHECKING:
    from vantage_secrets.audit.event import Outcome


class ExitCode(IntEnum):
    """What the exit code of a command says; ``run`` gives the program's own code instead."""

    OK = 0
    """Done."""
    NEGATIVE = 1
    """The answer is no: a log that was tampered with, a secret that is due under ``status --check``."""
    USAGE = 2
    """The command, the manifest or the input has a mistake; nothing was changed."""
    FAILED = 3
    """It could not be done, or not all of it."""
    ABSENT = 4
    """There is no such secret or version."""
    DENIED = 5
    """The store, the key or the file's permissions refuse it."""
    CONFLICT = 6
    """Another writer was first, or a rotation is under way."""
    UNAVAILABLE = 7
    """A store, a target or the audit log does not answer or takes no writes."""
    INTEGRITY = 8
    """Stored bytes are not the bytes that were written."""
    INTERRUPTED = 130
    """Stopped from the keyboard."""


# The first class that an error is an instance of decides, so special ones stand before general ones.
_CODES: tuple[tuple[type[VantageSecretsError], ExitCode], ...] = (
    (errors.UnknownSecretError, ExitCode.ABSENT),
    (errors.SecretNotFoundError, ExitCode.ABSENT),
    (errors.InvalidInputError, ExitCode.USAGE),
    (errors.MissingExtraError, ExitCode.USAGE),
    (errors.UnsupportedOperationError, ExitCode.USAGE),
    (errors.StoreAccessDeniedError, ExitCode.DENIED),
    (errors.EncryptionKeyError, ExitCode.DENIED),
    (errors.InsecurePermissionsError, ExitCode.DENIED),
    (errors.EnvironmentMismatchError, ExitCode.DENIED),
    (errors.VersionConflictError, ExitCode.CONFLICT),
    (errors.StoreIntegrityError, ExitCode.INTEGRITY),
    (errors.AuditIntegrityError, ExitCode.NEGATIVE),
    (errors.StoreUnavailableError, ExitCode.UNAVAILABLE),
    (errors.TargetUnavailableError, ExitCode.UNAVAILABLE),
    (errors.AuditUnwritableError, ExitCode.UNAVAILABLE),
)


DEBUG_HINT = "Run it again with --debug in front of the command to see where."


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that ``error`` ends a command with."""
    if _is_interrupt(error):
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return ExitCode.OK
    if _is_typers(error, "Exit"):
        return int(getattr(error, "exit_code", ExitCode.FAILED))
    if _is_typers(error, "Abort"):
        return ExitCode.NEGATIVE
    if _is_usage_error(error):
        return ExitCode.USAGE
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)


def ending_of(error: BaseException) -> tuple[Outcome, str]:
    """Return what the audit log says of a command that ended with ``error``: the outcome and a code."""
    from vantage_secrets.audit.event import Outcome

    outcomes: dict[int, Outcome] = {
        ExitCode.OK: Outcome.SUCCESS,
        ExitCode.NEGATIVE: Outcome.SUCCESS,  # the command did its work; the answer is no
        ExitCode.DENIED: Outcome.DENIED,
        ExitCode.ABSENT: Outcome.ABSENT,
    }
    is_regular = isinstance(error, BrokenPipeError) or _is_typers(error, "Exit")
    return outcomes.get(exit_code_of(error), Outcome.FAILED), "" if is_regular else _words_for(error)[0]


def report(error: BaseException, *, show_traceback: bool) -> int:
    """Write ``error`` to standard error as message and hint, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # The reader of our output has left, as `head` does: nothing to say, and nothing more to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    if _is_interrupt(error):
        return ExitCode.INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":
        _tell(str(error).rstrip())
        return ExitCode.USAGE
    if show_traceback:
        import traceback

        # SECURITY: without local variables; those may hold values.
        traceback.print_exception(error, file=sys.stderr)
    code, message, hint = _words_for(error)
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    red, cyan, plain = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if colour else ("", "", "")
    _tell(f"{red}error[{code}]:{plain} {message}")
    if hint:
        _tell(f"{cyan}hint:{plain} {hint}")
    return exit_code_of(error)


def _tell(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads it; the exit code still says how it ended
        print(text, file=sys.stderr)


def _words_for(error: BaseException) -> tuple[str, str, str]:
    """Return code, message and hint."""
    if isinstance(error, VantageSecretsError):
        return error.code, error.message, error.hint
    if _is_interrupt(error):
        return "interrupted", "Stopped from the keyboard.", ""
    if _is_typers(error, "Abort"):
        return "declined", "Nothing was changed.", ""
    if _is_usage_error(error):
        return _words_for_usage(error)
    if isinstance(error, OSError):
        place = f"'{error.filename}': " if error.filename else ""
        return "system", f"{place}{error.strerror or type(error).__name__}.", ""
    # SECURITY: the text of an error that is not ours may hold anything, so only its type is shown.
    return "internal", f"An unexpected {type(error).__name__}; this is a fault of vantage-secrets.", DEBUG_HINT


def _is_interrupt(error: BaseException) -> bool:
    """Return whether Ctrl-C was typed, also as the answer to a question, where Typer makes an ``Abort`` of it."""
    asked = _is_typers(error, "Abort") and isinstance(error.__context__, KeyboardInterrupt)
    return asked or isinstance(error, KeyboardInterrupt)


def _is_typers(error: BaseException, name: str) -> bool:
    """Return whether ``error`` is of Typer's class ``name``, without importing Typer: ``scan`` runs without it."""
    typer = sys.modules.get("typer")
    return typer is not None and isinstance(error, getattr(typer, name))


def _is_usage_error(error: BaseException) -> bool:
    """Return whether Typer could not make sense of the command line; its class moved between Typer's releases."""
    return any(kind.__name__ == "UsageError" for kind in type(error).__mro__)


def _words_for_usage(error: BaseException) -> tuple[str, str, str]:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vantage-secrets"
    message = str(getattr(error, "format_message", error.__str__)())
    if "unexpected extra argument" in message:
        # SECURITY: a value may have been typed there, in the hope that it is taken; it is not repeated.
        message = f"'{command}' takes fewer arguments."
        if command.endswith(" set"):
            message = "A value is never taken from an argument: other users of this machine can read those."
            return "usage", message, "It may stand in your shell's history now. Leave it out, and you are asked for it."
    hint = f"Run '{command} --help' to see what it takes."
    if getattr(error, "option_name", "") == "--debug":
        hint = f"--debug stands in front of the command: vantage-secrets --debug {command.partition(' ')[2]}".rstrip()
    return "usage", message, hint


def forbid_core_dumps() -> None:
    """Keep this process from writing its memory, with values in it, to a disk when it crashes."""
    try:
        import resource
    except ImportError:  # not on this platform
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))

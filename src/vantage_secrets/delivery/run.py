"""Start a program with its secrets, as files in memory or, when asked, as environment variables."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import NoReturn

from vantage_secrets.delivery.memory_files import MemoryFolder, value_bytes
from vantage_secrets.errors import DeliveryError
from vantage_secrets.secret import SecretValue

FOLDER_VARIABLE = "VANTAGE_SECRETS_DIR"
"""Tells the program the folder of its files; pydantic-settings takes it as ``secrets_dir``."""

FILE_SUFFIX = "_FILE"
"""``VANTAGE_API_KEY_FILE`` names the file of ``VANTAGE_API_KEY``, the habit of container images."""

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_with_files(command: Sequence[str], values: Mapping[str, SecretValue]) -> int:
    """Run ``command`` with one file a secret, wait for it, remove the files, and return its exit code.

    The program finds the files through ``NAME_FILE`` and ``VANTAGE_SECRETS_DIR``. Signals are passed on.

    Returns:
        The program's exit code; 128 + N when signal N ended it, as a shell says it.

    Raises:
        DeliveryError: The program cannot be started, or there is no file system in memory.
    """
    program = find_program(command)
    folder = MemoryFolder()
    try:
        paths = folder.write(values)
        environment = _without(values)
        environment |= {key + FILE_SUFFIX: str(path) for key, path in paths.items()}
        environment[FOLDER_VARIABLE] = str(folder.path)
        code = _wait_for(
            lambda: subprocess.Popen(  # noqa: S603 - the caller's own command is what is wanted
                [program, *command[1:]], env=environment, pass_fds=(folder.lock,)
            )
        )
    finally:
        folder.close()
    return code if code >= 0 else 128 - code


def run_with_environment(command: Sequence[str], values: Mapping[str, SecretValue]) -> NoReturn:
    """Become ``command``, with each secret as an environment variable.

    SECURITY: the environment of a process can be read by its user and by root (``/proc/PID/environ``), and is
    inherited by all that it starts; files are the default for that reason.

    Raises:
        DeliveryError: The program cannot be started, or a value holds a NUL, which no variable can.
    """
    program = find_program(command)
    environment = _without(values)
    for key, value in values.items():
        raw = value_bytes(value)
        if b"\0" in raw:
            raise DeliveryError(
                f"'{key}' holds a NUL byte, which no environment variable can.", hint="Leave out --env."
            )
        environment[key] = os.fsdecode(raw)
    try:
        os.execve(program, list(command), environment)  # noqa: S606
    except OSError as exc:
        raise DeliveryError(f"'{command[0]}' cannot be started: {exc.strerror}.") from None


def find_program(command: Sequence[str]) -> str:
    """Return the path of the program that ``command`` names.

    Raises:
        DeliveryError: There is none.
    """
    program = shutil.which(command[0])
    if program is None:
        raise DeliveryError(f"There is no program '{command[0]}'.", hint="Check the spelling, or give its path.")
    return program


def _without(values: Mapping[str, SecretValue]) -> dict[str, str]:
    """Return our environment without the secrets themselves: an old ``.env`` export must not win over the store."""
    return {key: text for key, text in os.environ.items() if key not in values}


def _wait_for(start: Callable[[], subprocess.Popen[bytes]]) -> int:
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        try:
            child = start()
        except OSError as exc:
            raise DeliveryError(f"The program cannot be started: {exc.strerror}.") from None
        for number in early:
            child.send_signal(number)
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

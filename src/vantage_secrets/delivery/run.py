"""Start a program with its secrets, as files in memory or, when asked, as environment variables."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import NoReturn

from vantage_secrets.credential import PASSWORD, USERNAME
from vantage_secrets.delivery.memory_files import MemoryFolder, value_bytes
from vantage_secrets.errors import DeliveryError
from vantage_secrets.secret import SecretValue

FOLDER_VARIABLE = "VANTAGE_SECRETS_DIR"
"""Tells the program the folder of its files; pydantic-settings takes it as ``secrets_dir``."""

FILE_SUFFIX = "_FILE"
"""``VANTAGE_API_KEY_FILE`` names the file of ``VANTAGE_API_KEY``, the habit of container images."""

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def with_user_names(values: Mapping[str, SecretValue], accounts: Mapping[str, str]) -> dict[str, SecretValue]:
    """Return the values as a program takes them: a user name and its password as two.

    A value of the fields ``username`` and ``password`` becomes the password, and beside it the user name under the
    key with ``_USERNAME`` for its ending ``_PASSWORD``, or added to it. A plain password has the user name that
    ``accounts`` gives it, so that a program finds both from the first day on.

    Args:
        values: The secrets, by key.
        accounts: Whose password a plain value is, by key; empty where nothing is known.

    Raises:
        DeliveryError: A secret has the key that a user name would get.
    """
    found = dict(values)
    for key, value in values.items():
        fields = value.reveal()
        if isinstance(fields, dict):
            if fields.keys() != {USERNAME, PASSWORD}:
                continue  # more than a login: the program gets all of it, as JSON
            found[key], username = SecretValue(fields[PASSWORD]), fields[USERNAME]
        else:
            username = accounts.get(key, "")
        if username:
            sibling = key.removesuffix("_PASSWORD") + "_USERNAME"
            if sibling in values:
                raise DeliveryError(
                    f"'{sibling}' is a secret, and would be the user name of '{key}'.",
                    hint="Give that secret another key in vantage-secrets.toml.",
                )
            found[sibling] = SecretValue(username)
    return found


def run_with_files(
    command: Sequence[str],
    values: Mapping[str, SecretValue],
    *,
    variables: Mapping[str, str] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> int:
    """Run ``command`` with one file a secret, wait for it, remove the files, and return its exit code.

    The program finds the files through ``NAME_FILE`` and ``VANTAGE_SECRETS_DIR``. Signals are passed on.

    Args:
        command: The program and its arguments.
        values: The secrets, by key.
        variables: What else its environment says.
        on_start: Called with its process id once it runs.

    Returns:
        The program's exit code; 128 + N when signal N ended it, as a shell says it.

    Raises:
        DeliveryError: The program cannot be started, or there is no file system in memory.
    """
    program = find_program(command)
    folder = MemoryFolder()
    try:
        paths = folder.write(values)
        environment = _without(values) | dict(variables or {})
        environment |= {key + FILE_SUFFIX: str(path) for key, path in paths.items()}
        environment[FOLDER_VARIABLE] = str(folder.path)

        def start() -> subprocess.Popen[bytes]:
            child = subprocess.Popen(  # noqa: S603 - the caller's own command is what is wanted
                [program, *command[1:]], env=environment, pass_fds=(folder.lock,)
            )
            if on_start is not None:
                on_start(child.pid)
            return child

        code = _wait_for(start)
    finally:
        folder.close()
    return code if code >= 0 else 128 - code


def run_with_environment(
    command: Sequence[str], values: Mapping[str, SecretValue], *, variables: Mapping[str, str] | None = None
) -> NoReturn:
    """Become ``command``, with each secret as an environment variable.

    SECURITY: the environment of a process can be read by its user and by root (``/proc/PID/environ``), and is
    inherited by all that it starts; files are the default for that reason.

    Raises:
        DeliveryError: The program cannot be started, or a value holds a NUL, which no variable can.
    """
    program = find_program(command)
    environment = _without(values) | dict(variables or {})
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

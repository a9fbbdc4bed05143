"""Under which names a process leaves its receipts."""

from __future__ import annotations

import os
import re
import sys
from pathlib import PurePath
from typing import Final

from vantage_secrets.audit.place import here

SERVICE_VARIABLE: Final = "VANTAGE_SECRETS_SERVICE"
"""Environment variable that says which of the manifest's consumers a process is."""

_SERVICE_LENGTH, _INSTANCE_LENGTH = 40, 255  # the widths of the columns


def service_name(consumer: str = "", *, program: str = "") -> str:
    """Return which service this process is: the environment's word, else ``consumer``, else its program's name.

    Args:
        consumer: What the caller says, such as a command's ``--consumer``.
        program: Path of the program when it is not this process's own.
    """
    return as_word(os.environ.get(SERVICE_VARIABLE) or consumer or _program(PurePath(program or sys.argv[0])))


def _program(path: PurePath) -> str:
    if path.name.startswith("-"):
        return ""  # python -c
    return path.parent.name if path.stem == "__main__" else path.stem  # python -m PACKAGE


def as_word(text: str) -> str:
    """Return ``text`` as the manifest writes consumers: ``[a-z0-9]`` and single hyphens, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SERVICE_LENGTH].rstrip("-") or "python"


def instance_name(*, program: str = "", pid: int | None = None, connection: str = "") -> str:
    """Return the name of a process, ``host/program/pid``, with ``#connection`` behind it where one is meant.

    Args:
        program: Path of the program when it is not this process's own.
        pid: Its process id when it is not this process.
        connection: One long-lived connection of it.
    """
    host, own_program, own_pid = here()[1].rsplit("/", 2)
    process = f"{host}/{PurePath(program).name or own_program}/{pid or own_pid}"
    return with_connection(process, connection)


def with_connection(instance: str, connection: str) -> str:
    """Return the name of one connection of a process, in printable characters and as long as the column takes."""
    text = f"{instance}#{connection}" if connection else instance
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_INSTANCE_LENGTH])

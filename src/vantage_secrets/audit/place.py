"""Who and where this process is, for the events that the log records about itself."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath


def here() -> tuple[str, str]:
    """Return the actor, ``user@host``, and the place, ``host/program/pid``, of this process."""
    host = os.uname().nodename
    return f"{_user()}@{host}", f"{host}/{PurePath(sys.argv[0]).name or 'python'}/{os.getpid()}"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # A container may run under a number that has no name.
        return f"uid{os.geteuid()}"

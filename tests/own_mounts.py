"""A mount namespace for a child process: what it mounts concerns nobody else."""

from __future__ import annotations

import os
import shutil

import pytest


def in_own_mounts(*command: str) -> list[str]:
    """Return ``command`` so that it runs where it may mount what it likes.

    Root needs no user namespace for that, and may be where none can be made (in a chroot, in a container).
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.fail("unshare (util-linux) is needed")
    options = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    return [unshare, *options, *command]

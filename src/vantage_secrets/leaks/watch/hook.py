"""Put the hook into a repository, and take it out again. A hook of somebody else's is never overwritten."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.history.repository import Repository

_MARK = "# Made by: vantage-secrets scan watch install"
_KEPT = ".before-vantage-secrets"
"""Behind the name of a hook that was there first and is run first."""

_SCRIPT = """\
#!/bin/sh
{mark}
exec {command}
"""
_CHAIN = """\
#!/bin/sh
{mark}
# The hook that was here first runs first, and its refusal stands.
pushed=$(cat)
printf '%s\\n' "$pushed" | {first} "$@" || exit $?
printf '%s\\n' "$pushed" | {command}
"""


def install_hook(path: Path, name: str, command: Sequence[str], *, chain: bool = False) -> Path:
    """Return the hook's file, made or brought up to date.

    Args:
        path: A folder of the repository.
        name: ``post-receive`` or ``pre-receive``.
        command: What the hook runs; no word of it is a secret.
        chain: Whether a hook that is there already is kept and run first; without that it is an error.

    Raises:
        InvalidInputError: There is no repository, its hooks belong to other repositories too, or a hook is there.
    """
    hook = _place_of(path, name)
    first = hook.with_name(hook.name + _KEPT)
    if _is_foreign(hook):
        if not chain:
            raise InvalidInputError(
                f"There is a hook already: '{hook}'.",
                hint=f"With --chain it is kept and run first. Or add to it: {shlex.join(command)}",
            )
        if first.exists():
            raise InvalidInputError(f"'{hook}' and '{first}' are both there.", hint="Remove the one that is not used.")
        hook.rename(first)
    template = _CHAIN if first.exists() else _SCRIPT
    text = template.format(mark=_MARK, command=shlex.join(command), first=shlex.quote(str(first)))
    hook.parent.mkdir(exist_ok=True)
    draft = hook.with_name(f".{hook.name}.{os.getpid()}.draft")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(hook)
    return hook


def remove_hook(path: Path, name: str) -> bool:
    """Return whether our hook was there; it is gone now, and one that was there before it is back.

    Raises:
        InvalidInputError: There is no repository.
    """
    hook = _place_of(path, name)
    if not hook.exists() or _is_foreign(hook):
        return False
    first = hook.with_name(hook.name + _KEPT)
    if first.exists():
        first.replace(hook)
    else:
        hook.unlink()
    return True


def _place_of(path: Path, name: str) -> Path:
    repository = Repository(path)
    said = repository.output("rev-parse", "--git-path", "hooks").decode("utf-8", "surrogateescape").removesuffix("\n")
    folder = Path(os.path.realpath(path / said))
    if not folder.is_relative_to(os.path.realpath(repository.common_folder)):
        raise InvalidInputError(
            f"The hooks of '{path}' are in '{folder}', outside the repository: others may use them too.",
            hint="Give this repository its own: git config core.hooksPath hooks",
        )
    return folder / name


def _is_foreign(hook: Path) -> bool:
    if hook.is_symlink():
        return True
    return hook.exists() and _MARK not in hook.read_text("utf-8", "replace")

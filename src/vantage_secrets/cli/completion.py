"""``completion``: the script that lets a shell complete commands, options and names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells that completion is written for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> None:
    """Print a shell's completion script.

    For bash: vantage-secrets completion bash > ~/.local/share/bash-completion/completions/vantage-secrets
    """
    from typer._completion_shared import get_completion_script

    print(
        get_completion_script(prog_name="vantage-secrets", complete_var="_VANTAGE_SECRETS_COMPLETE", shell=shell.value)
    )

"""What the commands share: the global options, an open workspace with its event, names on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vantage_secrets.errors import VantageSecretsError

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace


@dataclass(slots=True)
class GlobalOptions:
    """Options that stand before the command."""

    manifest: Path | None = None
    debug: bool = False


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names and environment variables of the manifest that begin so; none when it cannot be read."""
    from vantage_secrets.manifest import find_manifest, load

    try:
        options = context.find_root().params
        manifest = load(options.get("manifest") or find_manifest())
    except VantageSecretsError:
        return []
    known = [text for spec in manifest.secrets for text in (str(spec.name), spec.key)]
    return [text for text in known if text.startswith(incomplete)]


NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The secret: its name (vantage/api-key) or its environment variable (VANTAGE_API_KEY).",
        autocompletion=complete_name,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def prompt_for_passphrase() -> str:
    """Return the store's passphrase as a person types it, hidden."""
    from getpass import getpass

    return getpass("Passphrase of the store: ")


@contextmanager
def session(context: typer.Context, words: str) -> Iterator[Workspace]:
    """Give the workspace that the manifest describes, and record how the command ended.

    Args:
        context: The command's context, for the global options.
        words: What stands in the audit log, such as ``get vantage/api-key``; never a value.
    """
    with recorded_session(context.ensure_object(GlobalOptions).manifest, words) as workspace:
        yield workspace


@contextmanager
def recorded_session(manifest: Path | None, words: str) -> Iterator[Workspace]:
    """Give the workspace of ``manifest``, and record how the command ended; see ``session``."""
    from vantage_secrets.audit.event import Action, Outcome
    from vantage_secrets.bootstrap import open_workspace
    from vantage_secrets.cli.failure import ending_of

    prompt = prompt_for_passphrase if sys.stdin.isatty() else None
    workspace = open_workspace(manifest, why=words, prompt=prompt)
    try:
        try:
            yield workspace
        except BaseException as error:
            outcome, why = ending_of(error)
            workspace.recorder.record(Action.COMMAND_RUN, words, outcome, why=why)
            raise
        workspace.recorder.record(Action.COMMAND_RUN, words, Outcome.SUCCESS, why="")
    finally:
        workspace.close()

"""``run``: a program with its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vantage_secrets.cli.session import complete_name, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.manifest import SecretSpec
    from vantage_secrets.secret import SecretValue


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The program to run.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Only this secret; may be repeated.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ] = None,
    consumer: Annotated[
        str | None, typer.Option(help="Only the secrets of this consumer in the manifest.", show_default=False)
    ] = None,
    env: Annotated[
        bool,
        typer.Option("--env", help="As environment variables instead of files; others of this user can read those."),
    ] = False,
) -> None:
    """Run a program with its secrets as files in memory.

    NAME_FILE names each file, VANTAGE_SECRETS_DIR their folder. By default it gets every secret of the manifest
    that the store holds. Ends with the program's exit code.
    """
    from vantage_secrets.delivery.run import find_program, run_with_environment, run_with_files

    with session(context, f"run {Path(command[0]).name}") as workspace:
        find_program(command)  # SECURITY: before anything is read for it
        values = {spec.key: _deliver(workspace, spec) for spec in _chosen(workspace, only or [], consumer)}
    if env:
        run_with_environment(command, values)
    raise typer.Exit(run_with_files(command, values))


def _deliver(workspace: Workspace, spec: SecretSpec) -> SecretValue:
    """Return the value, with an event that says to which program it goes."""
    from vantage_secrets.audit.event import Action, Outcome

    reading = workspace.store.read(spec.name)
    version = reading.version.id
    workspace.recorder.record(Action.SECRET_DELIVER, str(spec.name), Outcome.SUCCESS, version_id=version)
    return reading.value


def _chosen(workspace: Workspace, only: list[str], consumer: str | None) -> list[SecretSpec]:
    """Return the named secrets, or the consumer's, or all that the store holds."""
    from vantage_secrets.errors import InvalidInputError

    manifest = workspace.manifest
    if only:
        return [manifest.find(name) for name in only]
    held = set(workspace.store.list())
    if consumer is None:
        return [spec for spec in manifest.secrets if spec.name in held]
    chosen = [spec for spec in manifest.secrets if consumer in spec.consumers]
    if not chosen:
        known = sorted({name for spec in manifest.secrets for name in spec.consumers})
        raise InvalidInputError(f"No secret has the consumer '{consumer}'.", hint=f"Use one of: {', '.join(known)}.")
    required = {spec.key for spec in manifest.required_secrets()}
    return [spec for spec in chosen if spec.key in required or spec.name in held]

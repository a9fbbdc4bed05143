"""``run``: a program with its secrets."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vantage_secrets.cli.session import complete_name, session

if TYPE_CHECKING:
    from vantage_secrets.bootstrap import Workspace
    from vantage_secrets.manifest import SecretSpec
    from vantage_secrets.receipts import ReceiptBook
    from vantage_secrets.secret import SecretReading, SecretVersion


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
    that the store holds. 'who' shows what it holds while it runs. Ends with the program's exit code.
    """
    from vantage_secrets.delivery.run import find_program, run_with_environment, run_with_files, with_user_names
    from vantage_secrets.receipts import SERVICE_VARIABLE, service_name

    with session(context, f"run {Path(command[0]).name}") as workspace:
        program = find_program(command)  # SECURITY: before anything is read for it
        chosen = _chosen(workspace, only or [], consumer)
        readings = {spec.key: _deliver(workspace, spec) for spec in chosen}
        accounts = {spec.key: spec.account for spec in chosen}
        values = with_user_names({key: reading.value for key, reading in readings.items()}, accounts)
        versions = [reading.version for reading in readings.values()]
    service = service_name(consumer or "", program=program)
    variables = {SERVICE_VARIABLE: service} if consumer else {}  # a program that reads secrets itself is the same one
    if env:
        _leave_receipts(workspace, service, program, versions)
        run_with_environment(command, values, variables=variables)
    with ExitStack() as stack:

        def note(pid: int) -> None:
            stack.callback(_hand_out(workspace, service, program, pid, versions).close)

        code = run_with_files(command, values, variables=variables, on_start=note)
    raise typer.Exit(code)


def _hand_out(workspace: Workspace, service: str, program: str, pid: int, versions: list[SecretVersion]) -> ReceiptBook:
    """Return a book that speaks for the program for as long as it runs."""
    from vantage_secrets.receipts import instance_name

    book = workspace.receipt_book(service, instance=lambda: instance_name(program=program, pid=pid))
    for version in versions:
        book.hand_out(version.name, version.id)
    return book


def _leave_receipts(workspace: Workspace, service: str, program: str, versions: list[SecretVersion]) -> None:
    """Write what the program is about to get: this process becomes it, and nobody is left to say that it still runs.

    The receipts are *unknown* after three heartbeats, which is what is true: only a person can say that it is gone.
    """
    from vantage_secrets.cli.output import say
    from vantage_secrets.receipts import UNHEARD, instance_name

    book = workspace.receipt_book(service, instance=lambda: instance_name(program=program), background=False)
    for version in versions:
        book.hand_out(version.name, version.id, UNHEARD)
    if not book.flush():
        say("warning: The control database does not answer; 'vantage-secrets who' will not show this program.")


def _deliver(workspace: Workspace, spec: SecretSpec) -> SecretReading:
    """Return the reading, with an event that says to which program it goes."""
    from vantage_secrets.audit.event import Action, Outcome

    reading = workspace.store.read(spec.name)
    version = reading.version.id
    workspace.recorder.record(Action.SECRET_DELIVER, str(spec.name), Outcome.SUCCESS, version_id=version)
    return reading


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

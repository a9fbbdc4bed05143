"""``set`` and ``delete``: bringing a value in, and taking a secret away."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vantage_secrets.cli.output import print_record, say
from vantage_secrets.cli.session import JsonOption, NameArgument, session

if TYPE_CHECKING:
    from vantage_secrets.secret import SecretValue


class Shape(StrEnum):
    """What shape a value has."""

    TEXT = "text"
    BINARY = "binary"
    FIELDS = "fields"


def set_(
    context: typer.Context,
    name: NameArgument,
    file: Annotated[
        Path | None, typer.Option(help="Read the value from this file; '-' is standard input.", show_default=False)
    ] = None,
    shape: Annotated[
        Shape,
        typer.Option(
            help="Text, where one newline at the end is dropped; binary, kept exactly; fields, a JSON object."
        ),
    ] = Shape.TEXT,
    as_json: JsonOption = False,
) -> None:
    """Store a value from a prompt, standard input or a file.

    Never from an argument: those can be seen by every user of the machine.

    An API key goes through the steps of a rotation: the old one still works for its grace.
    """
    value = _read_value(name, file, shape)
    with session(context, f"set {name}") as workspace:
        spec = workspace.manifest.find(name)
        version = workspace.introduce(spec, value)
        print_record({"name": str(spec.name), "version": version.id, "stage": version.stage}, as_json=as_json)
        if workspace.target(spec) is None and spec.kind != "static":
            say(f"The store has it. Nothing here can change a {spec.kind} at its target: do that there yourself.")


def delete(
    context: typer.Context,
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a secret with all its versions from the store."""
    from vantage_secrets.errors import InvalidInputError

    with session(context, f"delete {name}") as workspace:
        spec = workspace.manifest.find(name)
        if not yes:
            if not sys.stdin.isatty():
                raise InvalidInputError("Nobody can be asked.", hint="Add --yes.")
            typer.confirm(f"Remove {spec.name} with all versions from {workspace.store.url}?", abort=True, err=True)
        was_there = workspace.store.delete(spec.name)
        print_record({"name": str(spec.name), "deleted": was_there}, as_json=as_json)


def prompt_for_value(words: str, *, confirm: bool) -> SecretValue:
    """Return what a person types, hidden, at the terminal.

    Raises:
        InvalidInputError: There is no terminal, the two entries differ, or nothing was typed.
    """
    from getpass import getpass

    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.secret import SecretValue

    if not sys.stdin.isatty():
        raise InvalidInputError("Nobody can be asked: standard input is no terminal.", hint="Run it in a terminal.")
    value = SecretValue(getpass(f"{words}: "))
    if confirm and not value.matches(getpass(f"{words} again: ")):
        raise InvalidInputError("The two entries differ.", hint="Nothing was changed; try again.")
    return value


def _read_value(name: str, file: Path | None, shape: Shape) -> SecretValue:
    from vantage_secrets.errors import InvalidInputError

    if file is None and sys.stdin.isatty():
        return prompt_for_value(f"Value of {name}", confirm=True)
    try:
        raw = sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
    except OSError as exc:
        raise InvalidInputError(f"'{file}' cannot be read: {exc.strerror}.") from exc
    return _shaped(raw, shape)


def _shaped(raw: bytes, shape: Shape) -> SecretValue:
    """Return the value of that shape; errors never quote the input."""
    import json

    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.secret import SecretValue

    if shape is Shape.BINARY:
        return SecretValue(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInputError("The value is not UTF-8 text.", hint="Add --shape binary.") from None
    if shape is Shape.TEXT:
        return SecretValue(text.removesuffix("\n").removesuffix("\r"))
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidInputError("The value is not a JSON object.", hint='Write {"username": "…", "password": "…"}.')
    return SecretValue(fields)

"""``migrate``: out of ``.env`` files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage_secrets.cli.output import is_terminal, print_json, print_rows, say
from vantage_secrets.cli.session import JsonOption, session

if TYPE_CHECKING:
    from vantage_secrets.migration.dotenv import DotenvFile
    from vantage_secrets.migration.importer import ImportPlan, ImportResult, ImportRow

app = typer.Typer(help="Move out of .env files.", no_args_is_help=True)

_COLUMNS = {"key": "Variable", "line": "Line", "action": "Action", "name": "Secret", "note": "Note"}


@app.callback()
def group() -> None:
    """Move out of .env files."""


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .env file; it is read and not changed.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also write values that differ from what the store has now.")
    ] = False,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Expand ${NAME}; otherwise $ stays as it is.")
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variable that is a secret too.", show_default=False)
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variable that is no secret.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a .env file's secrets into the store, compared, never shown.

    They are shown by name, written, read back and compared.

    Run it again at any time: what is there already is not written again.
    """
    from vantage_secrets.migration.dotenv import read_dotenv
    from vantage_secrets.migration.importer import plan_import, run_import

    dotenv = read_dotenv(file, interpolate=interpolate)
    with session(context, f"migrate import {file.name}") as workspace:
        plan = plan_import(
            dotenv.entries, workspace.manifest, workspace.store, include=include or (), exclude=exclude or ()
        )
        if not as_json:
            _print_plan(plan)
            _report_problems(dotenv)
        _agree(plan, yes=yes, replace=replace)
        result = run_import(plan, workspace.store, replace=replace, introduce=workspace.introduce)
        if as_json:
            print_json(_as_json(dotenv, plan, result))
        else:
            _print_result(result)
        if not result.complete:
            raise typer.Exit(3)


def _print_plan(plan: ImportPlan) -> None:
    rows = [_row(row) for row in plan.rows]
    columns = dict(_COLUMNS)
    if is_terminal():  # 80 columns have room for two names, and not for much more
        del columns["line"]
        if not any(row["note"] for row in rows):
            del columns["note"]
    print_rows(columns, rows, as_json=False, empty="The file sets nothing.")


def _row(row: ImportRow) -> dict[str, Any]:
    note = "added to the manifest as static" if row.is_new and not row.note else row.note
    return {"key": row.key, "line": row.line, "action": row.action, "name": row.name, "note": note}


def _report_problems(dotenv: DotenvFile) -> None:
    for duplicate in dotenv.duplicates:
        lines = ", ".join(map(str, duplicate.lines))
        say(f"note: {duplicate.key} is set on lines {lines}; the last one counts.")
    for problem in dotenv.problems:
        say(f"note: line {problem.line}: {problem.text}")


def _agree(plan: ImportPlan, *, yes: bool, replace: bool) -> None:
    """Ask before anything is written.

    Raises:
        InvalidInputError: Nobody can be asked.
    """
    from vantage_secrets.errors import InvalidInputError
    from vantage_secrets.migration.importer import ImportAction

    writes = {ImportAction.CREATE, ImportAction.FINISH} | ({ImportAction.REPLACE} if replace else set())
    count = sum(row.action in writes for row in plan.rows)
    if yes or not count:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError("Nobody can be asked: standard input is no terminal.", hint="Add --yes.")
    typer.confirm(f"Write {_secrets(count)} to the store?", abort=True, err=True)


def _print_result(result: ImportResult) -> None:
    written = [outcome for outcome in result.outcomes if outcome.version is not None]
    print(f"{_secrets(len(written))} written, read back and compared.")
    if result.left_to_do:
        print("Left to do:")
        for sentence in result.left_to_do:
            print(f"  - {sentence}")


def _secrets(count: int) -> str:
    return f"{count} secret" if count == 1 else f"{count} secrets"


def _as_json(dotenv: DotenvFile, plan: ImportPlan, result: ImportResult) -> dict[str, Any]:
    return {
        "rows": [
            {
                "key": outcome.row.key,
                "line": outcome.row.line,
                "action": outcome.row.action.value,
                "name": str(outcome.row.name) if outcome.row.name else None,
                "version": outcome.version.id if outcome.version else None,
                "error": outcome.error.code if outcome.error else None,
            }
            for outcome in result.outcomes
        ],
        "duplicates": [{"key": item.key, "lines": list(item.lines)} for item in dotenv.duplicates],
        "problems": [{"line": problem.line, "text": problem.text} for problem in dotenv.problems],
        "missing": [spec.key for spec in plan.missing],
        "complete": result.complete,
        "left_to_do": list(result.left_to_do),
    }

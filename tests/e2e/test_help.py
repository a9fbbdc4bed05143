"""``--help`` of everything, ``--version``, and completion for three shells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tests.e2e.desk import ANSI, Desk
from vantage_secrets import __version__
from vantage_secrets.cli.app import app

VARIABLE = "_VANTAGE_SECRETS_COMPLETE"


def _commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, *path, name)


_SCRIPTS = [("bash", "complete -o "), ("zsh", "#compdef vantage-secrets"), ("fish", "complete ")]
COMMANDS = tuple(_commands(typer.main.get_command(app)))


ALL_HELP = """
import json, sys
from vantage_secrets.cli import main

for path in json.loads(sys.argv[1]):
    print(chr(12) + " ".join(path), flush=True)
    try:
        main([*path, "--help"])
    except SystemExit as ended:
        assert not ended.code, path
"""


def test_all_commands_are_among_those_tested() -> None:
    assert {path[0] for path in COMMANDS if path} >= {
        *("init", "set", "get", "list", "describe", "status", "history"),
        *("copy", "rotate", "run", "migrate", "audit", "demo", "delete", "store"),
    }


def test_help_of_every_command_fits_80_columns(bare_desk: Desk) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_HELP, json.dumps(COMMANDS)],
        env=bare_desk.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert not ANSI.search(done.stdout)
    pages = done.stdout.split("\f")[1:]
    assert len(pages) == len(COMMANDS)
    for path, page in zip(COMMANDS, pages, strict=True):
        _title, _newline, text = page.partition("\n")
        assert text.startswith(f"Usage: {' '.join(('vantage-secrets', *path))} ")
        assert max(map(len, text.splitlines())) <= 80, path
        assert "..." not in text.partition("Commands")[2], f"{path}: a summary was cut off"


@pytest.mark.parametrize("path", [(), ("migrate", "import")], ids=" ".join)
def test_help_at_a_terminal_fits_it_and_loses_its_colours_with_no_color(bare_desk: Desk, path: tuple[str, ...]) -> None:
    done = bare_desk.at_terminal(*path, "-h")
    assert done.code == 0
    assert max(map(len, done.text.splitlines())) <= 80
    assert "\x1b[1;36m" in done.out
    plain = bare_desk.at_terminal(*path, "-h", env={"NO_COLOR": "1"})
    assert "\x1b[1;36m" not in plain.out


def test_version_is_printed(bare_desk: Desk) -> None:
    assert bare_desk.ok("--version").out == f"vantage-secrets {__version__}\n"


@pytest.mark.parametrize(("shell", "mark"), _SCRIPTS)
def test_a_completion_script_is_printed_for_each_shell(bare_desk: Desk, shell: str, mark: str) -> None:
    done = bare_desk.ok("completion", shell)
    assert mark in done.out
    assert VARIABLE in done.out


def _completed(desk: Desk, line: str) -> list[str]:
    words = line.split(" ")
    asked = {VARIABLE: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return desk.run(env=asked).out.split()


def test_names_of_the_manifest_are_proposed(shown: Desk) -> None:
    assert _completed(shown, "vantage-secrets get VANT") == ["VANTAGE_API_KEY"]
    proposed = _completed(shown, "vantage-secrets rotate vantage/a")
    assert sorted(proposed) == ["vantage/api-clickhouse-password", "vantage/api-key"]
    manifest = shown.folder / "vantage-secrets.toml"
    elsewhere = Desk(shown.folder / "home")
    assert _completed(elsewhere, f"vantage-secrets --manifest {manifest} run --only MAIL") == ["MAIL_TOKEN"]


def test_commands_are_proposed_and_no_manifest_is_no_error(bare_desk: Desk) -> None:
    assert _completed(bare_desk, "vantage-secrets migr") == ["migrate"]
    assert _completed(bare_desk, "vantage-secrets get VANT") == []

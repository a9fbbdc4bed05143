"""What README and documentation tell a reader to type works as it stands, in order, and prints what they show.

A block under ``<!-- tested: NAME -->`` belongs to the page's session NAME. In a ``console`` block ``$`` begins a
command, ``>`` continues it, ``# exits with N`` says how it ends, and other lines are its output, where ``…`` stands
for anything. Output that is not shown is not compared.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.canary import canary, leaks_in, planted

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)<!-- tested: ([a-z-]+) -->\n\1```(\w+)\n(.*?)\1```", re.DOTALL | re.MULTILINE)
ERASED = re.compile(r"[^\r\n]*\r\x1b\[2K")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
KEYS = ("VANTAGE_API_KEY", "API_KEY", "WORKER_CLICKHOUSE_PASSWORD", "API_CLICKHOUSE_PASSWORD", "KAFKA_SASL_PASSWORD")
FROM_NOTHING = ("README.md", "docs/tutorials/out-of-dotenv.md")
"""Pages whose reader has an empty folder; the reader of the others has the platform's five secrets in a store."""


class Command(NamedTuple):
    text: str
    exit_code: int
    shown: tuple[str, ...]


def sessions() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return the blocks, as language and text, of each page and session."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for path in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]:
        for _indent, name, language, text in BLOCK.findall(path.read_text("utf-8")):
            found.setdefault((str(path.relative_to(ROOT)), name), []).append((language, textwrap.dedent(text)))
    return found


def commands_in(block: str) -> list[Command]:
    commands: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            ending = re.search(r"  # exits with (\d+)$", line)
            commands.append(Command(line[2:], int(ending[1]) if ending else 0, ()))
        elif line.startswith("> "):
            commands[-1] = commands[-1]._replace(text=f"{commands[-1].text}\n{line[2:]}")
        else:
            commands[-1] = commands[-1]._replace(shown=(*commands[-1].shown, line))
    return commands


def typed(words: list[str], folder: Path) -> tuple[int, str]:
    """Run ``words`` as at a terminal of 120 columns; return the exit code and all that the terminal shows."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    unset = ("VANTAGE_SECRETS_MANIFEST", "VANTAGE_SECRETS_KEY_FILE", "VANTAGE_SECRETS_PASSPHRASE_FILE")
    environment = {key: text for key, text in os.environ.items() if key not in unset}
    environment |= {"PATH": path, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "120", "HOME": str(folder)}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says EIO when the last process has closed the terminal.
        while piece := os.read(ours, 65_536):
            shown += piece
    os.close(ours)
    return process.wait(), STYLE.sub("", ERASED.sub("", shown.decode().replace("\r\n", "\n")))


def run(block: str, folder: Path) -> None:
    for command in commands_in(block):
        code, output = typed(["bash", "-c", command.text], folder)
        assert code == command.exit_code, f"$ {command.text}\n{output}"
        if command.shown:
            assert pattern(command.shown).fullmatch(output), f"$ {command.text}\n{output}"
        assert not leaks_in(output.encode(), planted())


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches the output; a gap between columns may be of any width: it depends on the host's name."""
    return re.compile("".join(r"(?:.*\n)*" if line == "…" else line_pattern(line) for line in shown))


def line_pattern(line: str) -> str:
    return re.sub(r"(?:\\ ){2,}", " {2,}", re.escape(line)).replace("…", ".*") + r" *\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "platform"
    folder.mkdir()
    return folder


@pytest.fixture
def filled_folder(folder: Path) -> Path:
    """A manifest, and a store with the platform's five secrets."""
    env_file = folder / "CLEAR.env"
    env_file.write_text("".join(f"{key}={canary(key.lower())}\n" for key in KEYS))
    for words in (["init"], ["migrate", "import", env_file.name, "--yes"]):
        code, output = typed(["vantage-secrets", *words], folder)
        assert code == 0, output
    return folder


@pytest.mark.parametrize("page", FROM_NOTHING)
def test_what_a_newcomer_types_works_in_an_empty_folder(page: str, folder: Path) -> None:
    blocks = [block for key, found in sessions().items() if key[0] == page for block in found]
    assert blocks
    for language, text in blocks:
        if language == "console":
            run(text, folder)
        else:
            code, output = typed(["python", "-c", text], folder)
            assert (code, output) == (0, "The key is ***.\n")


@pytest.mark.parametrize("key", [key for key in sessions() if key[0] not in FROM_NOTHING], ids="#".join)
def test_what_a_page_tells_to_type_works_with_the_secrets_in_a_store(key: tuple[str, str], filled_folder: Path) -> None:
    for language, text in sessions()[key]:
        if language == "console":
            run(text, filled_folder)
        else:
            code, output = typed(["python", "-c", text], filled_folder)
            assert code == 0, output


def test_a_page_that_shows_other_output_or_another_end_is_found_out(folder: Path) -> None:
    run("$ echo one; echo two; exit 3  # exits with 3\n…\ntwo\n", folder)
    for wrong in ("$ echo one\ntwo\n", "$ exit 3\n", "$ echo one; echo two\none\n"):
        with pytest.raises(AssertionError):
            run(wrong, folder)

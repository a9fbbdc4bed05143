"""Programs that find secrets: how each is called, and what its report says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Spot = tuple[str, int]
"""Path from the root of what was scanned, and line, 1 for the first."""

_VERSION = re.compile(r"\d+(?:\.\d+)+(?:[-.\w]*\w)?")

_OBJECT = re.compile(r"/objects/([0-9a-f]{2})/([0-9a-f]{38,62})$")


class Scanner(NamedTuple):
    """A scanner.

    Attributes:
        name: What the tables call it.
        program: The file to run.
        tree: Words behind the program that scan a folder or file; ``{target}``, ``{report}`` and ``{name}``, the target
            from the folder that the program is started in, are put in.
        history: Words that scan all of a repository's history; empty where it cannot.
        read: Yields the spots of a report, with paths as the scanner has them.
        writes_to_output: Whether the report comes on standard output.
        binary: What the program starts and becomes, where it is a script that does nothing else.
    """

    name: str
    program: Path
    tree: Sequence[str]
    history: Sequence[str]
    read: Callable[[Any], Iterator[Spot]]
    writes_to_output: bool = False
    binary: Path | None = None

    def command(self, words: Sequence[str], target: Path, report: Path) -> list[str]:
        """Return the whole command."""
        return [str(self.program), *(word.format(target=target, report=report, name=_name(target)) for word in words)]

    def spots(self, report: Path, target: Path) -> set[Spot]:
        """Return what a report says was found below ``target``.

        Raises:
            ValueError: The report is not what this scanner writes.
        """
        try:
            found = list(self.read(json.loads(report.read_bytes())))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the report of {self.name} has another form: {error!r}") from error
        return {(_inside(path, target), line) for path, line in found}

    def version(self, environment: Mapping[str, str]) -> str:
        """Return the version that the program says it has."""
        said = subprocess.run(
            [self.program, "--version"], check=True, capture_output=True, text=True, env=dict(environment)
        )
        return version_in(said.stdout + said.stderr)


def version_in(text: str) -> str:
    """Return the first version in what a program says of itself.

    Raises:
        ValueError: There is none.
    """
    found = _VERSION.search(text)
    if not found:
        raise ValueError("the program does not say its version")
    return found[0]


def folder_of(target: Path) -> Path:
    """Return the folder that a scan of ``target`` is started in, and that paths are told from."""
    return target if target.is_dir() else target.parent


def _name(target: Path) -> str:
    return "." if target.is_dir() else target.name


def _inside(path: str, target: Path) -> str:
    return path.removeprefix(f"{folder_of(target)}/").removeprefix("./")


def _read_ours(report: dict[str, Any]) -> Iterator[Spot]:
    for finding in report["findings"]:
        yield finding["place"]["path"] or Path(finding["place"]["source"]).name, finding["line"]


def _read_kingfisher(report: dict[str, Any]) -> Iterator[Spot]:
    for each in report["findings"]:
        path = each["finding"]["path"]
        # With --turbo it does not say where in a history an object sits.
        blob = _OBJECT.search(path)
        yield blob_path("".join(blob.groups())) if blob else path, each["finding"]["line"]


def blob_path(id_: str) -> str:
    """Return what stands for the path of an object of which only the id is told."""
    return f"blob {id_}"


def _read_betterleaks(report: dict[str, Any]) -> Iterator[Spot]:
    for each in report["findings"]:
        yield each["location"]["path"], each["location"]["start_line"]


def _read_gitleaks(report: list[dict[str, Any]]) -> Iterator[Spot]:
    for each in report:
        yield each["File"], each["StartLine"]


def _read_detect_secrets(report: dict[str, Any]) -> Iterator[Spot]:
    for path, some in report["results"].items():
        for each in some:
            yield path, each["line_number"]


def ours() -> Scanner:
    """Return our own scanner, from this interpreter's environment."""
    words = ("scan", "--format", "json", "--output", "{report}")
    return Scanner(
        "vantage-secrets",
        Path(sys.executable).with_name("vantage-secrets"),
        (*words, "{target}"),
        (*words, "--history", "{target}"),
        _read_ours,
    )


def peers(folder: Path) -> list[Scanner]:
    """Return the others, from the environments that ``tools/install-leak-peers`` made in ``folder``.

    They are called as pip installs them, like ours: those that are no Python have a script of Python in front.

    Raises:
        FileNotFoundError: One is not there.
    """
    kingfisher = ("scan", "--no-validate", "--no-update-check", "--format", "json", "--output", "{report}")
    fast = (*kingfisher, "--turbo")
    betterleaks = ("--silent", "--output", "{report}", "{target}")
    gitleaks = ("--no-banner", "--log-level", "error", "--report-format", "json", "--report-path", "{report}")
    no_history = ("--git-history", "none", "{target}")
    both = [
        _peer(folder, "kingfisher", (*kingfisher, *no_history), (*kingfisher, "{target}"), _read_kingfisher),
        _peer(folder, "kingfisher", (*fast, *no_history), (*fast, "{target}"), _read_kingfisher),
    ]
    return [
        both[0],
        both[1]._replace(name="kingfisher --turbo"),
        _peer(folder, "betterleaks", ("fs", *betterleaks), ("git", *betterleaks), _read_betterleaks),
        _peer(folder, "gitleaks", ("dir", *gitleaks, "{target}"), ("git", *gitleaks, "{target}"), _read_gitleaks),
        # It finds nothing at an absolute path, and does not say so.
        _peer(folder, "detect-secrets", ("scan", "--all-files", "{name}"), (), _read_detect_secrets)._replace(
            writes_to_output=True
        ),
    ]


def _peer(
    folder: Path, name: str, tree: Sequence[str], history: Sequence[str], read: Callable[[Any], Iterator[Spot]]
) -> Scanner:
    environment = folder / name
    program = environment / "bin" / name
    if not program.exists():
        raise FileNotFoundError(f"{name} is not installed; run tools/install-leak-peers")
    binaries = sorted(environment.glob(f"lib/python3*/site-packages/*/bin/{name}"))
    return Scanner(name, program, tree, history, read, binary=binaries[0] if binaries else None)

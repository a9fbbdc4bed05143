"""The real rules and one for the values of the tests, compiled once for all tests of a run: it takes seconds."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vantage_secrets.leaks.matching import open_matcher
from vantage_secrets.leaks.ruleset import rule_files

CANARY_RULE = Path(__file__).with_name("canary_rule.toml")
PROGRAM = Path(sys.executable).with_name("vantage-secrets")
KEY_TEXT = "5a" * 32
_SUBFOLDER = Path("vantage-secrets", "leaks")


@pytest.fixture(scope="session")
def compiled_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled rules; workers of one run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "compiled-rules"
    open_matcher(rule_files([CANARY_RULE]), folder)
    return folder


def share_rules(one: Path, other: Path) -> None:
    """Give each of two folders the compiled rules that the other has."""
    for source, target in ((one, other), (other, one)):
        target.mkdir(parents=True, exist_ok=True)
        for file in source.glob("rules-*.bin"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                (target / file.name).hardlink_to(file)


class Desk:
    """A folder to type ``vantage-secrets scan`` in, with a home and a cache of its own."""

    def __init__(self, folder: Path, compiled: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self._compiled = compiled

    def share_rules(self) -> None:
        """Keep what is compiled for all tests: it is compiled again when a module changes meanwhile."""
        share_rules(self._compiled, self.cache / _SUBFOLDER)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(self.cache),
            "VANTAGE_SECRETS_FINGERPRINT_KEY": KEY_TEXT,
            "PYTHONWARNINGS": "error",
            **more,
        }

    def command(self, *words: str) -> list[str]:
        return [str(PROGRAM), "scan", "--rules", str(CANARY_RULE), *words]

    def start(
        self, *words: str, env: Mapping[str, str] | None = None, before: list[str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        self.share_rules()
        standard = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        settings = standard | {"cwd": self.folder} | options
        return subprocess.Popen([*(before or []), *self.command(*words)], env=self.environment(env or {}), **settings)

    def scan(self, *words: str, given: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        process = self.start(*words, stdin=subprocess.PIPE, **options)
        out, err = process.communicate(given, timeout=120)
        self.share_rules()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

"""Git repositories to scan, made as people and servers make them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage, Finding
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.history.reading import read_history
from vantage_secrets.leaks.matching import Matcher, open_matcher
from vantage_secrets.leaks.recording import Recorder
from vantage_secrets.leaks.scanner import Settings

KEY = FingerprintKey(b"a key of the tests, 32 bytes long")
TODAY = "2026-06-15"
CANARY_RULE = """
[[rule]]
id = "canary"
title = "A value of the tests"
source = "made up for the tests"
regex = '\\b(cnry-[a-z]+-[0-9a-f]{32})\\b'
judge = "none"
positive = ["x"]
negative = ["x"]
"""


class Repo:
    """A repository with one author, whose clock moves on a day with each commit."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.day = 1_700_000_000
        self.author = "Author"
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *words)

    def git(self, *words: str, given: bytes = b"") -> str:
        """Run Git and return what it prints."""
        when = f"{self.day} +0000"
        person = {"NAME": self.author, "EMAIL": f"{self.author.lower()}@dev.example", "DATE": when}
        people = {f"GIT_{role}_{key}": text for role in ("AUTHOR", "COMMITTER") for key, text in person.items()}
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_LITERAL_PATHSPECS": "1"}
        alone["PATH"] = os.environ["PATH"]
        done = subprocess.run(
            ["git", "-C", str(self.folder), *words], input=given, capture_output=True, env=alone | people, check=False
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "replace").strip()

    def commit(self, files: dict[str, str | bytes], message: str = "a change") -> str:
        """Commit some files and return the commit's id."""
        for path, content in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            self.git("add", "-f", "--", path)
        self.day += 86_400
        self.git("commit", "-q", "--allow-empty", "-F", "-", given=message.encode())
        return self.git("rev-parse", "HEAD")

    def blob(self, content: str) -> str:
        """Write an object that nothing leads to."""
        return self.git("hash-object", "-w", "--stdin", given=content.encode())

    def object_file(self, id_: str) -> Path:
        """Return where a loose object is kept."""
        return self.folder / ".git/objects" / id_[:2] / id_[2:]

    def pack(self) -> Path:
        """Put everything into one pack and return its file."""
        self.git("repack", "-q", "-a", "-d")
        (pack,) = (self.folder / ".git/objects/pack").glob("*.pack")
        pack.chmod(0o644)
        return pack


class Scanned:
    """What a scan of a history came to."""

    def __init__(self, findings: Sequence[Finding], coverage: Coverage) -> None:
        self.findings = findings
        self.coverage = coverage

    @property
    def places(self) -> list[tuple[str, str]]:
        return sorted((each.place.kind, each.place.path) for each in self.findings)

    @property
    def only(self) -> Finding:
        (finding,) = self.findings
        return finding

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.coverage.unread]

    @property
    def from_cache(self) -> int:
        return self.coverage.counts.get("known from cache", 0)

    @property
    def read_count(self) -> int:
        """How many objects Git was asked for."""
        return sum(self.coverage.counts.get(kind, 0) for kind in ("blob", "tree", "commit", "tag"))


def small_matcher(folder: Path, text: str = CANARY_RULE) -> Matcher:
    """Return a matcher of a few rules, which compiles at once."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "small.toml"
    file.write_text(text)
    return open_matcher([file], None)


def scan_history(
    path: Path,
    matcher: Matcher,
    *,
    cache: Path | None = None,
    today: str = TODAY,
    key: FingerprintKey = KEY,
    cores: int = 1,
    size_max: int = 1_000_000,
) -> Scanned:
    """Scan the history of the repository at ``path``."""
    recorder = Recorder(lambda: key, today)
    coverage = Coverage()
    settings = Settings(lambda: key, cache_folder=cache, cores=cores, size_max=size_max)
    read_history(path, Examiner(matcher), recorder, coverage, settings)
    return Scanned(recorder.sorted_findings(), coverage)

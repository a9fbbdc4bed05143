"""The daemon: it scans a repository when it is told of a push, and tells each new finding once.

What it is told of is on the disk before it answers, findings are told before they count as told, and a push is
forgotten after that. So nothing is lost when the process is killed at any moment; at worst something is told twice.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError, StoreUnavailableError, VantageSecretsError
from vantage_secrets.leaks.finding import Finding, Report
from vantage_secrets.leaks.reports.json_report import finding_fields, place_fields
from vantage_secrets.leaks.reports.wording import count, instant, printable, where
from vantage_secrets.leaks.watch.pushes import Push
from vantage_secrets.leaks.watch.spool import Spool
from vantage_secrets.leaks.watch.told import Told
from vantage_secrets.leaks.watch.waiting import WaitingPushes

_RETRY_SECONDS = 30.0
"""After so long a scan that failed, or a notice that nobody took, is tried again."""
_FETCH_SECONDS_MAX = 600
_FETCH_PASSED_ON = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS")
_LINES_MAX = 20
"""So many findings are named in one notice."""
_UNREAD_MAX = 100

Tell = Callable[[Mapping[str, Any]], None]
"""Takes one thing that happened, for the log."""
Notify = Callable[[str, str], list[str]]
"""Gives title and text to people, and returns what went wrong, a sentence each; never told a value."""


class WatchSettings(NamedTuple):
    """How the daemon works.

    Attributes:
        repositories: The folders of the repositories by name.
        state: Folder of what must outlive the process.
        scan: Scans the whole history of a repository, with a cache of what it has read.
        tell: Takes the log's lines.
        notify: Tells people.
        fetch: Whether ``git fetch`` runs before a scan.
        every_seconds: After so long a repository is scanned without a push, since what tells of pushes may fail.
    """

    repositories: Mapping[str, Path]
    state: Path
    scan: Callable[[Path], Report]
    tell: Tell
    notify: Notify
    fetch: bool = False
    every_seconds: float = 3_600.0


class Watcher:
    """Scans one repository at a time.

    Raises:
        InvalidInputError: Another process uses the state folder, or it holds what is not ours.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._lock = _locked(settings.state)
        self._waiting = WaitingPushes(settings.state / "pushes")
        self._notices = Spool(settings.state / "notices")
        self._told = Told(settings.state / "told")
        self._names = {name.casefold(): name for name in settings.repositories}  # forges do not tell A from a
        self._folders = {os.path.realpath(path): name for name, path in settings.repositories.items()}
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # it may be filled by a signal's handler
        self._is_stopping = False
        self._fetching: subprocess.Popen[bytes] | None = None
        self._due_at = dict.fromkeys(settings.repositories, 0.0)
        self._retry_at: dict[str, float] = {}

    def accept(self, push: Push) -> bool:
        """Keep a push that a server heard of; returns whether its repository is watched. Safe from any thread.

        Args:
            push: Its repository is a name, or the folder, as a hook knows it.

        Raises:
            OSError: It cannot be kept.
        """
        name = self._folders.get(os.path.realpath(push.repository)) if push.origin == "hook" else None
        name = name or self._names.get(push.repository.casefold())
        if name is None:
            return False
        self._waiting.add(push._replace(repository=name))
        self._wake.put(True)
        return True

    def stop(self) -> None:
        """End after the scan that is under way; may be called by a signal's handler."""
        self._is_stopping = True
        if self._fetching is not None:
            self._fetching.terminate()
        self._wake.put(True)

    def run(self, *, once: bool = False) -> int:
        """Work until stopped, and return 0; with ``once`` scan each repository once and return the scan's exit code."""
        for name in self._waiting.repositories():
            if name not in self._settings.repositories:
                self._problem(name, "A push waits for a repository that is not watched any more.")
        while not self._is_stopping:
            codes = [self._look(name) for name in self._due() if not self._is_stopping]
            self._deliver()
            if once:
                return next((code for code in (1, 3) if code in codes), 0)
            self._sleep()
        return 0

    def note_problem(self, reason: str) -> None:
        """Write into the log that something went wrong in a server. Safe from any thread."""
        self._problem("", reason)

    def close(self) -> None:
        """Let another process use the state folder."""
        os.close(self._lock)

    def _due(self) -> list[str]:
        now = time.monotonic()
        return [name for name, at in self._times().items() if at <= now]

    def _times(self) -> dict[str, float]:
        """Return when each repository is to be scanned: now for a push, but not before the next try."""
        pushed = set(self._waiting.repositories())
        return {
            name: max(0.0 if name in pushed else due_at, self._retry_at.get(name, 0.0))
            for name, due_at in self._due_at.items()
        }

    def _sleep(self) -> None:
        """Wait for a push, for the next look without one, or for the next try."""
        until = min(self._times().values())
        if self._notices.records():
            until = min(until, time.monotonic() + _RETRY_SECONDS)
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=max(0.0, until - time.monotonic()))

    def _look(self, name: str) -> int:
        """Scan one repository and return the scan's exit code; what fails is tried again later."""
        taken = self._waiting.take(name)
        try:
            code = self._scan(name, [Push.of(record.content) for record in taken])
        except BrokenPipeError:  # nobody reads the log any more: to go on would be to lose what is found
            raise
        except Exception as error:  # one repository that cannot be scanned must not end the watch over the others
            self._waiting.give_back(name, taken)
            self._retry_at[name] = time.monotonic() + _RETRY_SECONDS
            self._problem(name, _words_of(error))
            return 3
        self._waiting.forget(taken)
        self._retry_at.pop(name, None)
        self._due_at[name] = time.monotonic() + self._settings.every_seconds
        return code

    def _scan(self, name: str, pushes: list[Push]) -> int:
        path = self._settings.repositories[name]
        if self._settings.fetch:
            self._fetch(path)
        report = self._settings.scan(path)
        fresh = self._told.untold(name, report.new)
        for finding in fresh:
            self._tell("finding", repository=name, **finding_fields(finding))
        for miss in report.coverage.unread[:_UNREAD_MAX]:
            self._tell("unread", repository=name, place=place_fields(miss.place), reason=printable(miss.reason))
        if fresh:
            title, text = _notice_of(name, fresh)
            self._notices.add({"title": title, "text": text})
            self._told.remember(name, fresh)
        self._tell(
            "scan",
            repository=name,
            pushes=[push.plain() for push in pushes],
            new=len(fresh),
            told_before=len(report.new) - len(fresh),
            unread=len(report.coverage.unread),
            read=dict(report.coverage.counts),
            notes=[printable(note) for note in report.coverage.notes],
            seconds=round(report.seconds, 3),
        )
        return 1 if fresh else 0 if report.coverage.is_complete else 3

    def _fetch(self, path: Path) -> None:
        """Bring what is new in the remote repositories.

        Raises:
            StoreUnavailableError: Git did not end well. SECURITY: what Git says may hold the password in a URL, so it
                is not repeated.
        """
        hint = f"Look: git -C '{path}' fetch --all"
        nothing = subprocess.DEVNULL
        command = ["git", "-C", str(path), "fetch", "--all", "--quiet"]
        with subprocess.Popen(  # noqa: S603 - the words are ours
            command, stdin=nothing, stdout=nothing, stderr=nothing, env=_fetch_environment()
        ) as self._fetching:
            try:
                code = self._fetching.wait(_FETCH_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._fetching.terminate()
                raise StoreUnavailableError(f"Fetching took longer than {_FETCH_SECONDS_MAX} s.", hint=hint) from None
        if code:
            raise StoreUnavailableError(f"Fetching failed: Git ended with {code}.", hint=hint)

    def _deliver(self) -> None:
        """Give to people what they were not told yet; what cannot be given is kept."""
        for record in self._notices.records():
            problems = self._settings.notify(record.content["title"], record.content["text"])
            for problem in problems:
                self._tell("problem", repository="", reason=problem)
            if problems:
                return
            self._notices.remove(record)

    def _problem(self, name: str, reason: str) -> None:
        self._tell("problem", repository=name, reason=printable(reason))

    def _tell(self, event: str, **fields: Any) -> None:
        self._settings.tell({"event": event, "at": instant(time.time()), **fields})


def _fetch_environment() -> dict[str, str]:
    """Return the environment that ``git fetch`` runs with: nothing points it to another repository, or asks a person.

    A scan's Git may not use the network; this one must.
    """
    kept = {key: text for key, text in os.environ.items() if not key.startswith("GIT_") or key in _FETCH_PASSED_ON}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _locked(folder: Path) -> int:
    import fcntl

    from vantage_secrets.stores.embedded.files import make_private_folder

    make_private_folder(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InvalidInputError(
            f"Another process watches with the state in '{folder}'.", hint="Name another folder with --state."
        ) from None
    return descriptor


def _words_of(error: Exception) -> str:
    if isinstance(error, VantageSecretsError):
        return f"{error.message} {error.hint} It is tried again by itself."
    # SECURITY: the text of an error that is not ours may hold anything, so only its type is told.
    words = error.strerror if isinstance(error, OSError) else f"An unexpected {type(error).__name__}"
    return f"{words or type(error).__name__}. It is tried again by itself."


def _notice_of(name: str, findings: Iterable[Finding]) -> tuple[str, str]:
    found = list(findings)
    lines = [_line_of(finding) for finding in found[:_LINES_MAX]]
    if len(found) > _LINES_MAX:
        lines.append(f"… and {count(len(found) - _LINES_MAX, 'more finding')}; the log of the watcher has all.")
    lines.append("Who saw the value has it: replace it first, then take it out.")
    return f"{count(len(found), 'new leak')} in {name}", "\n".join(lines)


def _line_of(finding: Finding) -> str:
    known = finding.known
    value = f": {known.secret}, version {known.version_id}, {known.verdict}" if known else ""
    first = finding.attribution and finding.attribution.first
    by = f", by {printable(first.author)}" if first else ""
    place = finding.place._replace(source="")
    return f"{finding.title}{value} at {printable(where(place))}:{finding.line}{by} ({finding.fingerprint[:12]})"

"""One cell of the matrix: a target and a store, a rotation killed at each of its calls, and what is found then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests.crash_matrix.mortal import NAME
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.secret import SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Store

ROOT = Path(__file__).parents[2]


@dataclass
class TargetCase:
    """A target on a running server.

    Attributes:
        kind: The manifest's kind of secret.
        target: The kind of target, or empty for one without settings.
        opens: Whether a fresh login with a value succeeds, asked in another way than the target's own.
        settings: Every key of the target's table.
        account: The user there.
        first: The value that works before the first rotation; ``None`` where the target makes it.
        admin_user: Who may change credentials there.
        admin_password: With what.
        database_url: The control database.
    """

    kind: str
    target: str
    opens: Callable[[SecretValue], bool]
    settings: dict[str, Any] = field(default_factory=dict)
    account: str = ""
    first: SecretValue | None = None
    admin_user: str = ""
    admin_password: str = ""
    database_url: str = "sqlite:///:memory:"


@dataclass
class StoreCase:
    """A store that holds nothing yet, and how another process opens it."""

    url: str
    store: Store
    options: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


class Row(NamedTuple):
    """What one kill led to.

    Attributes:
        call: Which call, such as ``target install``.
        how: ``before`` it or ``during`` it.
        became: Which version is current after the next run: the ``old`` one or the ``new`` one.
        faults: What is wrong then, in words; empty when all is well.
    """

    call: str
    how: str
    became: str
    faults: tuple[str, ...]


class Mortals:
    """Forks, kills and reports; one process for one cell."""

    def __init__(self, process: subprocess.Popen[str], stdin: IO[str], stdout: IO[str]) -> None:
        self._process, self._stdin, self._stdout = process, stdin, stdout

    def run(self, run: str, *, number: int | None = None, how: str = "before", seconds: float = 0.0) -> dict[str, Any]:
        """Rotate, or finish what is under way, in a process of its own that is killed at its call ``number``."""
        self._stdin.write(json.dumps({"run": run, "number": number, "how": how, "seconds": seconds}) + "\n")
        self._stdin.flush()
        line = self._stdout.readline()
        assert line, "the process that forks has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def mortals(target: TargetCase, store: StoreCase, folder: Path) -> Iterator[Mortals]:
    """Start the process that forks."""
    setup = {
        "kind": target.kind,
        "target": target.target,
        "settings": target.settings,
        "account": target.account,
        "admin_user": target.admin_user,
        "admin_password": target.admin_password,
        "database_url": target.database_url,
        "store_url": store.url,
        "store_options": store.options,
        "variables": store.variables,
    }
    with (folder / "mortal.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash_matrix.mortal"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(setup) + "\n")
        try:
            yield Mortals(process, process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


_CHANGING = ("stage", "install", "promote", "limit", "revoke", "retire")


def run_cell(target: TargetCase, store: StoreCase, folder: Path) -> list[Row]:
    """Kill a rotation at each of its calls in turn, and say for each what the next run left.

    A kill before a call is a kill after the one that went before; calls that change something are also cut in the
    middle. One secret and one account go through all of it: each kill begins where the run after the last one ended.
    """
    with mortals(target, store, folder) as processes:
        _begin(target, store, processes)
        counted = _ok(processes.run("rotate"))
        rows = []
        for index, (call, seconds) in enumerate(counted["calls"]):
            for how in ("before", "during") if call.endswith(_CHANGING) else ("before",):
                rows.append(
                    _kill(target, store, processes, index, call, how, seconds / 2, index < counted["overlap_calls"])
                )
        return rows


def _begin(target: TargetCase, store: StoreCase, processes: Mortals) -> None:
    if target.first is None:
        _ok(processes.run("rotate"))
        return
    version = store.store.stage(NAME, target.first, token="first")
    store.store.promote(NAME, version.id, expect_current=None)


def _kill(
    target: TargetCase,
    store: StoreCase,
    processes: Mortals,
    index: int,
    call: str,
    how: str,
    seconds: float,
    is_before_the_end: bool,
) -> Row:
    old = store.store.read(NAME)
    ended = processes.run("rotate", number=index + 1, how=how, seconds=seconds)
    faults = [] if ended["signal"] == signal.SIGKILL else [f"was not killed: {ended}"]
    values = _values(store.store)
    if not target.opens(store.store.read(NAME).value):
        faults.append("readers held what opened nothing")
    if is_before_the_end and not target.opens(old.value):
        faults.append("a consumer with the old value was refused before the end of the overlap")
    _ok(processes.run("finish"))
    stages = [version.stage for version in _alive(store.store)]
    if stages != [Stage.CURRENT]:
        faults.append(f"at rest the store has {stages}")
    now = store.store.read(NAME)
    if not target.opens(now.value):
        faults.append("the current value opens nothing")
    orphans = [version for version, value in values.items() if value != now.value and target.opens(value)]
    if orphans:
        faults.append(f"{len(orphans)} orphan(s) open the door")
    return Row(call, how, "old" if now.version.id == old.version.id else "new", tuple(faults))


def _ok(ended: dict[str, Any]) -> dict[str, Any]:
    assert ended.get("is_at_rest"), f"a run that nobody killed did not come to rest: {ended}"
    return ended


def _alive(store: Store) -> list[SecretVersion]:
    return [version for version in store.describe(NAME) if version.stage is not Stage.RETIRED]


def _values(store: Store) -> dict[str, SecretValue]:
    """Return the value of each version that is still there, as the killed run left them."""
    values = {}
    for version in _alive(store):
        try:
            values[version.id] = store.read(NAME, version=version.id).value
        except SecretNotFoundError:
            continue
    return values

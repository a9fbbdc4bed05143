"""The process that is killed: forked for each rotation from one that has everything imported and nothing opened.

Started by :mod:`tests.crash_matrix.matrix` with its set-up and its orders as lines of JSON on standard input, because
they hold passwords; it answers each with one line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.rotation_bench import EventList
from vantage_secrets.audited_store import Recorder
from vantage_secrets.clock import utc_now
from vantage_secrets.credential import Credential
from vantage_secrets.database import Database
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.rotation.convergence import OverlapRules
from vantage_secrets.rotation.rotator import Rotator
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.registry import open_store
from vantage_secrets.targets.contract import Target, TargetContext
from vantage_secrets.targets.registry import open_target

NAME = SecretName("vantage/credential")
GRACE = timedelta(hours=1)


class Killer:
    """Counts the calls to what it wraps and kills this process before or during the N-th."""

    def __init__(self, number: int | None, how: str, seconds: float) -> None:
        self._number, self._how, self._seconds = number, how, seconds
        self.calls: list[tuple[str, float]] = []

    def wrap(self, part: str, thing: Any) -> Any:
        return _Counted(part, thing, self)

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        if len(self.calls) + 1 == self._number:
            if self._how == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Thread(target=self._kill_soon, daemon=True).start()
        began = time.monotonic()
        answer = call()
        if len(self.calls) + 1 == self._number:
            os.kill(os.getpid(), signal.SIGKILL)  # the call was quicker this time: a kill after it, then
        self.calls.append((name, time.monotonic() - began))
        return answer

    def _kill_soon(self) -> None:
        time.sleep(self._seconds)
        os.kill(os.getpid(), signal.SIGKILL)


class _Counted:
    def __init__(self, part: str, thing: Any, killer: Killer) -> None:
        self._part, self._thing, self._killer = part, thing, killer

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._thing, name)
        if not callable(member):
            return member
        return lambda *args, **kwargs: self._killer.around(f"{self._part} {name}", lambda: member(*args, **kwargs))


def open_mortal_target(setup: dict[str, Any]) -> Target:
    """Return the target that the set-up describes."""
    spec = SecretSpec(
        key="CREDENTIAL",
        name=NAME,
        kind=setup["kind"],
        purpose="What is rotated here",
        owner="the tests",
        consumers=(),
        max_age=timedelta(days=90),
        grace=GRACE,
        required=True,
        feature=None,
        target=setup["target"],
        account=setup["account"],
    )
    settings = None
    if setup["target"]:
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in setup["settings"].items()}
        for key in ("users_folder", "users_file", "ca_file"):
            if values.get(key):
                values[key] = Path(values[key])
        if "timeout" in values:
            values["timeout"] = timedelta(seconds=values["timeout"])
        settings = TargetSettings(setup["target"], setup["target"], values)
    administrator = Credential(setup["admin_user"], SecretValue(setup["admin_password"] or "none"))
    database = Database(setup["database_url"])
    target = open_target(TargetContext(spec, settings, lambda: database, lambda: administrator, utc_now))
    assert target is not None
    return target


def _rotate(setup: dict[str, Any], order: dict[str, Any], answer: int) -> None:
    killer = Killer(order["number"], order["how"], order["seconds"])
    store = open_store(setup["store_url"], environment="test", options=setup["store_options"])
    target = open_mortal_target(setup)
    recorder = Recorder(EventList(), actor="test@here")
    rotator = Rotator(killer.wrap("store", store), killer.wrap("target", target), recorder)
    if order["run"] == "rotate":
        rotator.rotate(NAME, overlap=OverlapRules(GRACE))
    overlap_calls = len(killer.calls)
    report = rotator.reconcile(NAME, overlap=OverlapRules(timedelta(0)))
    ended = {"calls": killer.calls, "overlap_calls": overlap_calls, "is_at_rest": report.situation.is_at_rest}
    os.write(answer, json.dumps(ended).encode())


def _serve() -> None:
    setup = json.loads(sys.stdin.readline())
    os.environ.update(setup["variables"])
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _rotate(setup, json.loads(line), writer)
                code = 0
            except BaseException as exc:
                os.write(writer, json.dumps({"error": f"{type(exc).__name__}: {exc}"}).encode())
            finally:
                os._exit(code)
        os.close(writer)
        _pid, status = os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as told:
            said = told.read()
        ended = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}
        print(json.dumps(ended | json.loads(said or b"{}")), flush=True)


if __name__ == "__main__":
    _serve()

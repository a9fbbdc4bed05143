"""Rotations through the real command, each step with its time, and the old credential tried afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from doors import Answer, Door
from processes import ProcessError
from vantage_secrets.bootstrap import Workspace
from vantage_secrets.manifest import SecretSpec
from vantage_secrets.rotation.steps import SEQUENCE
from vantage_secrets.secret import SecretReading

ROTATION_SECONDS_MAX = 180
"""An overlap that has no evidence to end on after so long will not have it later either."""

REVOKED_SECONDS_MAX = 1.0
"""Within so long a revoked API key is refused everywhere: a service may believe for half a second what it knew."""

COMMAND = Path(sys.executable).with_name("vantage-secrets")

_STEPS = frozenset(map(str, SEQUENCE))
_TOLD = ("promote", "converge", "verify-refused")


class StepTime(NamedTuple):
    """One step of a rotation, and how many seconds after the command's start it was done."""

    step: str
    seconds: float


@dataclass
class Rotation:
    """One rotation of one secret.

    Attributes:
        secret: Its key in the manifest.
        round: 1 for the first time, 2 for the second.
        steps: The steps that were done, in order.
        seconds: How long the command took.
        old: What the door said to the old credential, at the latest ``REVOKED_SECONDS_MAX`` after.
        new: What it said to the new one: a door that refuses everything proves nothing.
    """

    secret: str
    round: int
    steps: list[StepTime] = field(default_factory=list)
    seconds: float = 0.0
    old: Answer = Answer.NONE
    new: Answer = Answer.NONE

    @property
    def is_good(self) -> bool:
        """Whether every step was done, the old one is dead and the new one lives."""
        done = {step for step, _ in self.steps} >= _STEPS
        return done and self.old is Answer.REFUSED and self.new is Answer.OPENED

    def until(self, step: str) -> float | None:
        """Return the seconds at which ``step`` was done, or ``None`` when it was not."""
        return next((seconds for name, seconds in self.steps if name == step), None)


class Rotations:
    """Rotates secrets and remembers every credential that should be dead.

    Args:
        workspace: The platform's, for reading what is to be tried.
        doors: What each secret opens, by its key in the manifest.
        tell: Called with a line for a person.
    """

    def __init__(self, workspace: Workspace, doors: dict[str, Door], tell: Callable[[str], None]) -> None:
        """Rotate nothing yet."""
        self._workspace = workspace
        self._doors = doors
        self._tell = tell
        self._old: list[tuple[str, SecretReading]] = []
        self.done: list[Rotation] = []

    def rotate(self, key: str, round_: int) -> None:
        """Rotate a secret from rest to rest, then try the old and the new credential.

        Raises:
            ProcessError: The command failed.
        """
        spec = self._workspace.manifest.find(key)
        before = self._workspace.store.read(spec.name)
        rotation = Rotation(key, round_)
        self.done.append(rotation)
        self._run(spec, rotation)
        self._old.append((key, before))
        after = self._workspace.store.read(spec.name)
        rotation.old, rotation.new = self._answer_to_old(key, before), self._doors[key](after.value)
        done = dict(rotation.steps)
        times = ", ".join(f"{step} {done[step]:.1f} s" for step in _TOLD if step in done)
        self._tell(f"{key:<27} {times}; the old one is {rotation.old}, the new one {rotation.new}")

    def try_all(self) -> tuple[int, list[str]]:
        """Try every old credential once more; return how many were tried, and those that were not refused."""
        alive = []
        for key, reading in self._old:
            answer = self._doors[key](reading.value)
            if answer is not Answer.REFUSED:
                alive.append(f"{key} version {reading.version.id}: {answer}")
        return len(self._old), alive

    def values(self) -> list[bytes]:
        """Return every value that was in use, old and new, for the search for leaks."""
        now = [self._workspace.store.read(self._workspace.manifest.find(key).name) for key in self._doors]
        found = []
        for reading in [*(reading for _, reading in self._old), *now]:
            value = reading.value.reveal()
            found.append((value["password"] if isinstance(value, dict) else reading.value.reveal_text()).encode())
        return found

    def _answer_to_old(self, key: str, reading: SecretReading) -> Answer:
        deadline = time.monotonic() + REVOKED_SECONDS_MAX
        while True:
            answer = self._doors[key](reading.value)
            if answer is not Answer.OPENED or time.monotonic() >= deadline:
                return answer
            time.sleep(0.05)

    def _run(self, spec: SecretSpec, rotation: Rotation) -> None:
        words = [str(COMMAND), "--manifest", str(self._workspace.manifest.path), "rotate", spec.key, "--watch"]
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(ROTATION_SECONDS_MAX, process.terminate)
        watchdog.start()
        for line in process.stdout or ():
            for word in line.split()[:2]:  # a line is: the time, the step, what is to be said of it
                if word in _STEPS:
                    rotation.steps.append(StepTime(word, time.monotonic() - began))
        _, errors = process.communicate()
        watchdog.cancel()
        rotation.seconds = time.monotonic() - began
        if process.returncode:
            raise ProcessError(f"'rotate {spec.key}' ended with {process.returncode}: {errors.strip()}")

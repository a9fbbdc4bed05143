"""The platform's processes: started one by one, each ready before the next, and ended with SIGTERM."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 40


class ProcessError(Exception):
    """A process did not start, or did not end well."""


class Processes:
    """Processes of the example, by service.

    Args:
        manifest: What they find their secrets through.
        environment: What they are told beside that.
        logs: Folder for what each one writes to standard error.
    """

    def __init__(self, manifest: Path, environment: Mapping[str, str], logs: Path) -> None:
        """Start nothing yet."""
        self._environment = {**os.environ, **environment, "VANTAGE_SECRETS_MANIFEST": str(manifest)}
        self._logs = logs
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, service: str, script: str, *arguments: str) -> str:
        """Run a script in the name of ``service`` and return the line that it prints when it is ready.

        Raises:
            ProcessError: It ended instead, or took too long.
        """
        with (self._logs / f"{service}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / script), *arguments],
                env={**self._environment, "VANTAGE_SECRETS_SERVICE": service},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._running[service] = process
        line = ""
        if process.stdout and select.select([process.stdout], [], [], START_SECONDS_MAX)[0]:
            line = process.stdout.readline().strip()
        if not line:
            raise ProcessError(f"{service} did not start: {self._last_words(service)}")
        return line

    def start_service(self, service: str, script: str) -> int:
        """Run a script that serves, and return its port.

        Raises:
            ProcessError: It ended instead.
        """
        return int(self.start(service, script).rpartition(" ")[2])

    def stop(self, *services: str) -> None:
        """End these, all at once, and wait for them.

        Raises:
            ProcessError: One ended with an error, before or now, or did not end.
        """
        stopping = {service: self._running.pop(service) for service in services}
        for process in stopping.values():
            process.send_signal(signal.SIGTERM)
        for service, process in stopping.items():
            try:
                process.communicate(timeout=STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise ProcessError(f"{service} did not end within {STOP_SECONDS_MAX} s.") from None
            if process.returncode:
                raise ProcessError(f"{service} ended with {process.returncode}: {self._last_words(service)}")

    def kill_all(self) -> None:
        """End what is running still, at once. Safe to repeat."""
        for process in self._running.values():
            process.kill()
            process.communicate()
        self._running.clear()

    def _last_words(self, service: str) -> str:
        return (self._logs / f"{service}.log").read_text("utf-8", "replace").strip()[-600:] or "no word"

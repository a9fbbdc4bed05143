"""Environments of processes: what they were started with, and who may not be looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.environment import EnvironmentSource

NOBODY = 65_534
NAME = Path(sys.executable).name[:15]
"""What the kernel calls the process; TASK_COMM_LEN of Linux."""


@contextmanager
def running(environment: dict[bytes, bytes], *arguments: str) -> Iterator[int]:
    """Run a process that waits, and return when its program has begun."""
    program = "print(flush=True); input()"
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_variables_and_arguments_of_a_process_are_read_and_its_places_hold_no_value() -> None:
    value, argument = canary("variable").encode(), canary("argument")
    with running({b"API_TOKEN": value, b"EMPTY": b"", b"N\xff": b"x"}, "--password", argument) as pid:
        coverage = Coverage()
        documents = list(EnvironmentSource(pid).documents(coverage))
    found = {document.place.path: document.data for document in documents}
    assert found["API_TOKEN"] == b"API_TOKEN=" + value
    assert found["EMPTY"] == b"EMPTY="
    assert found["N\\xff"] == b"N\xff=x"
    assert found["arguments"].endswith(f" --password {argument}".encode())
    assert {document.place.source for document in documents} == {f"process {pid} ({NAME})"}
    assert not [one.place for one in documents if value.decode() in str(one.place) or argument in str(one.place)]
    assert coverage.counts == {"process": 1}


def test_all_processes_are_read() -> None:
    value = canary("variable").encode()
    with running({b"API_TOKEN": value}) as pid:
        found = {
            one.place.source: one.data for one in EnvironmentSource(None).documents(Coverage()) if value in one.data
        }
    assert found == {f"process {pid} ({NAME})": b"API_TOKEN=" + value}


def test_a_process_of_somebody_else_is_told_as_not_read() -> None:
    with running({b"API_TOKEN": canary("variable").encode()}) as pid:
        program = f"""
import os
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.sources.environment import EnvironmentSource
os.setgid({NOBODY}); os.setuid({NOBODY})
coverage = Coverage()
print(len(list(EnvironmentSource({pid}).documents(coverage))))
print([(one.place.source, one.reason) for one in coverage.unread])
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["0", f"[('process {pid} ({NAME})', 'permission denied')]"], done.stderr


def test_a_process_that_ends_before_it_is_read_is_told_when_it_was_asked_for() -> None:
    with running({b"A": b"b"}) as pid:
        source = EnvironmentSource(pid)
    coverage = Coverage()
    assert list(source.documents(coverage)) == []
    assert [one.reason for one in coverage.unread] == ["it ended"]


def test_what_stands_where_variables_were_and_has_no_name_is_not_shown() -> None:
    value = canary("title").encode()
    with running({value * 3: b"x"}) as pid:
        documents = list(EnvironmentSource(pid).documents(Coverage()))
    assert {document.place.path: document.data for document in documents}["(no name)"] == value * 3 + b"=x"


@pytest.mark.parametrize("pid", [0, -1, 2**30])
def test_a_process_that_is_not_there_is_refused(pid: int) -> None:
    with pytest.raises(InvalidInputError):
        EnvironmentSource(pid)


def test_a_kernels_view_of_ourselves_has_our_own_variables() -> None:
    found = {document.place.path for document in EnvironmentSource(os.getpid()).documents(Coverage())}
    assert "PATH" in found

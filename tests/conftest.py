"""What all tests share: closed sockets for unit tests, and the search for canary values."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.canary import leaks_below, leaks_in, planted

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background so, and child processes would inherit a Ctrl-C that does nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_OWN_HOME = "VANTAGE_SECRETS_TESTS_HOME"


def pytest_configure(config: pytest.Config) -> None:
    """Give all tests, of every worker, one place for compiled rules and a fingerprint key, and none of the user's."""
    if _OWN_HOME not in os.environ:
        home = tempfile.mkdtemp(prefix="vantage-secrets-tests-")
        os.environ |= {
            _OWN_HOME: home,
            "VANTAGE_SECRETS_CACHE_FOLDER": f"{home}/cache",
            "XDG_CONFIG_HOME": f"{home}/config",
        }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it when the last worker has ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_OWN_HOME), ignore_errors=True)


_OFFLINE = ("unit", "property", "contract", "crash")


@pytest.fixture(autouse=True)
def closed_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests run without a network; Unix sockets stay, event loops need them."""
    folder = Path(request.node.path).relative_to(Path(__file__).parent).parts[0]
    if folder not in _OFFLINE:
        return

    def refuse(self: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"a unit test opened a connection to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(autouse=True)
def no_canary_in_files_and_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test: no planted value in its log, nor in a file that it wrote."""
    caplog.set_level(logging.DEBUG)
    before = len(planted())
    yield
    values = planted()[before:]
    # What a handler of somebody else's could write: the text, and everything that a record carries beside it.
    carried = "\n".join([caplog.text, *(repr(vars(record)) for record in caplog.records)])
    found = leaks_below(tmp_path, values) + leaks_in(carried.encode("utf-8", "replace"), values)
    assert not found, f"a secret value was written: {found}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A report whose captured output, traceback or assertion text holds a planted value becomes a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    text = "\n".join([str(report.longrepr or ""), *(content for _title, content in report.sections)])
    found = leaks_in(text.encode("utf-8", "replace"), planted())
    if found:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a secret value stood in the output, log or traceback of {call.when}: {found}"
        report.sections = []

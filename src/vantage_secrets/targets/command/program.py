"""One run of a program: something in, something out, in bounded time and of bounded length."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import NamedTuple

from vantage_secrets.errors import RotationError, TargetUnavailableError

OUTPUT_BYTES_MAX = 65_536
"""Longest answer: several times the largest value, written in JSON."""

_PIECE_BYTES = 65_536


class Outcome(NamedTuple):
    """How a program ended.

    Attributes:
        exit_code: Its exit code; negative when a signal ended it.
        output: What it wrote on standard output.
        complaint_bytes: How much it wrote on standard error; the text may hold values and is not kept.
    """

    exit_code: int
    output: bytes
    complaint_bytes: int


def run_program(command: tuple[str, ...], request: bytes, *, seconds_max: float) -> Outcome:
    """Start the program, give it ``request``, and return how it ended; nothing that it started lives on.

    SECURITY: the request holds values. It goes through a pipe, never into arguments, environment or a file.

    Raises:
        RotationError: It cannot be started, or answers with more than 65,536 bytes.
        TargetUnavailableError: It did not end in time.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the manifest's own command, and no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as exc:
        raise RotationError(
            f"'{command[0]}' cannot be started: {exc.strerror}.",
            hint="Name a program that this user may start, by its full path, under command.",
        ) from exc
    try:
        return _Conversation(process, request).hold(command[0], time.monotonic() + seconds_max)
    finally:
        # Before it is waited for, so that the number of its group cannot belong to anybody else.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):  # what it never read is thrown away
                pipe.close()  # type: ignore[union-attr]


class _Conversation:
    """Writes and reads whatever is ready, so that neither side waits for the other for ever."""

    def __init__(self, process: subprocess.Popen[bytes], request: bytes) -> None:
        self._process = process
        self._left = memoryview(request)
        self._output = bytearray()
        self._complaint_bytes = 0
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)

    def hold(self, name: str, deadline: float) -> Outcome:
        """Return when the program has ended, whoever else still holds its pipes."""
        ended = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(ended, selectors.EVENT_READ)
                selector.register(self._stdin, selectors.EVENT_WRITE, self._write)
                selector.register(self._stdout, selectors.EVENT_READ, self._read)
                selector.register(self._stderr, selectors.EVENT_READ, self._read_complaint)
                while not self._step(selector, ended, deadline - time.monotonic()):
                    if time.monotonic() >= deadline:
                        raise TargetUnavailableError(f"'{name}' did not end in time and was killed.")
                    self._check_length(name)
        finally:
            os.close(ended)
        while self._read():  # what was still in the pipe; somebody else may hold it open and write on
            self._check_length(name)
        self._read_complaint()
        return Outcome(self._exit_code(), bytes(self._output), self._complaint_bytes)

    def _step(self, selector: selectors.BaseSelector, ended: int, seconds: float) -> bool:
        """Do what is ready, and return whether the program has ended."""
        ready = selector.select(max(0.0, seconds))
        for key, _ in ready:
            if key.data is not None and not key.data():
                selector.unregister(key.fileobj)
        return any(key.fd == ended for key, _ in ready)

    def _write(self) -> bool:
        """Return whether there is more to write."""
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left[:_PIECE_BYTES]) :]
        except BrokenPipeError:  # it does not want to read all of it
            self._left = self._left[:0]
        if not self._left:
            with suppress(BrokenPipeError):
                self._stdin.close()
        return bool(self._left)

    def _read(self) -> bool:
        """Return whether there may be more."""
        piece = _read_from(self._stdout.fileno())
        self._output += piece
        return bool(piece)

    def _read_complaint(self) -> bool:
        piece = _read_from(self._stderr.fileno())
        self._complaint_bytes += len(piece)
        return bool(piece)

    def _check_length(self, name: str) -> None:
        if len(self._output) > OUTPUT_BYTES_MAX:
            raise RotationError(
                f"'{name}' answered with more than {OUTPUT_BYTES_MAX:,} bytes and was killed.",
                hint="Let it write one JSON object on standard output, and everything else on standard error.",
            )

    def _exit_code(self) -> int:
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        assert found is not None  # without WNOHANG there is always an answer
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _read_from(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE_BYTES)
    except BlockingIOError:
        return b""

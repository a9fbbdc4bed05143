"""Kills a child process at its N-th write: a small ptrace tracer (ptrace(2), Linux, x86_64 and aarch64).

A child that is killed on entry to a system call has done everything before it and nothing of it. Counting the
calls that change a file, and killing at each of them in turn, therefore tries every state that a crash of the
process can leave on disk.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

_TRACEME, _CONT_SYSCALL, _SETOPTIONS, _GETREGSET = 0, 24, 0x4200, 0x4204
_SYSGOOD, _EXITKILL = 0x1, 0x100000
_NT_PRSTATUS = 1
_SYSCALL_STOP = signal.SIGTRAP | 0x80

_WRITES = {
    "x86_64": {
        1: "write",
        18: "pwrite64",
        20: "writev",
        74: "fsync",
        75: "fdatasync",
        76: "truncate",
        77: "ftruncate",
        82: "rename",
        83: "mkdir",
        84: "rmdir",
        86: "link",
        87: "unlink",
        91: "fchmod",
        258: "mkdirat",
        263: "unlinkat",
        264: "renameat",
        265: "linkat",
        285: "fallocate",
        296: "pwritev",
        316: "renameat2",
    },
    "aarch64": {
        34: "mkdirat",
        35: "unlinkat",
        37: "linkat",
        38: "renameat",
        45: "truncate",
        46: "ftruncate",
        47: "fallocate",
        52: "fchmod",
        64: "write",
        66: "writev",
        68: "pwrite64",
        70: "pwritev",
        82: "fsync",
        83: "fdatasync",
        276: "renameat2",
    },
}[platform.machine()]
"""System calls that change what is on disk, from the kernel's tables of either machine."""

# Places of (call number, first argument) among the general registers, 8 bytes each: struct user_regs_struct has
# orig_rax and rdi there; struct user_pt_regs has x8 and x0.
_NUMBER_AT, _ARGUMENT_AT = {"x86_64": (15, 14), "aarch64": (8, 0)}[platform.machine()]


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@dataclass(frozen=True)
class Run:
    """How a traced child ended.

    Attributes:
        finished_count: How many steps it reported as finished.
        writes: Names of the write calls that it began, in order; the last one never happened if it was killed.
        was_killed: Whether it was killed at a write, rather than ending by itself.
    """

    finished_count: int
    writes: tuple[str, ...]
    was_killed: bool


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def run_traced(steps: Callable[[Callable[[], None]], None], kill_at: int | None) -> Run:
    """Return how a child ended that ran ``steps`` and was killed on entry to write number ``kill_at``, from 0.

    Args:
        steps: Called in the child with a function that reports one step as finished.
        kill_at: Which write to kill at; ``None`` lets the child finish.

    Raises:
        AssertionError: The child ended by itself with an error; its traceback is on stderr.
    """
    reports, report = os.pipe()
    child = os.fork()
    if child == 0:
        _be_traced(steps, report)
    os.close(report)
    try:
        writes, status = _follow(child, report, kill_at)
        finished_count = len(os.read(reports, 65_536))
    finally:
        os.close(reports)
    was_killed = os.WIFSIGNALED(status)
    assert was_killed or os.WEXITSTATUS(status) == 0, "the child failed; see its traceback"
    return Run(finished_count, tuple(writes), was_killed)


def _be_traced(steps: Callable[[Callable[[], None]], None], report: int) -> None:
    code = 1
    try:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        steps(lambda: os.write(report, b".") and None)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _follow(child: int, report: int, kill_at: int | None) -> tuple[list[str], int]:
    """Let the child run from system call to system call; return its writes and its wait status."""
    os.waitpid(child, 0)
    _ptrace(_SETOPTIONS, child, 0, _SYSGOOD | _EXITKILL)
    writes: list[str] = []
    entering, passed_on = True, 0
    while True:
        _ptrace(_CONT_SYSCALL, child, 0, passed_on)
        _pid, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return writes, status
        passed_on = 0
        if os.WSTOPSIG(status) != _SYSCALL_STOP:
            passed_on = os.WSTOPSIG(status)
            continue
        if entering:
            number, argument = _call(child)
            if number in _WRITES and not (_WRITES[number] == "write" and argument in (1, 2, report)):
                writes.append(_WRITES[number])
                if len(writes) - 1 == kill_at:
                    os.kill(child, signal.SIGKILL)
                    return writes, os.waitpid(child, 0)[1]
        entering = not entering


def _call(child: int) -> tuple[int, int]:
    """Return number and first argument of the system call that the child is entering."""
    registers = (ctypes.c_uint64 * 64)()
    vector = _Vector(ctypes.addressof(registers), ctypes.sizeof(registers))
    _ptrace(_GETREGSET, child, _NT_PRSTATUS, ctypes.addressof(vector))
    return registers[_NUMBER_AT], registers[_ARGUMENT_AT]


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, pid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace request {request}: {os.strerror(number)}")

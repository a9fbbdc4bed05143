"""Work on several cores, in processes that are copies of this one.

What examines a history is Python between short calls of fast libraries, so threads would wait for each other. A copy
(fork(2)) has the compiled rules, our own values and the list of objects at once, and nothing is written to a disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import pickle
import selectors
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Generic, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_NUMBER = struct.Struct("=I")


class Processes(Generic[Item, Result]):
    """Processes at work, from when this is made.

    The work is done in this process, when it is asked for, where a copy would not be sound: where there are other
    threads, which may hold locks that nobody would give back in the copy.

    Args:
        count: How many processes; none for one.
        items: What they work on, each on the next one that nobody has begun.
        work: Yields a result for each item that it is given.
    """

    def __init__(self, count: int, items: Sequence[Item], work: Callable[[Iterator[Item]], Iterator[Result]]) -> None:
        self._items = items
        self._work = work
        self._answers: dict[int, BinaryIO] = {}
        if count < 2 or not items or threading.active_count() > 1:
            return
        # All processes share the place that they read from: who reads a number has that item.
        numbers = os.memfd_create("numbers")
        os.write(numbers, b"".join(map(_NUMBER.pack, range(len(items)))))
        os.lseek(numbers, 0, os.SEEK_SET)
        for _process in range(min(count, len(items))):
            reading, writing = os.pipe()
            pid = os.fork()
            if not pid:
                self._run(numbers, writing)
            os.close(writing)
            self._answers[pid] = os.fdopen(reading, "rb")
        os.close(numbers)

    def results(self) -> Iterator[tuple[Item, Result | None]]:
        """Yield each item with its result, as they come; nothing for those whose process was ended before it was done.

        Raises:
            Exception: What the work raised, in whichever process.
        """
        if not self._answers:
            yield from zip(self._items, self._work(iter(self._items)), strict=True)
            return
        left = dict(enumerate(self._items))
        try:
            for message in self._messages():
                if isinstance(message, BaseException):
                    raise message
                number, result = message
                yield left.pop(number), result
        finally:
            self.stop()
        yield from ((item, None) for item in left.values())

    def stop(self) -> None:
        """End the processes."""
        for pid, answers in self._answers.items():
            answers.close()
            os.kill(pid, signal.SIGKILL)  # as long as nobody waited for it, nobody else has its number
            os.waitpid(pid, 0)
        self._answers = {}

    def _messages(self) -> Iterator[Any]:
        with selectors.DefaultSelector() as selector:
            for answers in self._answers.values():
                selector.register(answers, selectors.EVENT_READ, answers)
            while selector.get_map():
                for key, _events in selector.select():
                    message = _message(key.data)
                    if message is None:
                        selector.unregister(key.data)
                    else:
                        yield message

    def _run(self, numbers: int, writing: int) -> NoReturn:
        """Be one of the processes, to the end."""
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            gc.freeze()  # what was there before stays shared
            with os.fdopen(writing, "wb") as answers:
                self._answer(numbers, answers)
        finally:
            os._exit(0)  # nothing of the process that this is a copy of is to be ended

    def _answer(self, numbers: int, answers: BinaryIO) -> None:
        taken: list[int] = []

        def items() -> Iterator[Item]:
            while number := _next(numbers):
                taken.append(_NUMBER.unpack(number)[0])
                yield self._items[taken[-1]]

        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            try:
                for result in self._work(items()):
                    _send(answers, (taken[-1], result))
            except BaseException as error:
                _send(answers, _plain(error))


def _next(numbers: int) -> bytes:
    """Return the next number; the kernel does not see to it that two processes get different ones (memfd_create(2))."""
    fcntl.lockf(numbers, fcntl.LOCK_EX)
    try:
        return os.read(numbers, _NUMBER.size)
    finally:
        fcntl.lockf(numbers, fcntl.LOCK_UN)


def _send(answers: BinaryIO, message: object) -> None:
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    answers.write(_NUMBER.pack(len(content)) + content)
    answers.flush()


def _message(answers: BinaryIO) -> Any:
    """Return the next message of a process; nothing when it has ended."""
    head = answers.read(_NUMBER.size)
    if len(head) < _NUMBER.size:
        return None
    length = _NUMBER.unpack(head)[0]
    content = answers.read(length)
    return pickle.loads(content) if len(content) == length else None  # noqa: S301 - a copy of this process wrote it


def _plain(error: BaseException) -> BaseException:
    """Return ``error``, or what it says where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - only whether it can
    except Exception:  # pickling runs what the error's own class says, which may raise anything
        return RuntimeError(f"{type(error).__name__} in a process at work")
    return error

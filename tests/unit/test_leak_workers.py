"""Processes that are copies of this one do each item once, and what becomes of them is always told."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from vantage_secrets.leaks.history import workers
from vantage_secrets.leaks.history.workers import Processes

COUNTS = pytest.mark.parametrize("count", [1, 2, 3])
SEVERAL = pytest.mark.parametrize("count", [2, 3])
PARENT = os.getpid()
_active_count = threading.active_count


@pytest.fixture(autouse=True)
def no_threads_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests before left running, the processes here are real ones."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes that were made."""
    fork, pids = os.fork, []

    def recording() -> int:
        pid = fork()
        if pid:
            pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", recording)
    return pids


def are_gone(pids: list[int]) -> bool:
    """Whether nobody needs to wait for any of these children any more."""
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
        return False
    return True


def descriptors() -> set[str]:
    """Return what is open, by what it is: the numbers change when others close what they left."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder that was just listed
            found.add(str(each.readlink()))
    return found


def die() -> NoReturn:
    """End this process, which is not that of the tests, as the kernel does when memory is short."""
    assert os.getpid() != PARENT
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is dead")


def squares(items: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Work that tells who did it."""
    for item in items:
        yield os.getpid(), item * item


def work_that(act: Callable[[int], object]) -> Callable[[Iterator[int]], Iterator[Any]]:
    """Return work that does this with each item."""

    def work(items: Iterator[int]) -> Iterator[Any]:
        for item in items:
            yield act(item)

    return work


# results


@COUNTS
@pytest.mark.parametrize("item_count", [0, 1, 2, 500])
def test_each_item_comes_once_with_its_result(count: int, item_count: int, forked: list[int]) -> None:
    done = list(Processes(count, range(item_count), squares).results())
    assert Counter(item for item, _result in done) == Counter(range(item_count))
    assert all(result is not None and result[1] == item * item for item, result in done)
    assert len(forked) == (min(count, item_count) if count > 1 else 0)
    assert {result[0] for _item, result in done if result} <= set(forked or [PARENT])


@SEVERAL
def test_no_two_of_them_take_the_same_item(count: int) -> None:
    for _ in range(10):
        done = list(Processes(count, range(4_000), squares).results())
        assert len(done) == 4_000


@SEVERAL
def test_they_work_at_the_same_time(count: int, forked: list[int]) -> None:
    begun = mmap.mmap(-1, count)

    def wait_for_the_others(item: int) -> int:
        begun[item] = 1
        deadline = time.monotonic() + 60
        while sum(begun[:]) < count:
            assert time.monotonic() < deadline, "nobody else began"
            time.sleep(0.001)
        return os.getpid()

    done = list(Processes(count, range(count), work_that(wait_for_the_others)).results())
    assert {pid for _item, pid in done} == set(forked)


@COUNTS
def test_results_that_no_pipe_can_hold_come_whole(count: int) -> None:
    done = dict(Processes(count, range(12), work_that(lambda item: bytes([item]) * 300_000)).results())
    assert done == {item: bytes([item]) * 300_000 for item in range(12)}


def test_where_there_is_another_thread_it_works_in_this_process(
    monkeypatch: pytest.MonkeyPatch, forked: list[int]
) -> None:
    monkeypatch.setattr(threading, "active_count", _active_count)
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait)
    thread.start()
    try:
        done = list(Processes(3, range(6), squares).results())
    finally:
        may_end.set()
        thread.join()
    assert done == [(item, (PARENT, item * item)) for item in range(6)]
    assert forked == []


# errors


class OddError(Exception):
    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)
        self.text = text


class UnsendableError(Exception):
    def __init__(self) -> None:
        super().__init__("cannot be sent")
        self.lock = threading.Lock()


class OneWayError(Exception):
    """It can be pickled; what comes out at the other end cannot be made of that."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raising(error: BaseException, at: int) -> Callable[[Iterator[int]], Iterator[int]]:
    def act(item: int) -> int:
        if item == at:
            raise error
        return item

    return work_that(act)


@COUNTS
@pytest.mark.parametrize("error", [OddError(7, "odd"), KeyError("k"), KeyboardInterrupt(), SystemExit(4)], ids=repr)
def test_what_the_work_raises_comes_out(count: int, error: BaseException, forked: list[int]) -> None:
    before = descriptors()
    with pytest.raises(type(error)) as caught:
        list(Processes(count, range(20), raising(error, 11)).results())
    assert caught.value.args == error.args
    assert vars(caught.value).get("text") == vars(error).get("text")
    assert are_gone(forked)
    assert descriptors() <= before


@SEVERAL
@pytest.mark.parametrize("error", [UnsendableError(), OneWayError(1, 2)], ids=["pickled", "unpickled"])
def test_an_error_that_cannot_be_sent_comes_out_by_its_name(count: int, error: Exception, forked: list[int]) -> None:
    with pytest.raises(RuntimeError, match=f"^{type(error).__name__} in a process at work$"):
        list(Processes(count, range(20), raising(error, 11)).results())
    assert are_gone(forked)


@SEVERAL
def test_a_result_that_cannot_be_sent_is_an_error(count: int, forked: list[int]) -> None:
    with pytest.raises(TypeError, match="pickle"):
        list(Processes(count, range(20), work_that(lambda item: threading.Lock() if item == 3 else item)).results())
    assert are_gone(forked)


@COUNTS
def test_what_is_raised_before_the_first_item_comes_out(count: int, forked: list[int]) -> None:
    def work(items: Iterator[int]) -> Iterator[int]:
        raise OddError(1, "before")
        yield from items

    with pytest.raises(OddError):
        list(Processes(count, range(20), work).results())
    assert are_gone(forked)


# processes that are killed


@SEVERAL
@pytest.mark.parametrize("killed_at", [0, 7, 39])
def test_what_a_killed_process_had_comes_without_a_result(count: int, killed_at: int, forked: list[int]) -> None:
    work = work_that(lambda item: die() if item == killed_at else item + 1)
    done = list(Processes(count, range(40), work).results())
    assert sorted(item for item, _result in done) == list(range(40))
    assert dict(done) == {item: item + 1 for item in range(40)} | {killed_at: None}
    assert are_gone(forked)


@SEVERAL
def test_when_all_are_killed_nothing_has_a_result(count: int, forked: list[int]) -> None:
    before = descriptors()
    done = list(Processes(count, range(40), work_that(lambda _item: die())).results())
    assert done == [(item, None) for item in range(40)]
    assert are_gone(forked)
    assert descriptors() <= before


@SEVERAL
@pytest.mark.parametrize("sent_bytes", [0, 2, 4, 100])
def test_half_a_result_is_none(count: int, sent_bytes: int, monkeypatch: pytest.MonkeyPatch, forked: list[int]) -> None:
    send = workers._send

    def send_half(answers: Any, message: Any) -> None:
        if message[0] != 5:
            send(answers, message)
            return
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as whole:
            send(whole, message)
        answers.write(os.read(reading, sent_bytes) if sent_bytes else b"")
        answers.flush()
        die()

    monkeypatch.setattr(workers, "_send", send_half)
    done = dict(Processes(count, range(10), work_that(lambda item: "x" * 1_000 + str(item))).results())
    assert done == {item: "x" * 1_000 + str(item) for item in range(10)} | {5: None}
    assert are_gone(forked)


# the end


def wait_for_ever(_item: int) -> None:
    signal.pause()


@SEVERAL
def test_stop_ends_those_that_are_at_work(count: int, forked: list[int]) -> None:
    before = descriptors()
    processes = Processes(count, range(10), work_that(wait_for_ever))
    assert len(forked) == count
    processes.stop()
    assert are_gone(forked)
    assert descriptors() <= before
    processes.stop()


@SEVERAL
def test_nobody_is_left_when_the_results_have_come(count: int, forked: list[int]) -> None:
    before = descriptors()
    list(Processes(count, range(10), squares).results())
    assert len(forked) == count
    assert are_gone(forked)
    assert descriptors() <= before


@SEVERAL
def test_nobody_is_left_when_the_results_are_not_wanted_any_more(count: int, forked: list[int]) -> None:
    work = work_that(lambda item: signal.pause() if item else item)
    results = Processes(count, range(10), work).results()
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined]
    assert are_gone(forked)


@SEVERAL
def test_nothing_that_the_caller_has_open_is_ended_in_the_copies(count: int) -> None:
    ended = mmap.mmap(-1, 1)
    try:
        list(Processes(count, range(10), squares).results())
        with pytest.raises(OddError):
            list(Processes(count, range(10), raising(OddError(1, "odd"), 5)).results())
        assert ended[0] == 0, "a copy came as far as here"
    finally:
        if os.getpid() != PARENT:
            ended[0] = 1
            os._exit(1)

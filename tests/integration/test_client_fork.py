"""A client across real forks, as gunicorn's preload, uvicorn's workers and multiprocessing make them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.bootstrap import initialise, open_workspace
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import SecretNotFoundError
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.testing import MemoryStore

KEY = SecretName("vantage/api-key")
OTHER = SecretName("vantage/collector-token")
PATIENCE = 20.0


def until(true: Callable[[], bool]) -> None:
    ticks = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if true():
            return
        ticks.wait(0.002)
    raise AssertionError("it did not come true")


def in_a_fork(child: Callable[[], object]) -> None:
    """Run ``child`` in a fork of this process; fail when it raises, or does not end."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status: list[int] = []

    def has_ended() -> bool:
        found, code = os.waitpid(pid, os.WNOHANG)
        status.extend([code] if found else [])
        return bool(found)

    try:
        until(has_ended)
    except AssertionError:
        os.kill(pid, signal.SIGABRT)  # pytest's fault handler writes down where it hangs
        os.waitpid(pid, 0)
        raise AssertionError("the forked child hangs") from None
    assert status == [0]


@contextmanager
def busy(*works: Callable[[], object]) -> Iterator[None]:
    """Do all of ``works`` over and over in threads until the block ends."""
    ended = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not ended.is_set():
            work()

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_child_keeps_the_values_and_starts_its_own_refresh_though_the_parents_was_in_the_middle_of_a_read() -> None:
    value, newer = canary(), canary("newer")
    store = MemoryStore({str(KEY): value})
    inside, go_on = threading.Event(), threading.Event()

    def hold(_name: SecretName) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    with SecretClient(store, refresh_interval=timedelta(milliseconds=10), max_stale=timedelta(hours=1)) as client:
        client.get(KEY)
        store.before_read = hold
        assert inside.wait(PATIENCE)

        def child() -> None:
            store.before_read = None
            assert threading.active_count() == 1
            assert client.get("vantage/api-key").matches(value)
            assert threading.active_count() == 2
            store.put(KEY, newer)
            until(lambda: client.get("vantage/api-key").matches(newer))
            client.close()
            assert threading.active_count() == 1

        in_a_fork(child)
        go_on.set()
    assert client.is_closed


def test_a_child_reads_what_a_thread_of_its_parent_was_just_reading() -> None:
    value = canary()
    store = MemoryStore({str(KEY): value})
    inside, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    def hold(_name: SecretName) -> None:
        if os.getpid() == parent:
            inside.set()
            assert go_on.wait(PATIENCE)

    store.before_read = hold
    with SecretClient(store, background=False) as client:
        reader = threading.Thread(target=client.get, args=(KEY,))
        reader.start()
        assert inside.wait(PATIENCE)

        def child() -> None:
            assert client.get(KEY).matches(value)
            assert client.validate(KEY, value)

        in_a_fork(child)
        go_on.set()
        reader.join()
        assert client.get(KEY).matches(value)


def test_no_lock_of_a_busy_client_is_left_locked_in_a_child() -> None:
    value = canary()
    store = MemoryStore({str(KEY): value, str(OTHER): canary()})
    with SecretClient(store, refresh_interval=timedelta(milliseconds=1), max_stale=timedelta(hours=1)) as client:
        client.get(KEY)

        def subscribe() -> None:
            client.on_change(KEY, lambda _reading: None)()

        def miss() -> None:
            with pytest.raises(SecretNotFoundError):
                client.get("vantage/nothing")

        def rotate() -> None:
            store.put(OTHER, SecretValue(value))
            client.refresh()

        def child() -> None:
            assert client.get("vantage/api-key").matches(value)
            assert client.validate(KEY, value)
            assert client.validate(KEY, "wrong") is False
            client.on_change(KEY, lambda _reading: None)()
            client.refresh()
            assert client.stats().store_reads > 0
            with pytest.raises(SecretNotFoundError):
                client.get("vantage/nothing")
            client.close()

        with busy(subscribe, miss, rotate, lambda: client.validate(KEY, "wrong"), client.stats):
            for _ in range(40):
                in_a_fork(child)


def test_a_fork_of_a_fork_reads_as_well() -> None:
    value = canary()
    with SecretClient(MemoryStore({str(KEY): value})) as client:
        client.get(KEY)

        def child() -> None:
            assert client.get(KEY).matches(value)
            in_a_fork(lambda: client.validate(KEY, value) or os._exit(1))

        in_a_fork(child)


def test_a_change_that_was_being_told_when_the_process_forked_is_told_in_the_child() -> None:
    store = MemoryStore({str(KEY): canary()})
    inside, go_on = threading.Event(), threading.Event()
    told: list[str] = []
    parent = os.getpid()
    with SecretClient(store, background=False) as client:

        def slow(_reading: object) -> None:
            if os.getpid() == parent:
                inside.set()
                assert go_on.wait(PATIENCE)
            told.append("change")

        client.on_change(KEY, slow)
        store.put(KEY, canary())
        refreshing = threading.Thread(target=client.refresh, args=(KEY,))
        refreshing.start()
        assert inside.wait(PATIENCE)

        def child() -> None:
            client.refresh(KEY)
            assert told == ["change"]

        in_a_fork(child)
        go_on.set()
        refreshing.join()
        assert told == ["change"]


def _read_in_worker(client: SecretClient, value: SecretValue) -> None:
    assert client.get(KEY) == value
    client.refresh()


def test_processes_of_multiprocessing_read_from_the_inherited_client() -> None:
    value = canary()
    context = multiprocessing.get_context("fork")
    with SecretClient(MemoryStore({str(KEY): value})) as client:
        client.get(KEY)
        workers = [context.Process(target=_read_in_worker, args=(client, SecretValue(value))) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENCE)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]


def test_children_read_refresh_and_validate_over_the_embedded_store_while_the_parent_is_busy(tmp_path: Path) -> None:
    value = canary()
    initialise(tmp_path, environment="test")
    workspace = open_workspace(tmp_path / "vantage-secrets.toml", why="test")
    staged = workspace.store.stage(KEY, SecretValue(value), "first")
    workspace.store.promote(KEY, staged.id, expect_current=None)
    with workspace.client() as client:
        client.get("VANTAGE_API_KEY")

        def child() -> None:
            assert client.get("VANTAGE_API_KEY").matches(value)
            assert client.refresh() == ()
            assert client.validate("VANTAGE_API_KEY", value)
            assert client.validate("VANTAGE_API_KEY", "wrong") is False
            client.close()

        with busy(client.refresh, lambda: client.validate("VANTAGE_API_KEY", "wrong")):
            for _ in range(5):
                in_a_fork(child)
    workspace.close()

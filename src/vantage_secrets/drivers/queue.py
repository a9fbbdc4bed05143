"""Workers for a fleet: any number of processes take rotations from one queue in PostgreSQL, and any may die.

Procrastinate keeps the queue. Once a minute one worker asks what is due and queues one job for each such secret; a
job calls the same reconcile as every other driver. A job's arguments are names and ids of versions, never a value.

A job that is done a second time, because its worker died, asks the store first: a rotation begins only from the
version that was found due, so that a secret is rotated once. What fails is tried again when the control database
says so, as with every driver: Procrastinate's own retries are not used, because a job that it would try again while
another one for the same secret waits could not be put back.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vantage_secrets.bootstrap import Workspace
from vantage_secrets.drivers.queue_place import QueuePlace
from vantage_secrets.drivers.scheduler import tell_people, ticker_of, words_of
from vantage_secrets.errors import DatabaseError
from vantage_secrets.rotation.convergence import Ending
from vantage_secrets.rotation.pauses import ALL, Pauses
from vantage_secrets.rotation.tick import BRAKE, Done, TickReport, Work

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.jobs import Job


Teller = Callable[[str], object]
"""Told one line for each thing that happened."""

_RECONCILE: Final = "reconcile"
_TICK_LOCK: Final = ":tick"  # No secret's name begins with a colon.
_RESCUE_LOCK: Final = ":rescue"
_BEFORE_ROTATIONS: Final = 100
"""Priority of the work that finds work: behind a thousand rotations it would come too late."""


class Pace(NamedTuple):
    """How often things happen, in seconds.

    The job of a worker that was killed is in another one's hands ``stalled + rescue + 1`` seconds later at the most,
    where another one is free; Procrastinate's own clock accounts for the last one.

    Attributes:
        tick: How often the queue is filled: 1 to 59, or whole minutes.
        rescue: How often dead workers' jobs are looked for, 1 to 59.
        heartbeat: How often a worker says that it lives.
        stalled: After how long without a word it counts as dead; several heartbeats.
    """

    tick: int = 60
    rescue: int = 10
    heartbeat: float = 5.0
    stalled: float = 20.0


class Fleet:
    """One worker process of a fleet.

    Args:
        place: The queue.
        open_workspace: Opens the manifest's workspace; called once for each rotation that runs at the same time, and
            again after a failure and when the manifest has changed.
        concurrency: How many rotations run at the same time, each in a thread.
        pace: How often things happen.
        tell: Told one line for each thing that happened.
    """

    def __init__(
        self,
        place: QueuePlace,
        open_workspace: Callable[[], Workspace],
        *,
        concurrency: int = 1,
        pace: Pace | None = None,
        tell: Teller,
    ) -> None:
        """Define the tasks."""
        self._concurrency = concurrency
        self._pace = pace or Pace()
        self._tell = tell
        self._workspaces = Workspaces(open_workspace)
        self._app = place.app()
        self._define(self._app)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish the rotations that are running; a second signal ends at once.

        Raises:
            DatabaseError: The control database went away; jobs in the queue are safe.
        """
        from procrastinate.exceptions import ConnectorException

        for name in ("procrastinate", "psycopg", "asyncio"):
            # Where nobody has set up logging, Python would print their tracebacks between our lines.
            logging.getLogger(name).addHandler(logging.NullHandler())
        try:
            asyncio.run(self._run())
        except ConnectorException as exc:
            raise _lost(type(exc.__cause__ or exc).__name__) from None
        finally:
            self._workspaces.close()

    async def _run(self) -> None:
        from procrastinate.worker import Worker

        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(self._concurrency + 1))  # one more for the tick
        async with self._app.open_async():
            worker = Worker(
                self._app,
                concurrency=self._concurrency,
                delete_jobs="always",  # what failed is told by the control database and the audit log
                install_signal_handlers=False,
                update_heartbeat_interval=self._pace.heartbeat,
                stalled_worker_timeout=self._pace.stalled,
            )
            stopped = self._stop_on_signals(loop, worker)
            self._tell(f"Working, {self._concurrency} at a time.")
            await worker.run()  # type: ignore[no-untyped-call]  # Procrastinate has not annotated it
            if not stopped.is_set():
                raise _lost("its connection ended")
        self._tell("Stopped.")

    def _stop_on_signals(self, loop: asyncio.AbstractEventLoop, worker: Any) -> asyncio.Event:
        stopped = asyncio.Event()

        def stop() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)  # the second one ends the process
            stopped.set()
            self._tell("Stopping; what is running is finished first.")
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        return stopped

    def _define(self, app: App) -> None:
        app.task(name=_RECONCILE)(self._reconcile)
        tick = app.task(name="tick", lock=_TICK_LOCK, queueing_lock=_TICK_LOCK, priority=_BEFORE_ROTATIONS)(self._tick)
        # No lock: the job of a worker that died while it rescued others would hold it for ever.
        rescue = app.task(name="rescue", queueing_lock=_RESCUE_LOCK, priority=_BEFORE_ROTATIONS)(self._rescue)
        app.periodic(cron=_cron(self._pace.tick))(tick)
        app.periodic(cron=_cron(self._pace.rescue))(rescue)

    # the tasks

    async def _tick(self, timestamp: int) -> None:  # noqa: ARG002 - Procrastinate passes it
        """Queue one job for each secret that something is to be done about now, unless it has one."""
        found = await asyncio.to_thread(self._find_work)
        queued = {job.lock for job in await self._app.job_manager.list_jobs_async(task=_RECONCILE)}
        if jobs := [self._job(work) for work in found if str(work.spec.name) not in queued]:
            await self._queue(jobs)
            self._tell(f"Queued {len(jobs)}.")

    def _job(self, work: Work) -> Job:
        name = str(work.spec.name)
        task = self._app.configure_task(_RECONCILE, lock=name, queueing_lock=name)
        return task.make_new_job(secret=name, begin=work.begin, version_id=work.version_id)

    async def _queue(self, jobs: list[Job]) -> None:
        """Queue the jobs; one that has been queued meanwhile stays as it is."""
        from procrastinate.exceptions import AlreadyEnqueued

        manager = self._app.job_manager
        try:
            await manager.batch_defer_jobs_async(jobs)
        except AlreadyEnqueued:
            for job in jobs:
                with suppress(AlreadyEnqueued):
                    await manager.defer_job_async(job)

    async def _rescue(self, timestamp: int) -> None:  # noqa: ARG002 - Procrastinate passes it
        """Put the jobs of dead workers back into the queue."""
        from procrastinate.exceptions import ConnectorException, UniqueViolation
        from procrastinate.jobs import Status

        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._pace.stalled):
            with suppress(ConnectorException):  # another worker was first
                try:
                    if job.task_name == _RECONCILE:
                        await manager.retry_job(job)
                        self._tell(f"{job.lock}: its worker died; it is queued again.")
                        continue
                except UniqueViolation:
                    pass  # the same secret is queued already
                await manager.finish_job(job, Status.FAILED, delete_job=True)

    def _reconcile(self, secret: str, begin: bool, version_id: str | None) -> None:
        try:
            with self._workspaces.lent() as workspace:
                work = Work(workspace.manifest.find(secret), begin, version_id)
                done = do_work(workspace, work, tell=self._tell)
        except Exception as error:  # such as a secret that the manifest no longer has
            self._tell(f"{secret}: failed: {words_of(error)}")
        else:
            self._tell(f"{secret}: {_words(done)}")

    def _find_work(self) -> list[Work]:
        try:
            with self._workspaces.lent() as workspace:
                return find_work(workspace, tell=self._tell)
        except Exception as error:
            self._tell(f"What is to be done could not be found out: {words_of(error)}")
            return []


class Workspaces:
    """Open workspaces that wait for work, so that a thread has one of its own while it rotates.

    Args:
        open_one: Opens another.
    """

    def __init__(self, open_one: Callable[[], Workspace]) -> None:
        """Open none yet."""
        self._open_one = open_one
        self._lock = threading.Lock()
        self._idle: list[tuple[int, Workspace]] = []

    @contextmanager
    def lent(self) -> Iterator[Workspace]:
        """Give an open workspace; one that saw a failure, or an older manifest, is closed and not given again."""
        with self._lock:
            written, workspace = self._idle.pop() if self._idle else (0, None)
        if workspace is not None and written != _written(workspace):
            workspace.close()
            workspace = None
        workspace = workspace or self._open_one()
        written = _written(workspace)
        try:
            yield workspace
        except BaseException:
            workspace.close()
            raise
        with self._lock:
            self._idle.append((written, workspace))

    def close(self) -> None:
        """Close those that wait. Safe to repeat."""
        with self._lock:
            while self._idle:
                self._idle.pop()[1].close()


def find_work(workspace: Workspace, *, tell: Teller) -> list[Work]:
    """Return what is to be done now, and tell people what they should know.

    Raises:
        StoreError: The store was asked for what is not known, and did not answer.
        DatabaseError: The control database failed.
    """
    at, ticker = workspace.clock(), ticker_of(workspace)
    plans = ticker.plans()
    found = ticker.work(plans)
    brake = Pauses(workspace.database).all().get(ALL)
    report = TickReport(at, plans, (), brake if brake and brake.actor == BRAKE else None)
    for sentence in tell_people(workspace, report):
        tell(sentence)
    return found


def do_work(workspace: Workspace, work: Work, *, tell: Teller) -> Done:
    """Do it, and return what came of it; a failure is counted, told to people, and puts on the brake if need be.

    Raises:
        DatabaseError: The control database failed.
    """
    ticker = ticker_of(workspace)
    try:
        done = Done(work, ticker.do(work))
    except Exception as error:
        done = Done(work, error=error)
    verdict = done.report.verdict if done.report else None
    if done.error is None and (verdict is None or verdict.ending is not Ending.HELD):
        return done  # nothing that people should know
    plans = ticker.plans()
    if done.error is not None:
        ticker.work(plans)  # with the brake on, what is in the queue begins nothing
        workspace.close()  # whatever was wrong with a connection of its own is not wrong with the next one
    own = [plan for plan in plans if plan.spec.key == work.spec.key]
    for sentence in tell_people(workspace, TickReport(workspace.clock(), own, (done,))):
        tell(sentence)
    return done


def _words(done: Done) -> str:
    if done.error is not None:
        return f"failed: {words_of(done.error)}"
    if done.report is None or not done.report.steps:
        return "nothing to do"
    until = done.report.waits_until
    return ", ".join(done.report.steps) + (f"; open until {until:%Y-%m-%d %H:%M:%S} UTC" if until else "; at rest")


def _written(workspace: Workspace) -> int:
    """Return when the manifest was written, nanoseconds; 0 when it is gone, and then what was read of it holds."""
    try:
        return workspace.manifest.path.stat().st_mtime_ns
    except OSError:
        return 0


def _cron(seconds: int) -> str:
    """Return how cron writes "every so many seconds", with Procrastinate's sixth field."""
    return f"* * * * * */{seconds}" if seconds < 60 else f"*/{seconds // 60} * * * *"


def _lost(why: str) -> DatabaseError:
    return DatabaseError(
        f"The control database went away: {why}.", hint="Start the worker again; its jobs are safe in the queue."
    )

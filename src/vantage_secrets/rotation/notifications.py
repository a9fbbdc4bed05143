"""Who is told what: failures, the brake, an overlap that is held, an age limit that comes near. Never a value.

Each is told once for a version. The places are Apprise URLs that the store holds as values.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import NamedTuple

from sqlalchemy import select

from vantage_secrets.clock import Clock, format_duration, utc_now
from vantage_secrets.database import Database, notices_table
from vantage_secrets.errors import MissingExtraError, VantageSecretsError
from vantage_secrets.manifest import Manifest
from vantage_secrets.rotation.convergence import Ending
from vantage_secrets.rotation.pauses import ALL
from vantage_secrets.rotation.schedule import Plan, Standing
from vantage_secrets.rotation.tick import Done, TickReport
from vantage_secrets.secret import SecretName, SecretValue

DELIVERY_SECONDS_MAX = 60
"""After so long a place that does not answer is given up; rotations have gone on meanwhile."""

_CHILD = """
import json, logging, sys
answer_to, sys.stdout = sys.stdout, sys.stderr
logging.disable(logging.CRITICAL)
import apprise
order = json.load(sys.stdin)
answers = []
for url in order["urls"]:
    place = apprise.Apprise()
    answers.append(bool(place.add(url) and place.notify(title=order["title"], body=order["body"])))
json.dump(answers, answer_to)
"""


Deliver = Callable[[list[str], str, str], list[bool]]
"""Gives URLs, title and body to the places, and returns which of them took it."""


class Topic:
    """What a notice is about."""

    FAILED, BRAKE, HELD, AGE = "failed", "brake", "held", "age"


class Notice(NamedTuple):
    """One thing that people are told once.

    Attributes:
        secret: The secret's name, or ``*`` for all.
        topic: One of :class:`Topic`.
        version_id: For which version, so that it is told again of another one.
        title: One line.
        body: What happened and what to do.
    """

    secret: str
    topic: str
    version_id: str
    title: str
    body: str


def notices_of(manifest: Manifest, report: TickReport) -> list[Notice]:
    """Return what people should know after a tick, told already or not."""
    versions = {plan.spec.key: (plan.sighting and plan.sighting.version_id) or "" for plan in report.plans}
    found = [notice for done in report.done for notice in _of_work(done, versions.get(done.work.spec.key, ""))]
    if report.brake is not None:
        body = f"{report.brake.reason}. Nothing begins until a person says so: vantage-secrets schedule resume"
        since = report.brake.since.isoformat(timespec="seconds")
        found.append(Notice(ALL, Topic.BRAKE, since, "Rotations are paused by the brake", body))
    ages = (_age_notice(plan, manifest.notifications.before, report.at) for plan in report.plans)
    return found + [notice for notice in ages if notice is not None]


def _of_work(done: Done, version_id: str) -> Iterator[Notice]:
    spec, report = done.work.spec, done.report
    if done.error is not None:
        # SECURITY: the text of an error that is not ours may hold anything, so only its type is told.
        is_ours = isinstance(done.error, VantageSecretsError)
        words = f"{done.error}\n{done.error.hint}" if is_ours else f"An unexpected {type(done.error).__name__}."  # type: ignore[attr-defined]
        body = f"{words}\nIt is tried again by itself. Look: vantage-secrets schedule"
        yield Notice(str(spec.name), Topic.FAILED, version_id, f"Rotation of {spec.key} failed", body)
    elif report is not None and report.verdict is not None and report.verdict.ending is Ending.HELD:
        current = report.situation.current
        title = f"The old value of {spec.key} is kept beyond its grace"
        end = f"vantage-secrets rotate {spec.key} --finish --grace 0s"
        body = (
            f"{report.verdict.reason}. Both values open the door until everybody has moved.\n"
            f"Who: vantage-secrets who {spec.key}. End it all the same: {end}"
        )
        yield Notice(str(spec.name), Topic.HELD, current.id if current else "", title, body)


def _age_notice(plan: Plan, before: timedelta, now: datetime) -> Notice | None:
    """Return a notice where the maximum age comes near; of what rotates by itself only when it is late."""
    spec, sighting = plan.spec, plan.sighting
    if sighting is None or sighting.oldest_at is None or plan.standing is Standing.UNSEEN:
        return None
    limit_at = sighting.oldest_at + spec.max_age
    if plan.standing not in (Standing.BY_HAND, Standing.PAUSED):
        margin = min(timedelta(days=1), spec.max_age / 10)
        before = min(before, margin / 2)  # by then the old value should have been dead for a while
    if now < limit_at - before:
        return None
    by_hand = plan.standing is Standing.BY_HAND
    left = f"in {format_duration(limit_at - now, parts=2)}" if now < limit_at else "now"
    title = f"{spec.key} reaches its maximum age {left}"
    verb = (
        f"Replace it at its target, then: vantage-secrets set {spec.key}"
        if by_hand
        else "Look: vantage-secrets schedule"
    )
    body = f"Its oldest value that opens the door may be {format_duration(spec.max_age)} old at the most. {verb}"
    return Notice(str(spec.name), Topic.AGE, sighting.version_id or "", title, body)


def check_installed(manifest: Manifest) -> None:
    """Return when what the manifest's ``[notifications]`` need is there.

    Raises:
        MissingExtraError: Apprise is not installed.
    """
    if manifest.notifications.secrets and find_spec("apprise") is None:
        raise MissingExtraError("apprise", "notify")


class Notifier:
    """Tells people. What cannot be told is said in the answer and raises nothing: it never stops a rotation.

    Args:
        database: Where it stands what was told already.
        places: Names of the secrets whose values are Apprise URLs.
        read: Reads one of those; called only when there is something to tell.
        deliver: Gives URLs, title and body to the places, and returns which of them took it.
        clock: The present.
    """

    def __init__(
        self,
        database: Database,
        places: Sequence[SecretName],
        read: Callable[[SecretName], SecretValue],
        *,
        deliver: Deliver | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Keep them."""
        self._database, self._places, self._read, self._clock = database, tuple(places), read, clock
        self._deliver = deliver or deliver_by_apprise

    def tell(self, notices: Iterable[Notice]) -> list[str]:
        """Tell what was not told yet, and return what went wrong with it, a sentence each; empty when all is well.

        A notice that reached one place of several counts as told; one that reached none is tried at the next call.
        """
        if not self._places:
            return []
        try:
            fresh = [notice for notice in notices if not self._was_told(notice)]
            urls, problems = self._urls() if fresh else ([], [])
            for notice in fresh if urls else ():
                with self._database.lock(f"notice {notice.secret} {notice.topic}"):
                    if self._was_told(notice):
                        continue
                    refused = self._tell_one(notice, urls)
                problems += [f"'{notice.title}' was not taken by the place in '{name}'." for name in refused]
                if len(refused) == len(urls):
                    break  # nobody answers, and each try may take a minute
        except VantageSecretsError as error:
            return [f"Nobody could be told: {error.message}"]
        return problems

    def _tell_one(self, notice: Notice, urls: list[tuple[SecretName, str]]) -> list[SecretName]:
        """Return which places did not take it."""
        answers = self._deliver([url for _name, url in urls], notice.title, notice.body)
        if any(answers):
            with self._database.transaction() as connection:
                key = {"secret": notice.secret, "topic": notice.topic, "version_id": notice.version_id}
                connection.execute(notices_table.insert().values(**key, sent_at=self._clock()))
        return [name for (name, _url), is_taken in zip(urls, answers, strict=True) if not is_taken]

    def _was_told(self, notice: Notice) -> bool:
        columns = notices_table.c
        query = select(columns.sent_at).where(
            columns.secret == notice.secret,
            columns.topic == notice.topic,
            columns.version_id == notice.version_id,
        )
        with self._database.transaction(writes=False) as connection:
            return connection.execute(query).first() is not None

    def _urls(self) -> tuple[list[tuple[SecretName, str]], list[str]]:
        """Return each place's URL with the secret that holds it, and a sentence for each that cannot be read."""
        urls, problems = [], []
        for name in self._places:
            try:
                urls.append((name, self._read(name).reveal_text()))
            except VantageSecretsError as error:
                problems.append(f"The place in '{name}' cannot be read: {error.message}")
        return urls, problems


def deliver_by_apprise(urls: list[str], title: str, body: str) -> list[bool]:
    """Return which places took the message.

    SECURITY: Apprise and the clients below it write URLs, which hold passwords and tokens, into their logs and error
    texts, and a plugin may wait for as long as it likes. So it runs in a process of its own, whose words nobody sees;
    the URLs come to it through a pipe, which other users of the machine cannot read, unlike arguments and environment.
    """
    order = json.dumps({"urls": urls, "title": title, "body": body})
    command = [sys.executable, "-P", "-c", _CHILD]  # -P: nothing is imported from the folder that we stand in
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            input=order.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=DELIVERY_SECONDS_MAX,
            check=True,
        )
        answers = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return [False] * len(urls)
    return [answer is True for answer in answers]

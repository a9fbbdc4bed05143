"""What people are told, how often, and what must never stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.canary import canary
from tests.schedule_scene import DAY, MINUTE, START, TickScene, manifest_of, seen, spec
from vantage_secrets.errors import MissingExtraError, StoreUnavailableError, TargetUnavailableError
from vantage_secrets.manifest.model import NotificationSettings
from vantage_secrets.rotation import notifications
from vantage_secrets.rotation.convergence import Ending, Verdict
from vantage_secrets.rotation.notifications import Notice, Notifier, Topic, check_installed, notices_of
from vantage_secrets.rotation.pauses import ALL, Pause
from vantage_secrets.rotation.rotator import RotationReport
from vantage_secrets.rotation.schedule import Schedule
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.rotation.tick import Done, TickReport, Work
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage

KEY, HAND = spec("KEY"), spec("HAND", kind="static")
MAIL, CHAT = SecretName("notify/mail"), SecretName("notify/chat")
MANIFEST = manifest_of(KEY, HAND)._replace(notifications=NotificationSettings((MAIL, CHAT), 7 * DAY))
NOTICE = Notice("test/key", Topic.FAILED, "1", "Rotation of KEY failed", "body")


def _report(now: datetime, *done: Done, brake: Pause | None = None, **pauses: Pause) -> TickReport:
    known = {one.name: seen(START) for one in (KEY, HAND)}
    return TickReport(now, Schedule(MANIFEST).plan(known, pauses, now=now), done, brake)


def _told(report: TickReport) -> list[tuple[str, str]]:
    return [(notice.secret, notice.topic) for notice in notices_of(MANIFEST, report)]


def test_when_all_is_well_nobody_is_told_anything() -> None:
    assert _told(_report(START)) == []


def test_a_failure_is_told_with_what_to_do_and_a_fault_of_ours_without_its_words() -> None:
    value = canary()
    work = Work(KEY, begin=True)
    [ours] = notices_of(MANIFEST, _report(START, Done(work, error=TargetUnavailableError("No answer.", hint="Wait."))))
    assert (ours.version_id, ours.title) == ("1", "Rotation of KEY failed")
    assert ours.body.startswith("No answer.\nWait.\nIt is tried again by itself.")
    [fault] = notices_of(MANIFEST, _report(START, Done(work, error=ZeroDivisionError(value))))
    assert fault.body.startswith("An unexpected ZeroDivisionError.\n")
    assert value not in str(fault)


def test_the_brake_is_told_once_for_each_time_it_holds() -> None:
    brake = Pause(START, "brake", "3 rotations failed: A, B, C")
    [notice] = notices_of(MANIFEST, _report(START, brake=brake))
    assert (notice.secret, notice.topic, notice.version_id) == (ALL, Topic.BRAKE, "2026-03-02T12:00:00+00:00")
    assert "vantage-secrets schedule resume" in notice.body


def test_an_overlap_that_is_held_is_told_with_whom_it_waits_for() -> None:
    current = SecretVersion(KEY.name, "2", Stage.CURRENT, START)
    verdict = Verdict(Ending.HELD, "collector still on the old one", START, START)
    report = RotationReport(KEY.name, (), Situation(None, current, None), START, verdict)
    [notice] = notices_of(MANIFEST, _report(START, Done(Work(KEY, begin=False), report)))
    assert (notice.topic, notice.version_id) == (Topic.HELD, "2")
    assert notice.body.startswith("collector still on the old one.")
    assert "vantage-secrets who KEY" in notice.body
    opened = report.__class__(KEY.name, (), report.situation, START, verdict._replace(ending=Ending.OPEN))
    assert notices_of(MANIFEST, _report(START, Done(Work(KEY, begin=False), opened))) == []


def test_the_age_limit_is_told_of_by_hand_ones_before_and_of_others_only_when_they_are_late() -> None:
    limit = START + 90 * DAY
    assert _told(_report(limit - 7 * DAY - MINUTE)) == []
    assert _told(_report(limit - 7 * DAY)) == [("test/hand", Topic.AGE)]
    late = limit - timedelta(hours=12)  # by then the old one should have been dead for half a day
    assert _told(_report(late - MINUTE)) == [("test/hand", Topic.AGE)]
    assert _told(_report(late)) == [("test/key", Topic.AGE), ("test/hand", Topic.AGE)]
    paused = _report(limit - 7 * DAY, **{ALL: Pause(START, "ada", "a freeze")})
    assert _told(paused) == [("test/key", Topic.AGE), ("test/hand", Topic.AGE)]
    titles = [notice.title for at in (limit - 2 * DAY, limit) for notice in notices_of(MANIFEST, _report(at))]
    assert titles[0] == "HAND reaches its maximum age in 2d"
    assert titles[-1] == "HAND reaches its maximum age now"


class _Post:
    """Places that take what they are given, or do not."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.away: set[str] = set()

    def deliver(self, urls: list[str], title: str, body: str) -> list[bool]:
        self.taken += [(url, title) for url in urls if url not in self.away]
        return [url not in self.away for url in urls]


class _Office:
    def __init__(self, scene: TickScene) -> None:
        self.scene, self.post, self.reads = scene, _Post(), 0
        self.urls = {MAIL: canary("mail-url"), CHAT: canary("chat-url")}
        self.notifier = self.another()

    def another(self) -> Notifier:
        return Notifier(self.scene.database, (MAIL, CHAT), self.read, deliver=self.post.deliver, clock=self.scene.clock)

    def read(self, name: SecretName) -> SecretValue:
        self.reads += 1
        return SecretValue(self.urls[name])


@pytest.fixture
def office() -> Iterator[_Office]:
    with TickScene(MANIFEST) as scene:
        yield _Office(scene)


def test_each_notice_reaches_every_place_once(office: _Office) -> None:
    assert office.notifier.tell([NOTICE]) == []
    assert len(office.post.taken) == 2
    assert office.notifier.tell([NOTICE]) == []
    assert office.another().tell([NOTICE]) == [], "another process"
    assert (len(office.post.taken), office.reads) == (2, 2), "and nothing was read for what was told already"
    office.notifier.tell([NOTICE._replace(version_id="2"), NOTICE._replace(topic=Topic.AGE)])
    assert len(office.post.taken) == 6


def test_a_notice_that_no_place_took_is_tried_again_and_one_that_one_took_is_not(office: _Office) -> None:
    office.post.away = set(office.urls.values())
    problems = office.notifier.tell([NOTICE, NOTICE._replace(version_id="2")])
    assert problems == [
        "'Rotation of KEY failed' was not taken by the place in 'notify/mail'.",
        "'Rotation of KEY failed' was not taken by the place in 'notify/chat'.",
    ], "and the second is not tried where nobody answers"
    office.post.away = {office.urls[MAIL]}
    assert len(office.notifier.tell([NOTICE])) == 1
    assert office.notifier.tell([NOTICE]) == []


def test_a_place_that_cannot_be_read_or_is_no_url_is_a_sentence_and_no_error(office: _Office) -> None:
    def read(name: SecretName) -> SecretValue:
        if name == MAIL:
            raise StoreUnavailableError("The store did not answer.")
        return office.read(name)

    notifier = Notifier(office.scene.database, (MAIL, CHAT), read, deliver=office.post.deliver)
    assert notifier.tell([NOTICE]) == ["The place in 'notify/mail' cannot be read: The store did not answer."]
    assert len(office.post.taken) == 1


def test_a_control_database_that_fails_is_a_sentence_and_no_error(office: _Office) -> None:
    with office.scene.database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE notices")
    assert office.notifier.tell([NOTICE]) == ["Nobody could be told: The control database failed: OperationalError."]


def test_without_apprise_the_extra_is_named_before_anything_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed(MANIFEST)
    monkeypatch.setattr(notifications, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        check_installed(MANIFEST)
    assert caught.value.hint == "pip install 'vantage-secrets[notify]'"
    check_installed(manifest_of(KEY))

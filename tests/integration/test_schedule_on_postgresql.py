"""What the schedule keeps in the control database, it keeps on PostgreSQL too, where several write at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.schedule_scene import DAY, HOUR, START, TickScene, manifest_of, spec
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql_fixtures import (  # noqa: F401  # Fixtures.
    POSTGRESQL_GROUP,
    empty_database_fixture,
    postgresql_fixture,
)
from vantage_secrets.errors import TargetUnavailableError
from vantage_secrets.rotation.notifications import Notice, Notifier, Topic
from vantage_secrets.secret import SecretName, SecretValue

pytestmark = POSTGRESQL_GROUP

SPECS = tuple(spec(f"KEY_{number}", consumers=("web",)) for number in range(6))


@pytest.fixture
def scene(postgresql: PostgresqlServer, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TickScene]:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    with TickScene(
        manifest_of(*SPECS, offset=HOUR), postgresql.url(empty_database, user=postgresql.superuser)
    ) as scene:
        for one in SPECS:
            scene.put(one)
        yield scene


def test_rotations_begin_and_end_an_offset_apart(scene: TickScene) -> None:
    scene.ticker.tick()
    scene.clock.advance(88 * DAY - 6 * HOUR)
    begun = []
    for _ in range(7):
        begun += [[done.work.spec.key for done in scene.ticker.tick().done]]
        scene.clock.advance(HOUR)
    assert sorted(filter(None, begun)) == [[one.key] for one in SPECS], "one at a time, and each"


def test_failures_are_counted_and_the_brake_holds(scene: TickScene) -> None:
    scene.broken = {one.key: TargetUnavailableError("No answer.") for one in SPECS}
    scene.ticker.tick()
    scene.clock.advance(90 * DAY)  # past the last moment: the offset holds nothing back
    report = scene.ticker.tick()
    assert (len(report.failed), report.brake is not None) == (3, True)
    assert scene.pauses.resume(None)
    scene.sightings.forgive()
    assert len(scene.ticker.tick().failed) == 3


def test_many_that_note_the_same_secret_at_once_do_not_meet(scene: TickScene) -> None:
    situation = scene.situation(SPECS[0].name)
    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(lambda _: scene.sightings.note_looks({SPECS[0].name: situation}, now=START), range(20)):
            pass
    assert scene.sightings.all()[SPECS[0].name].current_at == START


def test_a_notice_is_told_once_though_several_tell_it_at_once(scene: TickScene) -> None:
    told: list[str] = []

    def deliver(urls: list[str], title: str, body: str) -> list[bool]:
        told.append(title)
        return [True]

    def tell(_number: int) -> list[str]:
        place = SecretName("place")
        return Notifier(scene.database, [place], lambda _: SecretValue("x"), deliver=deliver).tell([notice])

    notice = Notice("test/key", Topic.FAILED, "1", "title", "body")
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(tell, range(3))) == [[], [], []]
    assert told == ["title"]

"""A server that dies in the middle of each verb and comes back: at every request, before and after it was done.

See :func:`cut_everywhere`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.canary import canary
from tests.servers.cutting_proxy import Cut, CuttingProxy
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401  # Fixtures.
from tests.servers.vault_steps import everything_readable, plain_write, put
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreUnavailableError,
    VersionConflictError,
    VersionNotFoundError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.vault import VaultStore, opening


@dataclass
class Scene:
    """A secret with a previous, a current and a pending version, made by another store than the one that is cut."""

    engine: Engine
    proxy: CuttingProxy
    cut: VaultStore
    calm: VaultStore
    name: SecretName
    values: dict[str, str] = field(default_factory=dict)
    versions: dict[str, SecretVersion] = field(default_factory=dict)

    def begin(self, folder: str) -> None:
        """Go on with a fresh secret, in a folder of its own; nothing is cut, and the requests from here on count."""
        self.name = SecretName(f"{folder}/{str(self.name).partition('/')[2]}")
        self.prepare()
        self.cut.read(self.name)  # Logs in, which is a request too.
        self.proxy.mend()

    def prepare(self) -> None:
        for stage in ("previous", "current", "pending"):
            self.values[stage] = canary(stage)
        self.versions["previous"] = put(self.calm, self.name, self.values["previous"])
        self.versions["current"] = put(self.calm, self.name, self.values["current"])
        self.versions["pending"] = self.calm.stage(self.name, SecretValue(self.values["pending"]), "pending")

    def plain(self) -> str | None:
        """Return what the vendor's plain call reads of this secret."""
        data = self.engine.plain_read(self.name.path)
        return None if data is None else data.get(self.name.field or "value")

    def readable(self) -> set[str]:
        """Return which of the values any plain call can read, in any version of the path or beside it."""
        marks = ("", "--pending", "--fields")
        found = "".join(everything_readable(self.engine, f"{self.name.path}{mark}") for mark in marks)
        return {stage for stage, value in self.values.items() if value in found}

    def stages(self) -> dict[Stage, str]:
        return {one.stage: one.id for one in self.calm.describe(self.name) if one.stage is not Stage.RETIRED}


@pytest.fixture(params=["team/api-key", "team/config#api_key"], ids=["alone", "packed"])
def scene(engine: Engine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(opening, "BACKOFF_SECONDS", 0.0)
    with (
        CuttingProxy("127.0.0.1", engine.server.port) as proxy,
        engine.open(proxy=proxy) as cut,
        engine.open() as calm,
    ):
        yield Scene(engine, proxy, cut, calm, SecretName(request.param))


def cut_everywhere(
    scene: Scene,
    what: str,
    call: Callable[[], object],
    *,
    meanwhile: Callable[[], None],
    afterwards: Callable[[], None],
) -> None:
    """Cut each request of ``call`` once, each on a secret of its own.

    ``dies``: the server is away from that request on, which it does not hear of. What readers see then is checked, the
    server comes back, and the same call finishes. That a request is done and its answer lost is the same as the next
    one not being heard of. ``answer lost``: the server did it, the answer is lost, and the next try gets through: then
    the call finishes by itself. Requests that change nothing have nothing to lose.
    """
    proxy = scene.proxy
    scene.begin("whole")
    call()
    requests = [*proxy.requests]
    afterwards()
    assert len(requests) > 3, "the verb made next to no requests"
    for number, request in enumerate(requests, start=1):
        if what == "answer lost" and request.startswith("GET"):
            continue
        scene.begin(f"case-{number}")
        proxy.cut(number, Cut.BEFORE if what == "dies" else Cut.AFTER, stay_down=what == "dies")
        if what == "dies":
            with pytest.raises(StoreUnavailableError):
                call()
            proxy.mend()
            meanwhile()
        call()
        assert what == "dies" or proxy.has_cut
        afterwards()


WHAT = pytest.mark.parametrize("what", ["dies", "answer lost"])


@WHAT
def test_promote(scene: Scene, what: str) -> None:
    def meanwhile() -> None:
        seen = scene.plain()
        assert seen in (scene.values["current"], scene.values["pending"])
        reading = scene.calm.read(scene.name)
        expected = "current" if seen == scene.values["current"] else "pending"
        assert reading.value.matches(scene.values[expected])
        assert reading.version.id == scene.versions[expected].id
        assert scene.stages()[Stage.CURRENT] == scene.versions[expected].id

    def afterwards() -> None:
        assert scene.plain() == scene.values["pending"]
        assert scene.stages() == {
            Stage.CURRENT: scene.versions["pending"].id,
            Stage.PREVIOUS: scene.versions["current"].id,
        }
        assert scene.calm.read(scene.name, stage=Stage.PREVIOUS).value.matches(scene.values["current"])
        assert scene.readable() == {"pending", "current"}

    cut_everywhere(
        scene,
        what,
        lambda: scene.cut.promote(
            scene.name, scene.versions["pending"].id, expect_current=scene.versions["current"].id
        ),
        meanwhile=meanwhile,
        afterwards=afterwards,
    )


@WHAT
def test_rolling_back(scene: Scene, what: str) -> None:
    def meanwhile() -> None:
        assert scene.plain() in (scene.values["current"], scene.values["previous"])

    def afterwards() -> None:
        assert scene.plain() == scene.values["previous"]
        assert scene.stages() == {
            Stage.CURRENT: scene.versions["previous"].id,
            Stage.PREVIOUS: scene.versions["current"].id,
            Stage.PENDING: scene.versions["pending"].id,
        }
        for stage, value in ((Stage.PREVIOUS, "current"), (Stage.PENDING, "pending")):
            assert scene.calm.read(scene.name, stage=stage).value.matches(scene.values[value])

    cut_everywhere(
        scene,
        what,
        lambda: scene.cut.promote(
            scene.name, scene.versions["previous"].id, expect_current=scene.versions["current"].id
        ),
        meanwhile=meanwhile,
        afterwards=afterwards,
    )


@WHAT
@pytest.mark.parametrize("stage", ["pending", "previous"])
def test_retire(scene: Scene, what: str, stage: str) -> None:
    def meanwhile() -> None:
        assert scene.plain() == scene.values["current"]

    def afterwards() -> None:
        assert scene.readable() == {"previous", "current", "pending"} - {stage}
        assert Stage(stage) not in scene.stages()

    cut_everywhere(
        scene,
        what,
        lambda: scene.cut.retire(scene.name, scene.versions[stage].id),
        meanwhile=meanwhile,
        afterwards=afterwards,
    )


@WHAT
def test_stage(scene: Scene, what: str) -> None:
    later = canary("later")

    def call() -> SecretVersion:
        if Stage.PENDING in scene.stages() and scene.stages()[Stage.PENDING] == scene.versions["pending"].id:
            scene.calm.retire(scene.name, scene.versions["pending"].id)
        return scene.cut.stage(scene.name, SecretValue(later), "later")

    def meanwhile() -> None:
        assert scene.plain() == scene.values["current"]

    def afterwards() -> None:
        assert scene.calm.read(scene.name, stage=Stage.PENDING).value.matches(later)
        assert len(scene.calm.describe(scene.name)) == 4
        assert scene.plain() == scene.values["current"]

    cut_everywhere(scene, what, call, meanwhile=meanwhile, afterwards=afterwards)


@WHAT
def test_delete(scene: Scene, what: str) -> None:
    def meanwhile() -> None:
        assert scene.plain() in (scene.values["current"], None)

    def afterwards() -> None:
        assert scene.readable() == set()
        assert [*scene.calm.list(f"{scene.name.path.partition('/')[0]}/")] == []
        with pytest.raises(SecretNotFoundError) as caught:
            scene.calm.read(scene.name)
        assert not isinstance(caught.value, VersionNotFoundError)

    cut_everywhere(scene, what, lambda: scene.cut.delete(scene.name), meanwhile=meanwhile, afterwards=afterwards)


@pytest.mark.parametrize(
    "verb",
    [
        lambda scene: scene.cut.read(scene.name, stage=Stage.PREVIOUS).value,
        lambda scene: scene.cut.read(scene.name, version=scene.versions["pending"].id).value,
        lambda scene: [one.value for one in scene.cut.read_many([scene.name])],
        lambda scene: scene.cut.describe(scene.name),
        lambda scene: [*scene.cut.list()],
    ],
    ids=["previous", "by version", "many", "describe", "list"],
)
def test_reading(scene: Scene, verb: Callable[[Scene], object]) -> None:
    scene.prepare()
    proxy = scene.proxy
    expected = verb(scene)
    proxy.mend()
    assert verb(scene) == expected
    for number in range(1, len(proxy.requests) + 1):
        proxy.mend()
        proxy.cut(number, Cut.BEFORE)
        with pytest.raises(StoreUnavailableError):
            verb(scene)
        proxy.mend()
        assert verb(scene) == expected


def requests_of_promoting(scene: Scene) -> list[str]:
    """Return the requests that promoting a secret like the scene's makes, with its path for ``HERE``."""
    name = SecretName(f"dry/{str(scene.name).partition('/')[2]}")
    put(scene.calm, name)
    pending = scene.calm.stage(name, SecretValue(canary()), "next")
    proxy = scene.proxy
    scene.cut.describe(name)  # Logs in, which is a request too.
    proxy.mend()
    scene.cut.promote(name, pending.id, expect_current=scene.calm.read(name).version.id)
    found = [
        one.replace(f"/v1/{scene.engine.mount}/", "").replace(f"vantage/{name.path}", "HERE") for one in proxy.requests
    ]
    proxy.mend()
    return found


def test_whoever_comes_next_finishes_a_promotion_that_was_decided_elsewhere(scene: Scene) -> None:
    ledger = "POST data/HERE--fields" if scene.name.field else "POST data/HERE--pending"
    decided = requests_of_promoting(scene).index(ledger)
    scene.prepare()
    pending, current = scene.versions["pending"].id, scene.versions["current"].id
    proxy = scene.proxy
    proxy.cut(decided + 1, Cut.AFTER)
    with pytest.raises(StoreUnavailableError):
        scene.cut.promote(scene.name, pending, expect_current=current)
    assert scene.plain() == scene.values["current"]
    staged = scene.calm.stage(scene.name, SecretValue(canary()), "after")
    assert scene.plain() == scene.values["pending"]
    assert scene.stages() == {Stage.PENDING: staged.id, Stage.CURRENT: pending, Stage.PREVIOUS: current}


def test_a_promotion_that_somebody_else_s_write_overtook_is_begun_anew_or_refused_and_loses_nothing(
    scene: Scene,
) -> None:
    shown = requests_of_promoting(scene).index("PATCH data/HERE" if scene.name.field else "POST data/HERE")
    scene.prepare()
    pending, current = scene.versions["pending"].id, scene.versions["current"].id
    proxy = scene.proxy
    proxy.cut(shown + 1, Cut.BEFORE)
    with pytest.raises(StoreUnavailableError):
        scene.cut.promote(scene.name, pending, expect_current=current)
    proxy.mend()
    theirs = canary()
    if scene.name.field:  # Somebody wrote another key of the same path: ours is not concerned.
        plain_write(scene.engine, scene.name.path, {"region": theirs, "api_key": scene.values["current"]})
        assert scene.cut.promote(scene.name, pending, expect_current=current).stage is Stage.CURRENT
        assert scene.plain() == scene.values["pending"]
        assert scene.engine.plain_read(scene.name.path)["region"] == theirs
        return
    plain_write(scene.engine, scene.name.path, {"value": theirs})
    with pytest.raises(VersionConflictError):
        scene.cut.promote(scene.name, pending, expect_current=current)
    reading = scene.cut.read(scene.name)
    assert reading.value.matches(theirs)
    assert scene.cut.read(scene.name, stage=Stage.PENDING).value.matches(scene.values["pending"])
    assert scene.cut.promote(scene.name, pending, expect_current=reading.version.id).stage is Stage.CURRENT
    assert scene.plain() == scene.values["pending"]

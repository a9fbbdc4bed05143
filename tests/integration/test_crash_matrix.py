"""SIGKILL before and during every call of a rotation, for each target on each store: the next run repairs it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.crash_matrix.cases import STORES, TARGETS
from tests.crash_matrix.matrix import run_cell
from tests.servers.aws import CREDENTIALS
from vantage_secrets.rotation.steps import Step

PLACES = {Step.CREATE: "store stage", Step.CONVERGE: "target last_used", Step.VERIFY_REFUSED: "target verify_refused"}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_rotation_killed_at_any_call_is_repaired_by_the_next_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, target: str, store: str
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path_factory.mktemp("matrix")  # not the test's own folder: servers keep passwords in their settings
    places = [folder / "store", folder / "target"]
    for place in places:
        place.mkdir(mode=0o755)
    with ExitStack() as servers:
        store_case = servers.enter_context(STORES[store](places[0]))
        target_case = servers.enter_context(TARGETS[target](places[1]))
        rows = run_cell(target_case, store_case, folder)
    assert not [row for row in rows if row.faults]
    killed = {row.call for row in rows}
    for step in Step:
        assert PLACES.get(step, f"target {step}") in killed or f"store {step}" in killed, (
            f"nothing was killed at {step}"
        )
    assert {row.became for row in rows} == {"old", "new"}

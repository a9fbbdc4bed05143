"""``demo``: the main job on real files, twice, and on a file of one's own."""

from __future__ import annotations

import re

from tests.canary import canary, leaks_in, planted
from tests.e2e.desk import ANSI, Desk


def _figures(text: str) -> tuple[int, int]:
    found = re.search(r"requests +([\d,]+) accepted, (\d+) failed", text)
    assert found, text
    return int(found[1].replace(",", "")), int(found[2])


def _is_good(text: str) -> bool:
    accepted, failed = _figures(text)
    words = ("The demo went well.", "old key              refused", "audit log            verified")
    return accepted > 100 and failed == 0 and all(word in text for word in words)


def test_the_demo_goes_well_twice_and_leaves_a_folder_to_go_on_with(bare_desk: Desk) -> None:
    first = bare_desk.ok("demo")
    assert _is_good(first.out)
    assert not ANSI.search(first.out)
    values = re.findall(r'="(.*)"', (bare_desk.folder / "demo/.env").read_text())
    assert len(values) == 5
    again = bare_desk.ok("demo")
    assert _is_good(again.out)
    assert "is there from an earlier run" in again.out
    for path in (bare_desk.folder / "demo").rglob("*"):
        if path.is_file() and path.name != ".env":
            assert not leaks_in(path.read_bytes(), tuple(values)), path
    for value in values:
        assert value not in first.out + again.out
    manifest = ("--manifest", "demo/vantage-secrets.toml")
    rows = bare_desk.ok(*manifest, "status", "--check", "--json").json
    assert {row["state"] for row in rows} == {"ok"}
    assert [row["stage"] for row in bare_desk.ok(*manifest, "history", "vantage/api-key", "--json").json].count(
        "current"
    ) == 1
    assert bare_desk.ok(*manifest, "audit", "verify").code == 0


def test_the_demo_takes_a_file_of_ones_own_even_one_without_the_key_that_it_rotates(bare_desk: Desk) -> None:
    lines = {"KAFKA_SASL_PASSWORD": canary(), "STRIPE_TOKEN": canary(), "COLOUR": "blue"}
    file = bare_desk.folder / "CLEAR.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    before = file.read_bytes()
    done = bare_desk.ok("demo", "--env-file", "CLEAR.env", "--directory", "mine")
    assert _is_good(done.out)
    assert "Your file has no VANTAGE_API_KEY; one was generated" in done.out
    assert file.read_bytes() == before
    assert not leaks_in(done.raw, planted())
    manifest = ("--manifest", "mine/vantage-secrets.toml")
    held = bare_desk.ok(*manifest, "get", "STRIPE_TOKEN", reveals=True).out
    assert held == lines["STRIPE_TOKEN"]


def test_a_file_that_is_not_there_ends_the_demo_with_its_name(bare_desk: Desk) -> None:
    done = bare_desk.run("demo", "--env-file", "nowhere.env")
    assert done.code == 2
    assert "error[invalid_dotenv]" in done.err
    assert "nowhere.env" in done.err

"""``copy`` and ``store``: another store, its key, and the way there."""

from __future__ import annotations

import json
import stat

from tests.e2e.desk import Desk

OURS = "embedded:.vantage-secrets/secrets.db?key_file=.vantage-secrets/key"


def _filled(desk: Desk) -> dict[str, str]:
    names = ("vantage/kafka-sasl-password", "vantage/worker-clickhouse-password")
    for name in names:
        desk.hold(name)
    return {name: desk.hold(name) for name in names}


def test_all_secrets_are_copied_with_their_stages_and_a_second_run_writes_nothing(desk: Desk) -> None:
    values = _filled(desk)
    other = desk.ok("store", "create", "other/secrets.db").out.strip()
    rows = desk.ok("copy", "--from", OURS, "--to", other, "--json").json
    assert rows == [{"name": name, "outcome": "copied", "stages": ["previous", "current"]} for name in sorted(values)]
    again = desk.ok("copy", "--from", OURS, "--to", other, "--json").json
    assert {row["outcome"] for row in again} == {"unchanged"}
    manifest = desk.folder / "vantage-secrets.toml"
    text = manifest.read_text()
    moved = text.replace(".vantage-secrets/secrets.db", "other/secrets.db").replace(
        ".vantage-secrets/key", "other/secrets.key"
    )
    manifest.write_text(moved)
    assert desk.ok("list").out.split() == sorted(values)
    for name, value in values.items():
        assert desk.held(name) == value


def test_named_secrets_only_are_copied(desk: Desk) -> None:
    _filled(desk)
    other = desk.ok("store", "create", "other.db", "--json").json["url"]
    rows = desk.ok("copy", "KAFKA_SASL_PASSWORD", "--from", OURS, "--to", other, "--json").json
    assert [row["name"] for row in rows] == ["vantage/kafka-sasl-password"]
    absent = desk.run("copy", "API_KEY", "--from", OURS, "--to", other)
    assert (absent.code, absent.out) == (4, "")
    assert "error[secret_not_found]" in absent.err


def test_a_copy_says_in_the_audit_log_where_it_went(desk: Desk) -> None:
    _filled(desk)
    other = desk.ok("store", "create", "other.db").out.strip()
    desk.ok("copy", "--from", OURS, "--to", other)
    subject = desk.last_command()["subject"]
    assert subject == f"copy --from embedded:.vantage-secrets/secrets.db --to {other.partition('?')[0]}"


def test_a_store_that_is_not_there_and_a_url_that_is_none_end_with_their_codes(desk: Desk) -> None:
    away = desk.run("copy", "--from", OURS, "--to", "embedded:nowhere.db?key_file=.vantage-secrets/key")
    assert (away.code, away.out) == (7, "")
    assert "error[store_unavailable]" in away.err
    unknown = desk.run("copy", "--from", "nonsense", "--to", OURS)
    assert (unknown.code, unknown.out) == (2, "")
    assert "error[invalid_url]" in unknown.err


def test_store_create_makes_a_private_store_and_never_replaces_one(desk: Desk) -> None:
    url = desk.ok("store", "create", "other.db").out.strip()
    assert url == f"embedded://{desk.folder}/other.db?key_file={desk.folder}/other.key"
    assert {stat.S_IMODE((desk.folder / name).stat().st_mode) for name in ("other.db", "other.key")} == {0o600}
    again = desk.run("store", "create", "other.db")
    assert (again.code, again.out) == (2, "")
    assert "nothing was changed" in again.err


def test_store_show_tells_what_the_store_is(shown: Desk) -> None:
    record = shown.ok("store", "show", "--json").json
    assert set(record) == {"url", "environment", "capabilities", "secrets_count"}
    assert (record["environment"], record["secrets_count"]) == ("test", 5)


def test_a_rotated_key_opens_the_store_and_the_old_one_does_not(desk: Desk) -> None:
    value = desk.hold("KAFKA_SASL_PASSWORD")
    key = desk.folder / ".vantage-secrets/key"
    old = key.read_bytes()
    assert len(desk.ok("store", "rotate-key", "--json").json["key_id"]) == 16
    assert key.read_bytes() != old
    assert desk.held("KAFKA_SASL_PASSWORD") == value
    key.write_bytes(old)
    refused = desk.run("get", "KAFKA_SASL_PASSWORD")
    assert (refused.code, refused.out) == (5, "")
    assert "error[wrong_encryption_key]" in refused.err
    assert desk.last_command()["outcome"] == "denied"


def test_a_key_that_moves_to_another_file_asks_for_the_manifest_to_follow(desk: Desk) -> None:
    desk.hold("KAFKA_SASL_PASSWORD")
    done = desk.ok("store", "rotate-key", "--key-file", "elsewhere.key")
    assert "Say in vantage-secrets.toml under [store] where it is now." in done.err
    manifest = desk.folder / "vantage-secrets.toml"
    manifest.write_text(manifest.read_text().replace(".vantage-secrets/key", "elsewhere.key"))
    assert json.loads(desk.ok("list", "--json").raw)[0]["name"] == "vantage/kafka-sasl-password"

"""``set``, ``get`` and ``delete``: a value goes in by no argument, and comes out exactly, when asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.canary import canary, leaks_in, planted
from tests.e2e.desk import Desk, wait_until

KAFKA = "KAFKA_SASL_PASSWORD"


def _answers(name: str, first: str, second: str) -> list[tuple[str, str]]:
    return [(f"Value of {name}: ", first + "\n"), (f"Value of {name} again: ", second + "\n")]


def test_a_value_is_asked_for_twice_and_never_shown(desk: Desk) -> None:
    value = canary()
    done = desk.at_terminal("set", KAFKA, answers=_answers(KAFKA, value, value))
    assert done.code == 0, done.text
    assert "vantage/kafka-sasl-password" in done.text
    assert "do that there yourself" in done.text, "no target is connected, and that is said"
    assert desk.held(KAFKA) == value


def test_two_different_entries_change_nothing(desk: Desk) -> None:
    done = desk.at_terminal("set", KAFKA, answers=_answers(KAFKA, canary(), canary()))
    assert done.code == 2
    assert "error[invalid_input]: The two entries differ." in done.text
    assert desk.run("get", KAFKA).code == 4


def test_nothing_typed_is_refused(desk: Desk) -> None:
    done = desk.at_terminal("set", KAFKA, answers=[(f"Value of {KAFKA}: ", "\n")])
    assert done.code == 2
    assert "error[invalid_secret_value]: A secret's value must not be empty." in done.text


@pytest.mark.parametrize("given", [b"", b"\r\n"])
def test_an_empty_value_is_refused_from_a_pipe_too(desk: Desk, given: bytes) -> None:
    done = desk.run("set", KAFKA, stdin=given)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[invalid_secret_value]: A secret's value must not be empty.\nhint: ")


@pytest.mark.parametrize("words", [["--value", "{value}"], ["--value={value}"]])
def test_a_value_is_never_taken_from_an_argument_nor_repeated(desk: Desk, words: list[str]) -> None:
    value = canary()
    typed = [word.format(value=value) for word in words]
    done = desk.run("set", KAFKA, *typed)
    assert (done.code, done.out) == (2, "")
    assert "hint: " in done.err
    assert desk.run("get", KAFKA).code == 4


def test_the_refusal_of_an_argument_says_why_and_what_to_do(desk: Desk) -> None:
    done = desk.run("set", KAFKA, canary())
    assert done.err == (
        "error[usage]: A value is never taken from an argument: other users of this machine can read those.\n"
        "hint: It may stand in your shell's history now. Leave it out, and you are asked for it.\n"
    )


@pytest.mark.parametrize(("given", "kept"), [("{}\n", "{}"), ("{}\r\n", "{}"), ("{}\n\n", "{}\n"), (" é{} ", " é{} ")])
def test_text_from_a_pipe_loses_one_newline_and_nothing_else(desk: Desk, given: str, kept: str) -> None:
    value = canary()
    desk.ok("set", KAFKA, stdin=given.format(value))
    assert desk.held(KAFKA) == kept.format(value)


def test_a_file_and_a_dash_are_read(desk: Desk) -> None:
    value, other = canary(), canary()
    (desk.folder / "CLEAR.txt").write_text(value + "\n")
    desk.ok("set", KAFKA, "--file", "CLEAR.txt")
    assert desk.held(KAFKA) == value
    desk.ok("set", KAFKA, "--file", "-", stdin=other)
    assert desk.held(KAFKA) == other
    assert desk.ok("get", KAFKA, "--stage", "previous", reveals=True).out == value
    assert desk.ok("get", KAFKA, "--version", "1", reveals=True).out == value


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    done = desk.run("set", KAFKA, "--file", "nowhere.txt")
    assert (done.code, done.out) == (2, "")
    assert "'nowhere.txt' cannot be read: No such file or directory." in done.err


def test_binary_values_come_back_byte_by_byte_and_as_base64_in_json(desk: Desk) -> None:
    raw = bytes(range(256)) + b"\n"
    desk.ok("set", KAFKA, "--shape", "binary", stdin=raw)
    assert desk.ok("get", KAFKA).raw == raw
    assert set(desk.ok("get", KAFKA, "--json").json["value"]) == {"base64"}


def test_bytes_that_are_no_text_ask_for_the_other_shape(desk: Desk) -> None:
    done = desk.run("set", KAFKA, stdin=b"\xff\xfe")
    assert done.code == 2
    assert "hint: Add --shape binary.\n" in done.err


def test_named_fields_are_read_one_by_one(desk: Desk) -> None:
    user, password = canary("user"), canary("password")
    desk.ok("set", KAFKA, "--shape", "fields", stdin=json.dumps({"username": user, "password": password}))
    assert desk.ok("get", KAFKA, "--field", "password", reveals=True).out == password
    assert desk.ok("get", KAFKA, reveals=True).json == {"username": user, "password": password}
    done = desk.run("get", KAFKA, "--field", "host")
    assert (done.code, done.out) == (2, "")
    assert "hint: Use one of: password, username.\n" in done.err


@pytest.mark.parametrize("given", ["{broken {}", '["{}"]', '"{}"'])
def test_fields_that_are_no_json_object_are_refused_without_quoting_them(desk: Desk, given: str) -> None:
    done = desk.run("set", KAFKA, "--shape", "fields", stdin=given.replace("{}", canary()))
    assert (done.code, done.out) == (2, "")
    assert "not a JSON object" in done.err


def test_a_field_of_a_plain_value_is_a_clear_error(desk: Desk) -> None:
    desk.hold(KAFKA)
    done = desk.run("get", KAFKA, "--field", "password")
    assert done.code == 2
    assert "hint: Leave out --field.\n" in done.err


def test_get_refuses_a_terminal_without_reveal(desk: Desk) -> None:
    value = desk.hold(KAFKA)
    for words in (["get", KAFKA], ["get", KAFKA, "--json"]):
        done = desk.at_terminal(*words)
        assert done.code == 2
        assert "A value is not shown on a terminal unless you ask for it." in done.text
    shown = desk.at_terminal("get", KAFKA, "--reveal", reveals=True)
    assert (shown.code, shown.text) == (0, value + "\n")


def test_get_as_json_has_stable_keys(desk: Desk) -> None:
    value = desk.hold(KAFKA)
    record = desk.ok("get", "vantage/kafka-sasl-password", "--json", reveals=True).json
    assert set(record) == {"name", "version", "stage", "created_at", "value"}
    assert (record["name"], record["version"], record["stage"]) == ("vantage/kafka-sasl-password", "1", "current")
    assert record["value"] == value


def test_set_as_json_has_stable_keys(desk: Desk) -> None:
    record = desk.ok("set", KAFKA, "--json", stdin=canary()).json
    assert record == {"name": "vantage/kafka-sasl-password", "version": "1", "stage": "current"}


@pytest.mark.parametrize("words", [["--version", "99"], ["--stage", "previous"], ["--stage", "pending"]])
def test_a_version_or_stage_that_is_not_there_ends_with_absent(desk: Desk, words: list[str]) -> None:
    desk.hold(KAFKA)
    done = desk.run("get", KAFKA, *words)
    assert (done.code, done.out) == (4, "")
    assert "error[version_not_found]" in done.err


def test_an_unknown_name_proposes_the_nearest_one(desk: Desk) -> None:
    for words in (["get"], ["set"], ["rotate"]):
        done = desk.run(*words, "VANTAGE_APIKEY", stdin=canary())
        assert (done.code, done.out) == (4, ""), words
        assert "error[unknown_secret]" in done.err
        assert "hint: Did you mean 'VANTAGE_API_KEY'?" in done.err


def test_a_stage_that_nobody_can_read_is_a_mistake(desk: Desk) -> None:
    done = desk.run("get", KAFKA, "--stage", "retired")
    assert done.code == 2
    assert "hint: Use current, previous or pending.\n" in done.err


def test_a_static_secret_set_to_the_same_value_again_gets_no_second_version(desk: Desk) -> None:
    value = canary()
    desk.ok("set", KAFKA, stdin=value)
    desk.ok("set", KAFKA, stdin=value)
    assert len(desk.ok("history", KAFKA, "--json").json) == 1


def test_an_api_key_that_is_set_again_during_its_overlap_is_refused_with_the_way_out(desk: Desk) -> None:
    for _ in range(2):
        desk.hold("VANTAGE_API_KEY")
    done = desk.run("set", "VANTAGE_API_KEY", stdin=canary())
    assert (done.code, done.out) == (3, "")
    assert "vantage-secrets rotate vantage/api-key --finish --grace 0s" in done.err
    desk.ok("rotate", "VANTAGE_API_KEY", "--finish", "--grace", "0s")
    desk.hold("VANTAGE_API_KEY")


def test_delete_asks_at_a_terminal_and_takes_no_for_an_answer(desk: Desk) -> None:
    desk.hold(KAFKA)
    question = "Remove vantage/kafka-sasl-password with all versions"
    declined = desk.at_terminal("delete", KAFKA, answers=[(question, "n\n")])
    assert declined.code == 1
    assert "error[declined]: Nothing was changed." in declined.text
    assert len(desk.ok("list", "--json").json) == 1
    agreed = desk.at_terminal("delete", KAFKA, answers=[(question, "y\n")])
    assert agreed.code == 0
    assert desk.ok("list", "--json").json == []


def test_delete_needs_yes_where_nobody_can_be_asked_and_says_whether_there_was_anything(desk: Desk) -> None:
    desk.hold(KAFKA)
    refused = desk.run("delete", KAFKA)
    assert (refused.code, refused.out) == (2, "")
    assert "hint: Add --yes.\n" in refused.err
    assert desk.ok("delete", KAFKA, "--yes", "--json").json == {"name": "vantage/kafka-sasl-password", "deleted": True}
    assert desk.ok("delete", KAFKA, "--yes", "--json").json["deleted"] is False


def test_a_value_on_its_way_in_stands_in_no_command_line_and_no_environment(desk: Desk) -> None:
    value = canary()
    reading, writing = os.pipe()
    process = desk.start("set", KAFKA, stdin=reading)
    os.close(reading)
    os.write(writing, value.encode())
    about = Path(f"/proc/{process.pid}")
    wait_until(lambda: b"vantage-secrets" in (about / "cmdline").read_bytes(), "the command")
    for place in ("cmdline", "environ"):
        assert not leaks_in((about / place).read_bytes(), planted())
    os.close(writing)
    process.communicate()
    assert process.returncode == 0

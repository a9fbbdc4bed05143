"""Secret values show themselves nowhere; every error of the tree can be told apart and says what to do."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import pickle
import re
import traceback

import pytest

from tests.canary import canary
from vantage_secrets import errors
from vantage_secrets.errors import (
    InvalidSecretNameError,
    InvalidSecretValueError,
    MissingExtraError,
    NameCollisionError,
    SecretExposureError,
    VantageSecretsError,
)
from vantage_secrets.secret import (
    NAME_LENGTH_MAX,
    VALUE_BYTES_MAX,
    NameMap,
    SecretName,
    SecretReading,
    SecretValue,
    SecretVersion,
    Spelling,
    Stage,
)


def _classes(base: type[VantageSecretsError] = VantageSecretsError) -> list[type[VantageSecretsError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


OURS = [cls for cls in _classes() if cls.__module__ == errors.__name__]


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show",
    [str, repr, ascii, format, "{}".format, "{:>20}".format, "%s".__mod__, "%r".__mod__, lambda v: f"{v!s}{v!r}{v}"],
)
def test_a_value_shows_stars_however_it_is_turned_into_text(show) -> None:
    plain = canary()
    text = show(SecretValue(plain))
    assert plain not in text
    assert "***" in text


def test_a_value_inside_containers_and_dataclasses_shows_stars() -> None:
    plain = canary()
    version = SecretVersion(SecretName("a"), "1", Stage.CURRENT, created_at=None)  # type: ignore[arg-type]
    shown = repr([{"x": SecretValue(plain)}, SecretReading(SecretValue(plain), version)])
    assert plain not in shown
    assert shown.count("***") == 2


def test_a_value_cannot_be_pickled_in_any_protocol() -> None:
    value = SecretValue(canary())
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(SecretExposureError):
            pickle.dumps(value, protocol)


def test_a_value_cannot_become_json() -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": SecretValue(canary())})


def test_a_value_has_no_dictionary_of_attributes_and_no_length() -> None:
    value = SecretValue(canary())
    with pytest.raises(TypeError):
        vars(value)
    with pytest.raises(TypeError):
        len(value)  # type: ignore[arg-type]


def test_a_value_cannot_be_a_key_of_a_dictionary() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        {SecretValue(canary()): 1}  # type: ignore[dict-item]


def test_copies_of_a_value_are_the_value_itself() -> None:
    value = SecretValue(canary())
    assert copy.copy(value) is value
    assert copy.deepcopy([value])[0] is value


def test_a_logged_value_shows_stars(caplog: pytest.LogCaptureFixture) -> None:
    plain = canary()
    logging.getLogger("test").warning("login with %s and %r", SecretValue(plain), {"p": SecretValue(plain)})
    assert plain not in caplog.text
    assert caplog.text.count("***") == 2


def test_a_traceback_with_its_local_variables_shows_stars() -> None:
    value = SecretValue(canary())

    def fail(held: SecretValue) -> None:
        raise RuntimeError(f"cannot use {held}")

    try:
        fail(value)
    except RuntimeError as exc:
        shown = "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())
    assert "***" in shown
    assert value.reveal_text() not in shown


@pytest.mark.parametrize("content", ["", b"", {}, {"password": ""}, {"": "x"}])
def test_an_empty_value_is_refused(content) -> None:
    with pytest.raises(InvalidSecretValueError):
        SecretValue(content)


@pytest.mark.parametrize("content", [None, 7, ["x"], {"a": 1}, bytearray(b"x")])
def test_a_value_of_another_shape_is_refused_without_being_shown(content) -> None:
    with pytest.raises(InvalidSecretValueError):
        SecretValue(content)


def test_the_largest_value_fits_and_one_byte_more_does_not() -> None:
    assert SecretValue(b"x" * VALUE_BYTES_MAX).reveal() == b"x" * VALUE_BYTES_MAX
    with pytest.raises(InvalidSecretValueError, match="25,600"):
        SecretValue("ü" * (VALUE_BYTES_MAX // 2) + "x")


def test_the_three_shapes_come_back_as_they_went_in() -> None:
    text, fields = canary(), {"username": "worker", "password": canary()}
    assert SecretValue(text).reveal() == text
    assert SecretValue(text.encode()).reveal() == text.encode()
    assert SecretValue(text.encode()).reveal_text() == text
    assert SecretValue(fields).reveal() == fields
    assert SecretValue(fields).field("password") == fields["password"]


def test_changing_what_was_given_or_revealed_does_not_change_the_value() -> None:
    given = {"password": canary()}
    value = SecretValue(given)
    given["password"] = "other"
    revealed = value.reveal()
    assert isinstance(revealed, dict)
    assert revealed["password"] != "other"
    revealed["password"] = "other"
    assert value.field("password") != "other"


def test_asking_for_the_wrong_shape_says_what_to_call_and_shows_nothing() -> None:
    plain = canary()
    with pytest.raises(InvalidSecretValueError, match="named fields password") as fields:
        SecretValue({"password": plain}).reveal_text()
    with pytest.raises(InvalidSecretValueError, match="binary") as binary:
        SecretValue(b"\xff" + plain.encode()).reveal_text()
    with pytest.raises(InvalidSecretValueError, match="no field 'user'") as field:
        SecretValue(plain).field("user")
    for caught in (fields, binary, field):
        assert plain not in str(caught.value) + caught.value.hint
        assert caught.value.__cause__ is None


def test_text_and_its_bytes_match_and_an_empty_candidate_never_does() -> None:
    plain = canary()
    value = SecretValue(plain)
    assert value.matches(plain)
    assert value.matches(plain.encode())
    assert value.matches(SecretValue(plain.encode()))
    assert not any(value.matches(candidate) for candidate in ("", b"", None, plain + "x", plain[:-1]))


def test_named_fields_are_equal_by_their_contents_and_never_to_their_own_encoding() -> None:
    password = canary()
    fields = SecretValue({"a": "x", "b": password})
    assert fields == SecretValue({"b": password, "a": "x"})
    assert fields != SecretValue({"a": "xb", "b": password})
    assert fields != SecretValue(fields._comparable())
    assert not fields.matches(fields._comparable())


def test_a_value_is_equal_to_no_plain_text() -> None:
    plain = canary()
    assert SecretValue(plain) != plain


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *["", "A", "a_b", "a--b", "-a", "a-", "a//b", "/a", "a/", "a.b", "ä", "a\n", "a" * (NAME_LENGTH_MAX + 1), " "],
        *["#", "a#", "#b", "a#B", "a#b-c", "a#b#c", "a#b/c", "a#" + "b" * 65],
    ],
)
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidSecretNameError):
        SecretName(text)


def test_each_place_has_its_own_spelling() -> None:
    name = SecretName("vantage/api-key")
    spelled = {spelling.name: name.spelled(spelling) for spelling in Spelling}
    assert spelled == {
        "PATH": "vantage/api-key",
        "ENVIRONMENT": "VANTAGE_API_KEY",
        "AZURE": "vantage-api-key",
        "GOOGLE": "vantage_api-key",
        "KUBERNETES": "vantage.api-key",
    }


def test_a_packed_secret_is_named_by_its_path_and_its_field() -> None:
    name = SecretName("vantage/config#api_key")
    assert (str(name), name.path, name.field) == ("vantage/config#api_key", "vantage/config", "api_key")
    assert name.spelled(Spelling.PATH) == "vantage/config#api_key"
    assert name.spelled(Spelling.ENVIRONMENT) == "VANTAGE_CONFIG_API_KEY"
    assert (SecretName("vantage/api-key").path, SecretName("vantage/api-key").field) == ("vantage/api-key", "")


def test_a_map_goes_both_ways_and_knows_only_its_own_names() -> None:
    key, query = SecretName("vantage/api-key"), SecretName("vantage/query-api-key")
    names = NameMap([key, query], Spelling.ENVIRONMENT, {query: "API_KEY"})
    assert [names.spell(name) for name in names] == ["VANTAGE_API_KEY", "API_KEY"]
    assert names.name("API_KEY") == query
    assert names.name("VANTAGE_QUERY_API_KEY") is None
    with pytest.raises(KeyError):
        names.spell(SecretName("other"))


def test_a_map_with_two_names_of_one_spelling_is_refused_with_both_names() -> None:
    with pytest.raises(NameCollisionError, match=r"'a/b' and 'a-b' would both be written as 'A_B'"):
        NameMap([SecretName("a/b"), SecretName("a-b")], Spelling.ENVIRONMENT)


def test_a_name_given_twice_is_no_collision() -> None:
    assert list(NameMap([SecretName("a"), SecretName("a")], Spelling.AZURE)) == [SecretName("a")]


# --- errors ---------------------------------------------------------------------------------------------------------


def test_every_error_has_a_code_of_its_own() -> None:
    own = {cls: cls.__dict__.get("code") for cls in OURS}
    assert None not in own.values()
    assert len(set(own.values())) == len(own)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", str(code)) for code in own.values())


def test_every_error_has_a_hint_that_is_a_sentence() -> None:
    for cls in OURS:
        hint = MissingExtraError("boto3", "aws").hint if cls is MissingExtraError else cls("found").hint
        assert len(hint) > 10, cls


def test_an_own_hint_replaces_the_class_s() -> None:
    error = VantageSecretsError("found", hint="do this")
    assert (error.message, error.hint) == ("found", "do this")


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:│   |    )*)(├── |└── )?(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4 + (found[2] is not None)
            above = [*above[:depth], found[3]]
            if depth:
                drawn[found[3]] = above[depth - 1]
    real = {cls.__name__: cls.__bases__[0].__name__ for cls in OURS if cls is not VantageSecretsError}
    assert drawn == real


def test_every_error_in_the_module_belongs_to_the_tree() -> None:
    defined = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__}
    assert defined == set(OURS)

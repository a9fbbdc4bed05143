"""Opening an AWS store: URL, options, and an SDK or a login that is not there. Nothing of it needs a network."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.aws import use_login
from vantage_secrets.errors import InvalidInputError, InvalidURLError, MissingExtraError, StoreIntegrityError
from vantage_secrets.secret import SecretValue
from vantage_secrets.stores.aws import open_aws
from vantage_secrets.stores.aws.encoding import decode, encode
from vantage_secrets.stores.aws.marks import created_label, creation, version_id
from vantage_secrets.stores.aws.recency import RecentWrites
from vantage_secrets.testing import FakeClock

URL = "aws://eu-central-1/vantage"


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    use_login(monkeypatch, "http://127.0.0.1:1")


def opened(url: str = URL, **options: str) -> Iterator[Any]:
    return open_aws(url, environment="test", options=options)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("aws://eu-central-1", "aws://eu-central-1"),
        ("aws://eu-central-1/", "aws://eu-central-1"),
        ("aws://us-gov-west-1/a/b/", "aws://us-gov-west-1/a/b"),
        ("aws://ap-southeast-3/Team_A+=.@-x", "aws://ap-southeast-3/Team_A+=.@-x"),
    ],
)
def test_a_url_names_a_region_and_a_prefix(url: str, kept: str) -> None:
    with opened(url) as store:
        assert store.url == kept


@pytest.mark.parametrize(
    "url",
    ["aws:", "aws://", "aws:///prefix", "aws://europe/x", "aws://eu-central-1/a//b", "aws://eu-central-1/a b",
     "aws://eu-central-1/ü", "aws://user@eu-central-1/a", f"aws://eu-central-1/{'a' * 301}", "vault://eu-central-1"],
)  # fmt: skip
def test_a_url_that_names_no_region_or_an_impossible_prefix_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError, match="names no region"):
        opened(url)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("region", "eu-central-1", "no option 'region'"),
        ("recovery_window", "6", "no recovery window"),
        ("recovery_window", "31", "no recovery window"),
        ("recovery_window", "-7", "no recovery window"),
        ("recovery_window", "a week", "no recovery window"),
        ("timeout", "4s", "too short"),
        ("timeout", "long", "not a length of time"),
        ("endpoint_url", "nowhere", "not valid"),
        ("profile", "absent", "no AWS profile 'absent'"),
    ],
)
def test_an_option_that_is_unknown_or_not_valid_is_refused(option: str, value: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        opened(**{option: value})


def test_one_call_ends_within_the_timeout_whatever_the_network_does() -> None:
    for text, seconds in (("5s", 5.0), ("15s", 15.0), ("1m", 60.0)):
        with opened(timeout=text) as store:
            config = store._service._client.meta.config
        attempts = config.retries["total_max_attempts"]
        # A connection is made or fails first; an answer is then waited for. The SDK backs off 3 s in all at most.
        assert attempts * max(config.connect_timeout, config.read_timeout) + 3.0 <= seconds
        assert config.retries["mode"] == "standard"
        assert (config.connect_timeout <= 3.0, config.read_timeout <= 10.0) == (True, True)


def test_an_sdk_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError) as caught:
        opened()
    assert (caught.value.package, caught.value.hint) == ("boto3", "pip install 'vantage-secrets[aws]'")


def test_importing_the_store_imports_no_sdk() -> None:
    code = "import sys, vantage_secrets.stores.aws as m; print([x for x in ('boto3', 'botocore') if x in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# what is written


def test_a_versions_id_follows_from_salt_name_and_token_and_is_shaped_as_aws_asks() -> None:
    first = version_id("salt", "name", "token")
    assert first == version_id("salt", "name", "token")
    others = {version_id("other", "name", "token"), version_id("salt", "x", "token"), version_id("salt", "name", "x")}
    assert first not in others
    assert len(others) == 3
    assert 32 <= len(first) <= 64


def test_a_label_says_when_and_of_which_shape_to_the_microsecond() -> None:
    at = FakeClock()().replace(microsecond=123456)
    assert creation(["AWSCURRENT", created_label("0123456789abcdef", at, "fields")]) == (at, "fields")
    assert creation(["AWSCURRENT", "vantage-created-yesterday"]) is None


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        ({"SecretString": "{{CANARY"}, "fields"),
        ({"SecretString": '["CANARY"]'}, "fields"),
        ({"SecretString": '{"CANARY": 7}'}, "fields"),
        ({"SecretString": "CANARY"}, "bytes"),
        ({"SecretBinary": b"CANARY\xff"}, "text"),
        ({"SecretBinary": b"CANARY"}, "fields"),
        ({"SecretString": ""}, None),
        ({"SecretString": "CANARY" * 5_000}, None),
        ({}, None),
    ],
)
def test_a_stored_value_of_another_shape_is_damage_and_the_error_does_not_hold_it(
    answer: dict[str, Any], shape: str | None
) -> None:
    content = canary()
    planted = {
        key: value.replace(b"CANARY", content.encode())
        if isinstance(value, bytes)
        else value.replace("CANARY", content)
        for key, value in answer.items()
    }
    with pytest.raises(StoreIntegrityError) as caught:
        decode("name", planted, shape)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert content not in repr(caught.value)


def test_what_is_encoded_shows_nothing_and_decodes_to_the_same() -> None:
    for content in (canary(), canary().encode(), {"password": canary()}):
        encoded = encode(SecretValue(content))
        assert repr(encoded) == "Encoded(***)"
        assert decode("name", encoded.parameters, encoded.shape) == SecretValue(content)


# what was just written


def test_recent_writes_are_remembered_for_five_seconds_and_each_try_waits_longer() -> None:
    now, pauses = [0.0], []
    recent = RecentWrites(lambda: now[0], pauses.append)
    recent.remember("a", "AWSCURRENT", "1")
    recent.remember("b", "AWSCURRENT", "2")
    assert recent.expected("a") == {"AWSCURRENT": "1"}
    assert len([*recent.tries()]) == 6
    assert sum(pauses) <= 1.55 * 1.5
    assert pauses[-1] > pauses[0]
    recent.forget("b")
    assert recent.expected("b") == {}
    now[0] = 5.0
    assert recent.expected("a") == {}

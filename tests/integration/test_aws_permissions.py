"""Who may do what at AWS: the policies of the store's page, one secret refused, roles, and logins that do not work.

moto alone matches only the resource ``*`` for this service. Here it is made to match the ARN of the secret that a
request names (``tests/servers/moto_launcher.py``), by its own rules for wildcards; conditions are not evaluated.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.aws import PREFIX, REGION, ROOT, MotoServer, open_store, plain_client, use_login
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto  # noqa: F401
from vantage_secrets.errors import StoreAccessDeniedError
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.aws import AwsStore
from vantage_secrets.stores.contract import Health
from vantage_secrets.testing.store_steps import make_current

# ruff: noqa: F811

NAME = SecretName("api-key")
OTHER = SecretName("kafka/worker")
ACCOUNT = "123456789012"


def policy(kind: str) -> dict[str, Any]:
    page = (ROOT / "docs/stores/aws.md").read_text("utf-8")
    found = re.search(rf"<!-- policy: {kind} -->\n```json\n(.*?)```", page, re.DOTALL)
    assert found is not None
    text = found[1].replace("REGION", REGION).replace("ACCOUNT", ACCOUNT).replace("PREFIX", PREFIX)
    return dict(json.loads(text))


def without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    statements = [
        {**statement, "Action": [one for one in statement["Action"] if one != action]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in statements if statement["Action"]]}


def _document(given: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", **given})


class People:
    """Who there is at the emulator's IAM."""

    def __init__(self, server: MotoServer) -> None:
        self._iam = plain_client(server.address, "iam")
        self._count = 0

    def login(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return the login of a new user who may do what the policy says."""
        self._count += 1
        name = f"user-{self._count}"
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=_document(document))
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def role(self, document: Mapping[str, Any]) -> str:
        """Return the ARN of a new role that everybody may assume."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        made = self._iam.create_role(RoleName="rotator", AssumeRolePolicyDocument=_document({"Statement": [trust]}))
        self._iam.put_role_policy(RoleName="rotator", PolicyName="only", PolicyDocument=_document(document))
        return str(made["Role"]["Arn"])


@pytest.fixture
def people(empty_moto: MotoServer) -> Iterator[People]:
    yield People(empty_moto)
    empty_moto.check_permissions(False)


def open_as(server: MotoServer, monkeypatch: pytest.MonkeyPatch, login: Mapping[str, str], **options: str) -> AwsStore:
    use_login(monkeypatch, server.address, login)
    server.check_permissions(True)
    return open_store(server.address, **options)


def a_life(store: AwsStore) -> None:
    """Do everything that the store can do, so that every permission is needed once."""
    make_current(store, NAME, canary())
    second = make_current(store, NAME, canary())
    third = make_current(store, NAME, canary())
    assert store.read(NAME, version=second.id).version.stage is Stage.PREVIOUS
    assert [reading.version.id for reading in store.read_many([NAME])] == [third.id]
    assert [*store.list()] == [NAME]
    store.retire(NAME, second.id)
    store.delete(NAME)
    make_current(store, NAME, canary())
    store.describe(OTHER)


def test_the_rotators_policy_on_the_page_suffices_for_everything(
    empty_moto: MotoServer, people: People, aws: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.call("create_secret", OTHER, SecretString="another program's")
    with open_as(empty_moto, monkeypatch, people.login(policy("rotator"))) as store:
        a_life(store)
        assert {one.health for one in store.examine()} == {Health.WORKS, Health.WARNING}


@pytest.mark.parametrize(
    "action", sorted(one for statement in policy("rotator")["Statement"] for one in statement["Action"])
)
def test_each_permission_of_the_rotators_policy_is_needed_and_the_error_names_it(
    empty_moto: MotoServer, people: People, aws: Plain, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    aws.call("create_secret", OTHER, SecretString="another program's")
    with open_as(empty_moto, monkeypatch, people.login(without(policy("rotator"), action))) as store:
        with pytest.raises(StoreAccessDeniedError) as caught:
            a_life(store)
        assert action in caught.value.hint


def test_the_readers_policy_on_the_page_reads_and_does_nothing_else(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = canary()
    with open_store(empty_moto.address) as owner:
        current = make_current(owner, NAME, content)
        pending = owner.stage(NAME, SecretValue(canary()), "token")
        make_current(owner, SecretName("unreadable"), canary())
    with open_as(empty_moto, monkeypatch, people.login(policy("reader"))) as store:
        assert store.read(NAME).value.matches(content)
        assert len(store.describe(NAME)) == 2
        for call in (
            lambda: store.read(SecretName("unreadable")),
            lambda: [*store.list()],
            lambda: store.stage(NAME, SecretValue(canary()), "other"),
            lambda: store.promote(NAME, pending.id, expect_current=current.id),
            lambda: store.retire(NAME, pending.id),
            lambda: store.delete(NAME),
        ):
            with pytest.raises(StoreAccessDeniedError):
                call()
    empty_moto.check_permissions(False)
    with open_store(empty_moto.address) as owner:
        assert [one.stage for one in owner.describe(NAME)] == [Stage.PENDING, Stage.CURRENT]


def test_one_secret_that_is_refused_leaves_the_others_alone(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(empty_moto.address) as owner:
        for name in (NAME, OTHER):
            make_current(owner, name, canary())
    document = policy("rotator")
    refused = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{PREFIX}/{OTHER}-*"
    document["Statement"].append({"Effect": "Deny", "Action": "secretsmanager:*", "Resource": refused})
    with open_as(empty_moto, monkeypatch, people.login(document)) as store:
        make_current(store, NAME, canary())
        for call in (
            lambda: store.read(OTHER),
            lambda: store.describe(OTHER),
            lambda: store.stage(OTHER, SecretValue(canary()), "token"),
            lambda: store.delete(OTHER),
        ):
            with pytest.raises(StoreAccessDeniedError):
                call()


def test_examining_names_each_permission_that_is_missing_and_changes_nothing(
    empty_moto: MotoServer, people: People, aws: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": "*"}
    with open_as(empty_moto, monkeypatch, people.login({"Statement": [allowed]})) as store:
        found = {one.part: one for one in store.examine()}
    assert found["secretsmanager:GetSecretValue"].health is Health.WORKS
    assert found["secretsmanager:PutSecretValue"].health is Health.MISSING
    assert "Allow secretsmanager:PutSecretValue" in found["secretsmanager:PutSecretValue"].next_action
    assert found["listing names"].health is Health.BROKEN
    assert (found["login"].health, found["TLS"].health) == (Health.WARNING, Health.WARNING)
    empty_moto.check_permissions(False)
    assert aws.client.list_secrets()["SecretList"] == []


def test_examining_names_a_secret_that_aws_rotates_and_the_command_against_it(
    empty_moto: MotoServer, aws: Plain
) -> None:
    with open_store(empty_moto.address) as store:
        make_current(store, NAME, canary())
        aws.call("rotate_secret", NAME, RotationLambdaARN="arn:aws:lambda:x", ClientRequestToken="0" * 32)
        found = next(one for one in store.examine() if one.part == "rotation by AWS")
    assert found.health is Health.WARNING
    assert found.next_action == f"aws secretsmanager cancel-rotate-secret --secret-id {PREFIX}/{NAME}"


def test_a_role_is_assumed_and_its_rights_count(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = people.role(policy("rotator"))
    login = people.login({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]})
    with (
        open_as(empty_moto, monkeypatch, login) as bare,
        pytest.raises(StoreAccessDeniedError),
    ):
        bare.read(NAME)
    with open_as(empty_moto, monkeypatch, login, role_arn=arn) as store:
        make_current(store, NAME, canary())
        assert arn in next(one for one in store.examine() if one.part == "login").words


def test_a_role_that_may_not_be_assumed_is_a_refusal_that_names_the_permission(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = people.login({"Statement": [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}]})
    with (
        open_as(empty_moto, monkeypatch, login, role_arn=f"arn:aws:iam::{ACCOUNT}:role/absent") as store,
        pytest.raises(StoreAccessDeniedError) as caught,
    ):
        store.read(NAME)
    assert "sts:AssumeRole" in caught.value.hint


@pytest.mark.parametrize("part", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_a_refusal(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    login = people.login(policy("rotator")) | {part: "AKIAWRONGWRONGWRONG1"}
    with open_as(empty_moto, monkeypatch, login) as store, pytest.raises(StoreAccessDeniedError):
        store.read(NAME)


def test_without_any_login_every_verb_is_a_refusal_that_says_how_to_log_in(
    empty_moto: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_login(monkeypatch, empty_moto.address, {})
    with open_store(empty_moto.address) as store:
        with pytest.raises(StoreAccessDeniedError, match="no AWS login") as caught:
            store.read(NAME)
        assert "aws sso login" in caught.value.hint
        assert next(store.examine()).health is Health.MISSING


def test_a_long_lived_key_is_warned_of_in_the_log_and_a_temporary_one_is_not(
    empty_moto: MotoServer, people: People, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours = "vantage_secrets.stores.aws.opening"
    open_store(empty_moto.address).close()
    assert [record for record in caplog.records if record.name == ours] == []
    login = people.login(policy("reader"))
    caplog.clear()  # IAM's own answer, with the new key, is in the SDK's log.
    open_as(empty_moto, monkeypatch, login).close()
    (record,) = [record for record in caplog.records if record.name == ours]
    assert record.levelno == logging.WARNING
    assert "long-lived access key" in record.getMessage()
    assert login["AWS_SECRET_ACCESS_KEY"] not in caplog.text

"""What the AWS store promises beyond the contract, seen through the vendor's own client."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.canary import canary
from tests.servers.aws import PREFIX, MotoServer, open_store
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto, store  # noqa: F401
from vantage_secrets.errors import (
    EnvironmentMismatchError,
    InvalidSecretValueError,
    PendingVersionExistsError,
    SecretNotFoundError,
    StoreBusyError,
    UnsupportedOperationError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.aws import AwsStore
from vantage_secrets.stores.aws.marks import created_label, version_id
from vantage_secrets.testing.store_steps import make_current, race, same

# ruff: noqa: F811

NAME = SecretName("api-key")
NURSERY = f"{NAME}--pending"
LAMBDA = "arn:aws:lambda:eu-central-1:123456789012:function:rotator"
TOKEN = "0123456789abcdef0123456789abcdef"


def value() -> SecretValue:
    return SecretValue(canary())


# the plain reader


def test_a_plain_reader_gets_text_as_text_bytes_as_bytes_and_fields_as_the_json_that_aws_uses(
    store: AwsStore, aws: Plain
) -> None:
    text, raw, fields = canary(), canary().encode() + b"\xff", {"username": "ingest", "password": canary()}
    for name, content in (("text", text), ("raw", raw), ("fields", fields)):
        make_current(store, SecretName(name), content)
    assert (aws.current(SecretName("text")) == text, aws.current(SecretName("raw")) == raw) == (True, True)
    assert json.loads(str(aws.current(SecretName("fields")))) == fields


def test_at_no_moment_of_a_rotation_does_the_plain_reader_see_pending_or_nothing(store: AwsStore, aws: Plain) -> None:
    first, second = canary(), canary()
    make_current(store, NAME, first)
    seen: list[object] = []
    original = store._service.call

    def call(method: str, **parameters: Any) -> dict[str, Any]:
        answer = original(method, **parameters)
        seen.append(aws.current(NAME))
        return answer

    store._service.call = call  # type: ignore[method-assign]
    pending = store.stage(NAME, SecretValue(second), "second")
    assert seen
    assert all(one == first for one in seen)
    seen.clear()
    store.promote(NAME, pending.id, expect_current=store.read(NAME).version.id)
    assert {one in (first, second) for one in seen} == {True}
    assert [one == second for one in seen] == sorted(one == second for one in seen)
    assert seen[-1] == second


def test_text_that_is_no_utf_8_comes_back_as_text(store: AwsStore) -> None:
    text = f"{canary()}\ud800"
    make_current(store, NAME, text)
    assert same(store.read(NAME).value, text)
    fields = {"half\ud800": text}
    make_current(store, NAME, fields)
    assert same(store.read(NAME).value, fields)


def test_a_value_that_would_be_written_larger_than_aws_takes_is_refused_before_the_call(
    monkeypatch: pytest.MonkeyPatch, store: AwsStore
) -> None:
    monkeypatch.setattr(store._service, "call", lambda *_args, **_kwargs: pytest.fail("something was sent"))
    with pytest.raises(InvalidSecretValueError, match="65,536"):
        store.stage(NAME, SecretValue({"field": "\x01" * 25_000}), "token")


# the nursery of a first version


def test_a_first_pending_version_is_beside_the_secret_and_moves_there_when_it_is_promoted(
    store: AwsStore, aws: Plain
) -> None:
    pending = store.stage(NAME, value(), "token")
    assert [*store.list()] == [NAME]
    with pytest.raises(aws.client.exceptions.ResourceNotFoundException):
        aws.call("describe_secret", NAME)
    assert "AWSPENDING" in aws.labels(NURSERY)[pending.id]
    store.promote(NAME, pending.id, expect_current=None)
    assert "AWSCURRENT" in aws.labels(NAME)[pending.id]
    with pytest.raises(aws.client.exceptions.ResourceNotFoundException):
        aws.call("describe_secret", NURSERY)


def test_what_was_retired_before_the_first_promotion_is_still_described_after_it(store: AwsStore) -> None:
    given_up = store.stage(NAME, value(), "first")
    store.retire(NAME, given_up.id)
    current = make_current(store, NAME, canary())
    assert [(one.id, one.stage) for one in store.describe(NAME)] == [
        (current.id, Stage.CURRENT),
        (given_up.id, Stage.RETIRED),
    ]


def test_a_secret_without_a_value_that_another_program_made_gets_its_first_version(store: AwsStore, aws: Plain) -> None:
    aws.call("create_secret", NAME, Tags=[{"Key": "cost-centre", "Value": "7"}])
    content = canary()
    make_current(store, NAME, content)
    assert aws.current(NAME) == content
    tags = {tag["Key"]: tag["Value"] for tag in aws.call("describe_secret", NAME)["Tags"]}
    assert (tags["cost-centre"], tags["vantage-secrets:environment"]) == ("7", "test")


def test_of_two_that_stage_at_once_one_has_the_pending_version(empty_moto: MotoServer, store: AwsStore) -> None:
    with open_store(empty_moto.address) as other:
        for number in range(3):
            name = SecretName(f"race/{number}")
            if number:
                make_current(store, name, canary())
            calls = [
                lambda store=one, token=token, name=name: store.stage(name, value(), token)
                for one, token in ((store, "a"), (other, "b"))
            ]
            results = race(*calls)
            refused = [result for result in results if isinstance(result, PendingVersionExistsError)]
            assert len(refused) == 1
            assert [one.stage for one in store.describe(name)].count(Stage.PENDING) == 1


def test_a_first_version_that_is_promoted_from_two_sides_is_promoted_once(
    empty_moto: MotoServer, store: AwsStore
) -> None:
    pending = store.stage(NAME, value(), "token")
    with open_store(empty_moto.address) as other:
        calls = [lambda store=one: store.promote(NAME, pending.id, expect_current=None) for one in (store, other)]
        results = race(*calls)
    assert {getattr(result, "id", result) for result in results} == {pending.id}
    assert [one.stage for one in store.describe(NAME)] == [Stage.CURRENT]


def test_a_version_whose_writer_died_before_it_was_pending_is_in_nobodys_way_and_given_up_after_an_hour(
    store: AwsStore, aws: Plain
) -> None:
    make_current(store, NAME, canary())
    salt = next(tag["Value"] for tag in aws.call("describe_secret", NAME)["Tags"] if tag["Key"].endswith(":salt"))
    drafts = {token: version_id(salt, str(NAME), token) for token in ("old", "new")}
    contents = {token: canary() for token in drafts}
    for token, hours in (("old", 2), ("new", 0)):
        label = created_label(drafts[token], datetime.now(UTC) - timedelta(hours=hours), "text")
        aws.call(
            "put_secret_value",
            NAME,
            SecretString=contents[token],
            ClientRequestToken=drafts[token],
            VersionStages=[label],
        )
    assert [one.stage for one in store.describe(NAME)] == [Stage.CURRENT]
    with pytest.raises(VersionConflictError, match="another value"):
        store.stage(NAME, value(), "new")
    make_current(store, NAME, canary())
    assert drafts["old"] not in aws.labels(NAME)
    assert drafts["new"] in aws.labels(NAME)
    assert store.stage(NAME, SecretValue(contents["new"]), "new").id == drafts["new"]
    assert store.read(NAME, stage=Stage.PENDING).value.matches(contents["new"])


# history


def test_previous_survives_ten_unrelated_writes_and_ten_given_up_pending_ones(store: AwsStore) -> None:
    content = canary()
    make_current(store, NAME, content)
    make_current(store, NAME, canary())
    for number in range(10):
        make_current(store, SecretName(f"other/{number}"), canary())
        store.retire(NAME, store.stage(NAME, value(), f"given-up-{number}").id)
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(content)


def test_the_twenty_newest_retired_versions_are_remembered_and_labels_do_not_pile_up(
    store: AwsStore, aws: Plain
) -> None:
    oldest = value()
    ids = [store.stage(NAME, oldest, "oldest").id]
    store.promote(NAME, ids[0], expect_current=None)
    for _ in range(23):
        ids.append(make_current(store, NAME, canary()).id)
    found = store.describe(NAME)
    assert [one.id for one in found] == ids[:1:-1]
    assert [one.stage for one in found[:3]] == [Stage.CURRENT, Stage.PREVIOUS, Stage.RETIRED]
    assert sum(len(labels) for labels in aws.labels(NAME).values()) == 6  # AWS allows 20 for a secret.
    assert len(aws.call("describe_secret", NAME)["Tags"]) <= 23  # AWS allows 50.
    with pytest.raises(VersionNotFoundError):
        store.read(NAME, version=ids[0])
    with pytest.raises(VersionConflictError, match="retired long ago"):
        store.stage(NAME, oldest, "oldest")
    with pytest.raises(VersionConflictError, match="another value"):
        store.stage(NAME, value(), "oldest")
    assert store.describe(NAME) == found


def test_aws_itself_still_gives_a_retired_version_to_whoever_asks_by_its_id_and_we_never_do(
    store: AwsStore, aws: Plain
) -> None:
    content = canary()
    old = make_current(store, NAME, content)
    make_current(store, NAME, canary())
    sent: list[dict[str, Any]] = []
    original = store._service.call
    store._service.call = lambda method, **given: (  # type: ignore[method-assign]
        sent.append(given) or original(method, **given)
    )
    assert store.read(NAME, version=old.id).value.matches(content)
    store.retire(NAME, old.id)
    assert old.id not in aws.labels(NAME)
    assert aws.call("get_secret_value", NAME, VersionId=old.id)["SecretString"] == content
    with pytest.raises(VersionRetiredError):
        store.read(NAME, version=old.id)
    assert sent
    assert not [given for given in sent if "VersionId" in given]


def test_a_version_that_was_purged_by_aws_stays_retired(store: AwsStore, empty_moto: MotoServer, aws: Plain) -> None:
    content = value()
    first = store.stage(NAME, content, "first")
    store.retire(NAME, first.id)
    # A purge cannot be asked for: a new secret of the same tags has none of the versions.
    tags = aws.call("describe_secret", NURSERY)["Tags"]
    aws.call("delete_secret", NURSERY, ForceDeleteWithoutRecovery=True)
    aws.call("create_secret", NURSERY, Tags=tags)
    with open_store(empty_moto.address) as other:
        again = make_current(other, NAME, canary())
        assert other.stage(NAME, content, "first").stage is Stage.RETIRED
        assert other.describe(NAME)[0] == again
        assert first.id not in aws.labels(NAME)
        with pytest.raises(VersionRetiredError):
            other.read(NAME, version=first.id)


# others who use the same secret


def test_what_another_program_made_current_is_read_and_described_and_no_stale_promotion_wins(
    store: AwsStore, aws: Plain
) -> None:
    before = make_current(store, NAME, canary())
    pending = store.stage(NAME, value(), "next")
    content = canary()
    theirs = aws.call("put_secret_value", NAME, SecretString=content)["VersionId"]
    reading = store.read(NAME)
    assert (reading.value.matches(content), reading.version.id) == (True, theirs)
    assert {one.id: one.stage for one in store.describe(NAME)} == {
        pending.id: Stage.PENDING,
        theirs: Stage.CURRENT,
        before.id: Stage.PREVIOUS,
    }
    described = next(one for one in store.describe(NAME) if one.id == theirs)
    assert reading.version == described
    assert abs(described.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    with pytest.raises(VersionConflictError):
        store.promote(NAME, pending.id, expect_current=before.id)
    assert store.promote(NAME, pending.id, expect_current=theirs).stage is Stage.CURRENT
    assert store.read(NAME, stage=Stage.PREVIOUS).version.id == theirs
    make_current(store, NAME, canary())
    assert theirs in {one.id for one in store.describe(NAME) if one.stage is Stage.RETIRED}


def test_who_loses_at_the_last_moment_leaves_no_label_that_says_it_won(
    empty_moto: MotoServer, store: AwsStore, aws: Plain
) -> None:
    first = make_current(store, NAME, canary())
    second = make_current(store, NAME, canary())
    pending = store.stage(NAME, value(), "next")
    original = store._service.call
    with open_store(empty_moto.address) as rival:

        def call(method: str, **given: Any) -> dict[str, Any]:
            if given.get("VersionStage") == "AWSCURRENT" and method == "update_secret_version_stage":
                rival.promote(NAME, first.id, expect_current=second.id)
            return original(method, **given)

        store._service.call = call  # type: ignore[method-assign]
        with pytest.raises(VersionConflictError, match=f"is {first.id}, not {second.id}"):
            store.promote(NAME, pending.id, expect_current=second.id)
    assert not [label for label in aws.labels(NAME)[pending.id] if label.startswith("vantage-promoted")]
    assert [one.stage for one in store.describe(NAME)] == [Stage.PENDING, Stage.PREVIOUS, Stage.CURRENT]


def test_current_is_what_somebody_moved_it_to_and_not_what_we_remember(store: AwsStore, aws: Plain) -> None:
    old = canary()
    first = make_current(store, NAME, old)
    second = make_current(store, NAME, canary())
    aws.call(
        "update_secret_version_stage",
        NAME,
        VersionStage="AWSCURRENT",
        MoveToVersionId=first.id,
        RemoveFromVersionId=second.id,
    )
    assert store.read(NAME).value.matches(old)
    assert store.read(NAME).version.id == first.id


def test_a_secret_that_somebody_scheduled_for_deletion_is_absent_and_not_an_old_value(
    store: AwsStore, aws: Plain
) -> None:
    version = make_current(store, NAME, canary())
    aws.call("delete_secret", NAME, RecoveryWindowInDays=7)
    for call in (
        lambda: store.read(NAME),
        lambda: store.read(NAME, version=version.id),
        lambda: store.describe(NAME),
        lambda: store.retire(NAME, version.id),
    ):
        with pytest.raises(SecretNotFoundError):
            call()
    assert ([*store.list()], [*store.read_many([NAME])], store.delete(NAME)) == ([], [], False)


def test_a_secret_that_another_program_keeps_is_read_and_not_listed_until_it_is_written_here(
    store: AwsStore, aws: Plain
) -> None:
    content = canary()
    created = aws.call("create_secret", NAME, SecretString=content)
    for other in ("Not A Name", "two--hyphens"):
        aws.call("create_secret", other, SecretString="unused")
    assert same(store.read(NAME).value, content)
    assert [*store.list()] == []
    pending = store.stage(NAME, value(), "token")
    assert [*store.list()] == [NAME]
    store.promote(NAME, pending.id, expect_current=created["VersionId"])
    assert store.read(NAME, stage=Stage.PREVIOUS).value.matches(content)


def test_a_secret_of_another_environment_is_not_listed_and_refused_by_every_verb_that_writes(
    empty_moto: MotoServer, store: AwsStore
) -> None:
    version = make_current(store, NAME, canary())
    pending = SecretName("pending")
    store.stage(pending, value(), "token")
    with open_store(empty_moto.address, environment="production") as other:
        assert [*other.list()] == []
        for call in (
            lambda: other.stage(NAME, value(), "token"),
            lambda: other.stage(pending, value(), "token"),
            lambda: other.promote(NAME, version.id, expect_current=version.id),
            lambda: other.retire(NAME, version.id),
            lambda: other.delete(NAME),
            lambda: other.delete(pending),
        ):
            with pytest.raises(EnvironmentMismatchError):
                call()
    assert [*store.list()] == [NAME, pending]


def test_two_prefixes_hold_one_name_apart_and_no_prefix_is_the_whole_region(empty_moto: MotoServer) -> None:
    urls = ("aws://eu-central-1/one", "aws://eu-central-1/two/", "aws://eu-central-1")
    stores = [open_store(empty_moto.address, url=url) for url in urls]
    contents = [canary() for _ in stores]
    for one, content in zip(stores, contents, strict=True):
        make_current(one, NAME, content)
    assert [one.read(NAME).value.matches(content) for one, content in zip(stores, contents, strict=True)] == [True] * 3
    assert [[str(name) for name in one.list()] for one in stores] == [
        ["api-key"],
        ["api-key"],
        ["api-key", "one/api-key", "two/api-key"],
    ]
    for one in stores:
        one.close()


# AWS's own rotation


def test_a_secret_that_aws_rotates_is_read_and_neither_staged_nor_promoted_and_the_way_out_is_named(
    store: AwsStore, aws: Plain
) -> None:
    content = canary()
    current = make_current(store, NAME, content)
    pending = store.stage(NAME, value(), "before")
    aws.call("rotate_secret", NAME, RotationLambdaARN=LAMBDA, ClientRequestToken=TOKEN)
    for call in (
        lambda: store.stage(NAME, value(), "token"),
        lambda: store.promote(NAME, pending.id, expect_current=current.id),
    ):
        with pytest.raises(VersionConflictError) as caught:
            call()
        assert f"aws secretsmanager cancel-rotate-secret --secret-id {PREFIX}/{NAME}" in caught.value.hint
    assert store.read(NAME).value.matches(content)


def test_the_empty_pending_version_that_a_rotation_by_aws_left_is_in_nobodys_way(store: AwsStore, aws: Plain) -> None:
    make_current(store, NAME, canary())
    aws.call("rotate_secret", NAME, RotationLambdaARN=LAMBDA, ClientRequestToken=TOKEN)
    aws.call("cancel_rotate_secret", NAME)
    assert "AWSPENDING" in aws.labels(NAME)[TOKEN]
    assert [one.stage for one in store.describe(NAME)] == [Stage.CURRENT]
    with pytest.raises(VersionNotFoundError):
        store.read(NAME, stage=Stage.PENDING)
    pending = store.stage(NAME, value(), "token")
    assert "AWSPENDING" in aws.labels(NAME)[pending.id]
    assert TOKEN not in aws.labels(NAME)


def test_a_pending_version_that_another_program_filled_is_in_the_way(store: AwsStore, aws: Plain) -> None:
    make_current(store, NAME, canary())
    theirs = aws.call("put_secret_value", NAME, SecretString=canary(), VersionStages=["AWSPENDING"])["VersionId"]
    with pytest.raises(PendingVersionExistsError, match=theirs):
        store.stage(NAME, value(), "token")
    assert store.describe(NAME)[0].id == theirs or store.describe(NAME)[0].stage is Stage.CURRENT
    store.retire(NAME, theirs)
    assert store.stage(NAME, value(), "token").stage is Stage.PENDING


# deletion and return


@pytest.mark.parametrize("days", [7, 30])
def test_a_deleted_secret_can_be_brought_back_for_as_long_as_the_store_says(
    empty_moto: MotoServer, aws: Plain, days: int
) -> None:
    content = canary()
    with open_store(empty_moto.address, recovery_window=str(days)) as store:
        make_current(store, NAME, content)
        assert store.delete(NAME) is True
        until = aws.call("describe_secret", NAME)["DeletedDate"]
        assert abs(until - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)
        aws.call("restore_secret", NAME)
        assert store.read(NAME).value.matches(content)


def test_a_deleted_secret_that_begins_anew_is_restored_and_shows_nobody_what_it_held(
    store: AwsStore, aws: Plain
) -> None:
    old = canary()
    make_current(store, NAME, canary())
    make_current(store, NAME, old)
    store.stage(NAME, value(), "pending")
    store.delete(NAME)
    pending = store.stage(NAME, value(), "pending")
    assert aws.current(NAME) == "This is a placeholder of vantage-secrets and no secret."
    assert store.describe(NAME) == (pending,)
    assert [*store.read_many([NAME])] == []
    with pytest.raises(VersionNotFoundError):
        store.read(NAME)
    with pytest.raises(VersionNotFoundError):
        store.read(NAME, stage=Stage.PREVIOUS)
    store.promote(NAME, pending.id, expect_current=None)
    assert [one.id for one in store.describe(NAME)] == [pending.id]
    assert [*aws.labels(NAME)] == [pending.id]


def test_deleting_at_once_leaves_nothing(empty_moto: MotoServer, aws: Plain) -> None:
    with open_store(empty_moto.address, recovery_window="0") as store:
        make_current(store, NAME, canary())
        store.delete(NAME)
    with pytest.raises(aws.client.exceptions.ResourceNotFoundException):
        aws.call("describe_secret", NAME)


def test_a_name_that_aws_is_still_deleting_is_tried_again_and_then_said_to_be_busy(
    store: AwsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vantage_secrets.stores.aws.errors import RequestRefusedError

    pauses: list[float] = []
    monkeypatch.setattr(store._directory.recent, "_pause", pauses.append)
    original = store._service.call
    refusals = iter([True, True, False] + [True] * 20)

    def call(method: str, **parameters: Any) -> dict[str, Any]:
        if method == "create_secret" and next(refusals):
            raise RequestRefusedError("scheduled for deletion")
        return original(method, **parameters)

    monkeypatch.setattr(store._service, "call", call)
    assert store.stage(NAME, value(), "token").stage is Stage.PENDING
    assert len(pauses) == 2
    with pytest.raises(StoreBusyError, match="still deleting"):
        store.stage(SecretName("other"), value(), "token")


# keys, batches, pages, names


def test_new_secrets_are_encrypted_with_the_key_that_the_store_names(empty_moto: MotoServer, aws: Plain) -> None:
    with open_store(empty_moto.address, kms_key_id="alias/vantage") as store:
        pending = store.stage(NAME, value(), "token")
        assert aws.call("describe_secret", NURSERY)["KmsKeyId"] == "alias/vantage"
        store.promote(NAME, pending.id, expect_current=None)
    assert aws.call("describe_secret", NAME)["KmsKeyId"] == "alias/vantage"


def test_secrets_are_read_twenty_a_call_and_listed_a_hundred_a_call(
    store: AwsStore, aws: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [{"Key": "vantage-secrets:environment", "Value": "test"}]
    contents = {SecretName(f"many/{number:03}"): canary() for number in range(105)}
    for name, content in contents.items():
        aws.call("create_secret", name, SecretString=content, Tags=tags)
    calls: list[str] = []
    original = store._service.call
    monkeypatch.setattr(
        store._service, "call", lambda method, **given: (calls.append(method), original(method, **given))[1]
    )
    assert [*store.list("many/")] == [*contents]
    assert calls == ["list_secrets"] * 2
    calls.clear()
    names = [*contents, SecretName("many/absent"), SecretName("many/000")]
    found = {reading.version.name: reading.value for reading in store.read_many(names)}
    assert [name for name, content in contents.items() if not found[name].matches(content)] == []
    assert (len(found), calls) == (105, ["batch_get_secret_value"] * 6)


def test_a_name_with_a_field_is_refused_by_every_verb(store: AwsStore) -> None:
    packed = SecretName("config#api_key")
    for call in (
        lambda: store.read(packed),
        lambda: store.describe(packed),
        lambda: [*store.read_many([packed])],
        lambda: store.stage(packed, value(), "token"),
        lambda: store.promote(packed, TOKEN, expect_current=None),
        lambda: store.retire(packed, TOKEN),
        lambda: store.delete(packed),
    ):
        with pytest.raises(UnsupportedOperationError):
            call()


# eventual consistency


def test_what_was_just_written_here_is_asked_for_again_until_aws_has_seen_it(
    store: AwsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_current(store, NAME, canary())
    content = canary()
    pauses: list[float] = []
    monkeypatch.setattr(store._directory.recent, "_pause", pauses.append)
    stale = {
        method: store._service.call(method, SecretId=f"{PREFIX}/{NAME}", **more)
        for method, more in (("get_secret_value", {"VersionStage": "AWSCURRENT"}), ("describe_secret", {}))
    }
    make_current(store, NAME, content)
    pauses.clear()
    original = store._service.call
    remaining = {"get_secret_value": 2, "describe_secret": 2}

    def call(method: str, **parameters: Any) -> dict[str, Any]:
        if remaining.get(method, 0):
            remaining[method] -= 1
            return stale[method]
        return original(method, **parameters)

    monkeypatch.setattr(store._service, "call", call)
    assert store.read(NAME).value.matches(content)
    assert store.describe(NAME)[0].stage is Stage.CURRENT
    assert len(pauses) == 4
    assert pauses[0] < pauses[1] * 3


def test_when_somebody_else_wrote_meanwhile_the_asking_ends_and_their_value_counts(
    store: AwsStore, aws: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_current(store, NAME, canary())
    content = canary()
    aws.call("put_secret_value", NAME, SecretString=content)
    pauses: list[float] = []
    monkeypatch.setattr(store._directory.recent, "_pause", pauses.append)
    assert store.read(NAME).value.matches(content)
    assert len(pauses) == 5
    assert store.read(NAME).value.matches(content)
    assert len(pauses) == 5

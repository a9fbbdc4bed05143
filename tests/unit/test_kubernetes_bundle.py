"""The rules of one Kubernetes Secret without a server: what is remembered, what fits, and what its errors say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.canary import canary
from vantage_secrets.errors import InvalidURLError, StoreError, StoreFullError, StoreIntegrityError, StoreReadOnlyError
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.kubernetes import changing
from vantage_secrets.stores.kubernetes.bundle import (
    ANNOTATION_BYTES_MAX,
    FORMAT_ANNOTATION,
    RETIRED_COUNT_MAX,
    VERSIONS_ANNOTATION,
    Bundle,
    keys_of,
)
from vantage_secrets.stores.kubernetes.encoding import decode_value, encode_value
from vantage_secrets.stores.kubernetes.errors import Verb, error_for, failure_of
from vantage_secrets.stores.kubernetes.place import Place, place_in
from vantage_secrets.stores.kubernetes.rows import VersionRow, parse_row

PLACE = Place("vantage", "secrets")
NAME = SecretName("vantage/api-key")
NOW = 1_800_000_000_000  # As long as times are, in milliseconds.


def fresh() -> Bundle:
    return Bundle(None, PLACE, "test")


def reread(bundle: Bundle) -> Bundle:
    """Return the bundle as the API server would give it back."""
    return Bundle(json.loads(json.dumps(bundle.body())), PLACE, "test")


def rotate(bundle: Bundle, name: SecretName, number: int) -> SecretVersion:
    at = NOW + number
    rows = bundle.versions(name)
    current = changing.in_stage(rows, Stage.CURRENT)
    made = changing.stage(bundle, name, SecretValue(canary()), f"token-{number}", at)
    return changing.promote(bundle, name, made.id, current.id if current else None, at)


def test_the_last_ten_retired_versions_are_remembered_and_no_more() -> None:
    bundle = fresh()
    made = [rotate(bundle, NAME, at).id for at in range(1, 20)]
    rows = reread(bundle).known(NAME)
    assert [row.id for row in rows] == made[-(RETIRED_COUNT_MAX + 2) :]
    assert [row.stage for row in rows[-2:]] == [Stage.PREVIOUS, Stage.CURRENT]
    assert {row.stage for row in rows[:-2]} == {Stage.RETIRED}


def test_when_annotations_are_full_what_was_retired_first_is_forgotten_first_and_nothing_in_use() -> None:
    bundle = fresh()
    names = [SecretName(f"service-{index}/credential") for index in range(400)]
    for round_number in range(8):
        for index, name in enumerate(names):
            rotate(bundle, name, 1_000 * round_number + index)
    found = reread(bundle)
    assert found.annotation_bytes() <= ANNOTATION_BYTES_MAX
    rows = [row for name in names for row in found.known(name)]
    assert len([row for row in rows if row.stage is not Stage.RETIRED]) == 2 * len(names)
    retired = [row.retired_at for row in rows if row.retired_at is not None]
    assert 0 < len(retired) < 6 * len(names)
    assert sorted(retired) == sorted(row.retired_at for row in _all_retired(bundle))  # Body and memory agree.
    assert min(retired) > NOW + 3_000  # The early rounds went, of all secrets alike.


def _all_retired(bundle: Bundle) -> list[Any]:
    return [row for name in bundle.names() for row in bundle.known(name) if row.retired_at is not None]


def test_more_secrets_than_the_annotations_can_hold_are_refused_with_the_way_out() -> None:
    bundle = fresh()
    for index in range(3_000):
        rotate(bundle, SecretName(f"service-{index // 2}/credential"), index)
    with pytest.raises(StoreFullError, match="1,500 secrets need") as caught:
        bundle.body()
    assert "another Secret" in caught.value.hint


def test_annotations_of_others_count() -> None:
    document = {"metadata": {"annotations": {"other/tool": "x" * (ANNOTATION_BYTES_MAX - 200)}}}
    bundle = Bundle(document, PLACE, "test")
    rotate(bundle, NAME, 1)
    rotate(bundle, NAME, 2)
    with pytest.raises(StoreFullError):
        bundle.body()


def test_the_only_version_of_a_secret_is_remembered_though_it_is_retired() -> None:
    bundle = fresh()
    made = changing.stage(bundle, NAME, SecretValue(canary()), "token", 1)
    changing.retire(bundle, NAME, made.id, 2)
    bundle.annotations["other/tool"] = "x" * (ANNOTATION_BYTES_MAX - 250)
    assert [row.stage for row in reread(bundle).known(NAME)] == [Stage.RETIRED]


def test_a_secrets_keys_are_its_own_and_go_with_it() -> None:
    bundle = fresh()
    rotate(bundle, NAME, 1)
    rotate(bundle, NAME, 2)
    changing.stage(bundle, NAME, SecretValue(canary()), "next", 3)
    assert {*keys_of(NAME)} <= bundle.data.keys()
    assert changing.delete(bundle, NAME) is True
    assert not {*keys_of(NAME)} & bundle.data.keys()
    assert reread(bundle).names() == []


def test_an_immutable_object_has_no_body_to_write() -> None:
    bundle = Bundle({"metadata": {}, "immutable": True}, PLACE, "test")
    rotate(bundle, NAME, 1)
    with pytest.raises(StoreReadOnlyError):
        bundle.body()


def test_a_later_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreError, match="format '2'") as caught:
        Bundle({"metadata": {"annotations": {FORMAT_ANNOTATION: "2"}}}, PLACE, "test")
    assert "Install the release" in caught.value.hint


@pytest.mark.parametrize("text", ["[]", "null", "1", '{"A":[[1]]}', '{"a":{}}', "[" * 100_000])
def test_an_annotation_that_is_not_ours_to_read_is_damage(text: str) -> None:
    document = fresh().body()
    document["metadata"]["annotations"][VERSIONS_ANNOTATION] = text
    with pytest.raises(StoreIntegrityError):
        Bundle(document, PLACE, "test").names()


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=9))
@settings(max_examples=200)
def test_a_row_that_was_not_written_here_is_no_row(found: list[Any]) -> None:
    with pytest.raises(ValueError, match="no version"):
        parse_row(found)


@given(
    st.sampled_from(Stage),
    st.sampled_from("tbf"),
    st.integers(0, 4 * 10**12),
    st.one_of(st.none(), st.integers(0, 4 * 10**12)),
)
def test_a_row_comes_back_as_it_was(stage: Stage, shape: str, created_at: int, other_at: int | None) -> None:
    row = VersionRow("0123456789ab", stage, shape, created_at, other_at, other_at, "token", "digest")
    assert parse_row(json.loads(json.dumps(row.as_list()))) == row


@given(
    st.one_of(
        st.text(min_size=1),
        st.binary(min_size=1),
        st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1),
    )
)
def test_a_value_comes_back_in_its_shape(content: Any) -> None:
    value = SecretValue(content)
    assert decode_value(*encode_value(value)).reveal() == content


def test_sizes_are_counted_as_kubernetes_counts_them() -> None:
    bundle = fresh()
    for length in range(7):
        bundle.put(f"key-{length}", b"x" * length)
    assert bundle.data_bytes() == sum(len(base64.b64decode(text)) for text in bundle.data.values()) == 21


@pytest.mark.parametrize(
    "url", ["kubernetes://" + "a" * 64 + "/b", "kubernetes://a/" + "b" * 254, "kubernetes://a/b..c"]
)
def test_names_longer_than_kubernetes_allows_are_refused(url: str) -> None:
    with pytest.raises(InvalidURLError, match="names no Kubernetes Secret"):
        place_in(url)


def test_a_place_is_read_from_its_url_and_tells_it() -> None:
    place = place_in("kubernetes://team-a/vantage.production")
    assert place == ("team-a", "vantage.production")
    assert place.url == "kubernetes://team-a/vantage.production"


# errors


def answer(status: int, **found: Any) -> Exception:
    from kubernetes.client.exceptions import ApiException

    exc = ApiException(status=status, reason="said")
    exc.body = json.dumps({"kind": "Status", **found})
    return exc


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (answer(413, reason="RequestEntityTooLarge"), StoreFullError),
        (answer(500, message="etcdserver: request is too large"), StoreFullError),
        (answer(422, details={"causes": [{"reason": "FieldValueTooLong", "field": "data"}]}), StoreFullError),
        (answer(422, details={"causes": [{"reason": "FieldValueForbidden", "field": "data"}]}), StoreReadOnlyError),
        (answer(422, details={"causes": []}), StoreError),
    ],
)
def test_what_the_server_says_of_size_and_change_has_an_error_of_its_own(exc: Exception, kind: type) -> None:
    failure = failure_of(exc)
    assert not failure.is_passing
    assert type(error_for(failure, Verb.UPDATE, PLACE)) is kind


def test_of_an_answer_only_words_of_kubernetes_own_lists_are_kept() -> None:
    value = canary()
    failure = failure_of(
        answer(500, reason=value, message=value, details={"kind": value, "causes": [{"reason": value}]})
    )
    said = error_for(failure, Verb.GET, PLACE)
    assert value not in str(said) + said.hint

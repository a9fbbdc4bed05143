"""The half of a store's contract that changes nothing: read, describe, list, and what values come back as."""

# ruff: noqa: D102  # A test's name is its sentence.
from __future__ import annotations

import queue
from datetime import timedelta

import pytest

from vantage_secrets.errors import (
    SecretNotFoundError,
    UnsupportedOperationError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import VALUE_BYTES_MAX, SecretName, SecretValue, Stage
from vantage_secrets.stores.contract import Capability, Health, Store
from vantage_secrets.testing.store_steps import (
    ABSENT,
    NAME,
    MakeValue,
    make_current,
    same,
    unknown_id,
)


class StoreReadingContract:
    """Tests of what a store tells; part of :class:`vantage_secrets.testing.StoreContract`, which has the fixtures."""

    # read

    def test_a_promoted_value_is_read_with_its_version(self, store: Store, make_value: MakeValue) -> None:
        value = make_value()
        version = make_current(store, NAME, value)
        reading = store.read(NAME)
        assert reading.value.matches(value)
        assert reading.version == version
        assert (version.name, version.stage) == (NAME, Stage.CURRENT)

    def test_each_stage_is_read_by_its_name(self, store: Store, make_value: MakeValue) -> None:
        first, second, third = make_value(), make_value(), make_value()
        make_current(store, NAME, first)
        make_current(store, NAME, second)
        store.stage(NAME, SecretValue(third), "third")
        found = {stage: store.read(NAME, stage=stage) for stage in (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)}
        assert found[Stage.PENDING].value.matches(third)
        assert found[Stage.CURRENT].value.matches(second)
        assert found[Stage.PREVIOUS].value.matches(first)
        assert [reading.version.stage for reading in found.values()] == [*found]

    def test_reading_by_version_works_whatever_its_stage_or_is_refused(
        self, store: Store, make_value: MakeValue
    ) -> None:
        values = [make_value() for _ in range(3)]
        ids = [make_current(store, NAME, value).id for value in values[:2]]
        ids.append(store.stage(NAME, SecretValue(values[2]), "third").id)
        if Capability.READ_BY_VERSION not in store.capabilities:
            with pytest.raises(UnsupportedOperationError):
                store.read(NAME, version=ids[0])
            return
        for version, value in zip(ids, values, strict=True):
            reading = store.read(NAME, version=version)
            assert reading.value.matches(value)
            assert reading.version.id == version

    def test_the_stage_is_ignored_when_a_version_is_given(self, store: Store, make_value: MakeValue) -> None:
        value = make_value()
        version = make_current(store, NAME, value)
        if Capability.READ_BY_VERSION not in store.capabilities:
            with pytest.raises(UnsupportedOperationError):
                store.read(NAME, stage=Stage.PENDING, version=version.id)
            return
        assert store.read(NAME, stage=Stage.PENDING, version=version.id).value.matches(value)

    def test_reading_a_secret_that_is_not_there_raises_not_found(self, store: Store) -> None:
        with pytest.raises(SecretNotFoundError) as caught:
            store.read(ABSENT)
        assert not isinstance(caught.value, VersionRetiredError)

    def test_reading_a_stage_that_no_version_is_in_raises_version_not_found(
        self, store: Store, make_value: MakeValue
    ) -> None:
        make_current(store, NAME, make_value())
        for stage in (Stage.PENDING, Stage.PREVIOUS):
            with pytest.raises(VersionNotFoundError):
                store.read(NAME, stage=stage)

    def test_reading_an_unknown_version_raises_version_not_found(self, store: Store, make_value: MakeValue) -> None:
        make_current(store, NAME, make_value())
        expected = (
            VersionNotFoundError if Capability.READ_BY_VERSION in store.capabilities else UnsupportedOperationError
        )
        with pytest.raises(expected):
            store.read(NAME, version=unknown_id(store, NAME))

    def test_reading_the_stage_retired_raises_version_retired(self, store: Store, make_value: MakeValue) -> None:
        make_current(store, NAME, make_value())
        with pytest.raises(VersionRetiredError):
            store.read(NAME, stage=Stage.RETIRED)

    # values

    def test_text_of_every_script_comes_back_as_it_was(self, store: Store, make_value: MakeValue) -> None:
        text = f"{make_value()} pässwörd \N{SNOWMAN} \N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}\t\"'\\\n\r\n "
        make_current(store, NAME, text)
        assert same(store.read(NAME).value, text)

    def test_bytes_come_back_as_bytes_or_are_refused(self, store: Store, make_value: MakeValue) -> None:
        raw = bytes(range(256)) + make_value().encode()
        if Capability.BINARY_VALUES not in store.capabilities:
            with pytest.raises(UnsupportedOperationError):
                store.stage(NAME, SecretValue(raw), "token")
            assert NAME not in [*store.list()]
            return
        make_current(store, NAME, raw)
        assert same(store.read(NAME).value, raw)

    def test_bytes_that_are_text_come_back_as_bytes_or_are_refused(self, store: Store, make_value: MakeValue) -> None:
        raw = make_value().encode()
        if Capability.BINARY_VALUES not in store.capabilities:
            with pytest.raises(UnsupportedOperationError):
                store.stage(NAME, SecretValue(raw), "token")
            return
        make_current(store, NAME, raw)
        assert same(store.read(NAME).value, raw)

    def test_named_fields_come_back_as_they_were(self, store: Store, make_value: MakeValue) -> None:
        fields = {"username": "ingest", "password": make_value(), "ünicode": "\N{SNOWMAN}"}
        make_current(store, NAME, fields)
        assert same(store.read(NAME).value, fields)

    def test_text_that_looks_like_named_fields_stays_text(self, store: Store, make_value: MakeValue) -> None:
        text = f'{{"password": "{make_value()}"}}'
        make_current(store, NAME, text)
        assert same(store.read(NAME).value, text)

    def test_a_value_of_the_maximum_size_is_kept_whole(self, store: Store, make_value: MakeValue) -> None:
        text = make_value().ljust(VALUE_BYTES_MAX, "x")
        make_current(store, NAME, text)
        assert same(store.read(NAME).value, text)

    # describe

    def test_describe_tells_all_versions_the_newest_first(self, store: Store, make_value: MakeValue) -> None:
        ids = [make_current(store, NAME, make_value()).id for _ in range(2)]
        ids.append(store.stage(NAME, SecretValue(make_value()), "third").id)
        found = store.describe(NAME)
        assert [(version.id, version.stage) for version in found] == [
            (ids[2], Stage.PENDING),
            (ids[1], Stage.CURRENT),
            (ids[0], Stage.PREVIOUS),
        ]

    def test_version_ids_are_unique_within_the_secret(self, store: Store, make_value: MakeValue) -> None:
        ids = [make_current(store, NAME, make_value()).id for _ in range(4)]
        assert len({*ids}) == len(ids)

    def test_times_are_aware_and_tell_what_happened(self, store: Store, make_value: MakeValue) -> None:
        make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        pending = store.stage(NAME, SecretValue(make_value()), "third")
        assert (pending.promoted_at, pending.retired_at) == (None, None)
        for version in store.describe(NAME):
            assert version.created_at.utcoffset() == timedelta(0)
            assert version.retired_at is None
            assert (version.promoted_at is None) == (version.stage is Stage.PENDING)
            assert version.promoted_at is None or version.promoted_at.utcoffset() == timedelta(0)

    def test_retired_versions_are_described_where_history_is_declared_and_only_there(
        self, store: Store, make_value: MakeValue
    ) -> None:
        first = make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        retired = [version for version in store.describe(NAME) if version.stage is Stage.RETIRED]
        if Capability.HISTORY not in store.capabilities:
            assert retired == []
            return
        assert [version.id for version in retired] == [first.id]
        assert retired[0].retired_at is not None
        assert retired[0].retired_at.utcoffset() == timedelta(0)

    def test_describing_a_secret_that_is_not_there_raises_not_found(self, store: Store) -> None:
        with pytest.raises(SecretNotFoundError):
            store.describe(ABSENT)

    # list

    def test_an_empty_store_lists_nothing(self, store: Store) -> None:
        assert [*store.list()] == []

    def test_names_are_listed_in_order_and_only_those_with_the_prefix(
        self, store: Store, make_value: MakeValue
    ) -> None:
        names = [SecretName(text) for text in ("b/two", "a/one", "b/one", "b-side", "b")]
        for name in names:
            make_current(store, name, make_value())
        assert [*store.list()] == sorted(names)
        assert [*store.list("b/")] == [SecretName("b/one"), SecretName("b/two")]
        assert [*store.list("b")] == sorted(names)[1:]
        assert [*store.list("a/one")] == [SecretName("a/one")]
        assert [*store.list("c")] == []

    def test_the_prefix_has_no_wildcards(self, store: Store, make_value: MakeValue) -> None:
        make_current(store, NAME, make_value())
        for prefix in ("%", "_", "*", "contract/api_key", "contract?", "CONTRACT"):
            assert [*store.list(prefix)] == []

    def test_list_is_lazy(self, store: Store, make_value: MakeValue) -> None:
        for index in range(3):
            make_current(store, SecretName(f"lazy/{index}"), make_value())
        names = store.list("lazy/")
        assert iter(names) is names
        assert next(names) == SecretName("lazy/0")

    def test_a_secret_with_only_a_pending_version_is_listed(self, store: Store, make_value: MakeValue) -> None:
        store.stage(NAME, SecretValue(make_value()), "token")
        assert [*store.list()] == [NAME]

    # read_many, watch, examine

    def test_describe_many_yields_what_describe_returns_and_leaves_out_what_is_not_there(
        self, store: Store, make_value: MakeValue
    ) -> None:
        names = [SecretName(f"many/{index}") for index in range(4)]
        for name in names:
            make_current(store, name, make_value())
        make_current(store, names[0], make_value())
        store.stage(names[1], SecretValue(make_value()), "pending")
        found = {versions[0].name: versions for versions in store.describe_many([*names, ABSENT])}
        assert found == {name: store.describe(name) for name in names}
        assert [*store.describe_many([])] == []
        assert [*store.describe_many([names[0]])] == [store.describe(names[0])]

    def test_read_many_yields_each_current_value_and_leaves_out_what_has_none(
        self, store: Store, make_value: MakeValue
    ) -> None:
        values = {SecretName(f"many/{index}"): make_value() for index in range(3)}
        for name, value in values.items():
            make_current(store, name, value)
        store.stage(NAME, SecretValue(make_value()), "token")
        found = {reading.version.name: reading for reading in store.read_many([*values, NAME, ABSENT])}
        assert sorted(found) == sorted(values)
        assert all(found[name].value.matches(value) for name, value in values.items())
        assert all(reading.version == store.read(name).version for name, reading in found.items())

    def test_watching_tells_of_each_new_current_version_or_is_refused(
        self, store: Store, make_value: MakeValue
    ) -> None:
        if Capability.WATCH not in store.capabilities:
            with pytest.raises(UnsupportedOperationError):
                store.watch(lambda _name: None)
            return
        told: queue.SimpleQueue[SecretName] = queue.SimpleQueue()

        def tell(name: SecretName) -> None:
            told.put(name)
            raise RuntimeError("what a watcher raises ends nothing")

        end = store.watch(tell)
        try:
            for name in (NAME, SecretName("contract/other"), NAME):
                make_current(store, name, make_value())
                while told.get(timeout=60) != name:
                    pass
        finally:
            end()
            end()

    def test_examining_tells_what_works_and_shows_no_value(self, store: Store, make_value: MakeValue) -> None:
        value = make_value()
        make_current(store, NAME, value)
        found = [*store.examine()]
        assert found
        assert [one for one in found if one.health is Health.BROKEN] == []
        assert all(one.next_action == "" for one in found if one.health is Health.WORKS)
        assert value not in repr(found)

    def test_examining_a_store_that_cannot_answer_raises_nothing_and_says_so(self, store: Store) -> None:
        store.close()
        assert Health.BROKEN in {one.health for one in store.examine()}

"""The half of a store's contract that changes something: stage, promote, retire, delete."""

# ruff: noqa: D102  # A test's name is its sentence.
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from vantage_secrets.errors import (
    InvalidInputError,
    PendingVersionExistsError,
    SecretNotFoundError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Store
from vantage_secrets.testing.store_steps import (
    ABSENT,
    NAME,
    MakeValue,
    assert_retired,
    make_current,
    promotion,
    race,
    same,
    unknown_id,
)


class StoreChangingContract:
    """Tests of what a store changes; part of :class:`vantage_secrets.testing.StoreContract`, which has the fixtures.

    Attributes:
        race_rounds: How often two rivals race; more where a round costs little.
    """

    race_rounds = 5

    # stage

    def test_a_pending_version_is_seen_by_no_reader_of_current(
        self,
        store: Store,
        other_store: Store,
        vendor_current: Callable[[SecretName], object],
        make_value: MakeValue,
    ) -> None:
        current, pending = make_value(), make_value()
        make_current(store, NAME, current)
        version = store.stage(NAME, SecretValue(pending), "next")
        assert version.stage is Stage.PENDING
        assert store.read(NAME).value.matches(current)
        assert other_store.read(NAME).value.matches(current)
        assert same(SecretValue(current), vendor_current(NAME))

    def test_a_first_pending_version_is_seen_by_no_reader_of_current(
        self, store: Store, vendor_current: Callable[[SecretName], object], make_value: MakeValue
    ) -> None:
        store.stage(NAME, SecretValue(make_value()), "token")
        with pytest.raises(VersionNotFoundError):
            store.read(NAME)
        assert vendor_current(NAME) is None

    def test_a_staged_version_is_durable_for_another_handle(
        self, store: Store, other_store: Store, make_value: MakeValue
    ) -> None:
        value = make_value()
        version = store.stage(NAME, SecretValue(value), "token")
        reading = other_store.read(NAME, stage=Stage.PENDING)
        assert reading.value.matches(value)
        assert reading.version == version

    def test_a_copy_is_as_old_as_what_it_was_copied_from(self, store: Store, make_value: MakeValue) -> None:
        written_at = datetime.now(UTC) - timedelta(days=40)
        version = store.stage(NAME, SecretValue(make_value()), "copied", created_at=written_at)
        assert abs(version.created_at - written_at) <= timedelta(milliseconds=1)
        promoted = store.promote(NAME, version.id, expect_current=None)
        assert promoted.created_at == version.created_at
        assert store.read(NAME).version.created_at == version.created_at
        assert [one.created_at for one in store.describe(NAME)] == [version.created_at]

    def test_the_same_token_with_the_same_value_is_one_version(
        self, store: Store, other_store: Store, make_value: MakeValue
    ) -> None:
        value = SecretValue(make_value())
        first = store.stage(NAME, value, "token")
        assert store.stage(NAME, value, "token") == first
        assert other_store.stage(NAME, value, "token") == first
        assert len(store.describe(NAME)) == 1

    def test_the_same_token_is_one_version_whatever_became_of_it_meanwhile(
        self, store: Store, make_value: MakeValue
    ) -> None:
        value = SecretValue(make_value())
        first = store.stage(NAME, value, "first")
        store.promote(NAME, first.id, expect_current=None)
        again = store.stage(NAME, value, "first")
        assert (again.id, again.stage) == (first.id, Stage.CURRENT)
        make_current(store, NAME, make_value())
        again = store.stage(NAME, value, "first")
        assert (again.id, again.stage) == (first.id, Stage.PREVIOUS)
        store.retire(NAME, first.id)
        again = store.stage(NAME, value, "first")
        assert (again.id, again.stage) == (first.id, Stage.RETIRED)
        with pytest.raises(VersionNotFoundError):
            store.read(NAME, stage=Stage.PENDING)

    def test_a_token_that_was_used_for_another_value_raises_conflict(self, store: Store, make_value: MakeValue) -> None:
        first = store.stage(NAME, SecretValue(make_value()), "token")
        with pytest.raises(VersionConflictError) as caught:
            store.stage(NAME, SecretValue(make_value()), "token")
        assert not isinstance(caught.value, PendingVersionExistsError)
        store.retire(NAME, first.id)
        with pytest.raises(VersionConflictError):
            store.stage(NAME, SecretValue(make_value()), "token")

    def test_one_token_may_serve_two_secrets(self, store: Store, make_value: MakeValue) -> None:
        other = SecretName("contract/other")
        store.stage(NAME, SecretValue(make_value()), "token")
        assert store.stage(other, SecretValue(make_value()), "token").name == other

    def test_a_second_pending_version_is_refused_and_changes_nothing(self, store: Store, make_value: MakeValue) -> None:
        value = make_value()
        first = store.stage(NAME, SecretValue(value), "first")
        with pytest.raises(PendingVersionExistsError):
            store.stage(NAME, SecretValue(make_value()), "second")
        assert store.describe(NAME) == (first,)
        assert store.read(NAME, stage=Stage.PENDING).value.matches(value)

    def test_after_a_retired_pending_version_another_may_be_staged(self, store: Store, make_value: MakeValue) -> None:
        first = store.stage(NAME, SecretValue(make_value()), "first")
        store.retire(NAME, first.id)
        assert store.stage(NAME, SecretValue(make_value()), "second").stage is Stage.PENDING

    def test_tokens_of_1_to_64_characters_are_taken_and_no_others(self, store: Store, make_value: MakeValue) -> None:
        for token in ("", "t" * 65):
            with pytest.raises(InvalidInputError):
                store.stage(NAME, SecretValue(make_value()), token)
        for index, token in enumerate(("t", "t" * 64, "a token/with:marks.and-more")):
            name = SecretName(f"contract/token-{index}")
            assert store.stage(name, SecretValue(make_value()), token).stage is Stage.PENDING

    # promote

    def test_promoting_moves_pending_current_and_previous_at_once(self, store: Store, make_value: MakeValue) -> None:
        first, second, third = (make_current(store, NAME, make_value()) for _ in range(3))
        assert (third.stage, store.read(NAME).version.id) == (Stage.CURRENT, third.id)
        assert store.read(NAME, stage=Stage.PREVIOUS).version.id == second.id
        assert_retired(store, NAME, first.id)
        with pytest.raises(VersionNotFoundError):
            store.read(NAME, stage=Stage.PENDING)

    def test_promoting_the_current_version_changes_nothing_and_returns_it(
        self, store: Store, make_value: MakeValue
    ) -> None:
        first = make_current(store, NAME, make_value())
        second = make_current(store, NAME, make_value())
        before = store.describe(NAME)
        assert store.promote(NAME, second.id, expect_current=first.id) == second
        assert store.promote(NAME, second.id, expect_current=second.id) == second
        assert store.describe(NAME) == before

    def test_promoting_the_previous_version_makes_the_two_change_places(
        self, store: Store, make_value: MakeValue
    ) -> None:
        old = make_value()
        first = make_current(store, NAME, old)
        second = make_current(store, NAME, make_value())
        assert store.promote(NAME, first.id, expect_current=second.id).stage is Stage.CURRENT
        assert store.read(NAME).value.matches(old)
        assert store.read(NAME, stage=Stage.PREVIOUS).version.id == second.id

    def test_a_roll_back_leaves_the_pending_version_pending(self, store: Store, make_value: MakeValue) -> None:
        first = make_current(store, NAME, make_value())
        second = make_current(store, NAME, make_value())
        pending = store.stage(NAME, SecretValue(make_value()), "third")
        store.promote(NAME, first.id, expect_current=second.id)
        assert store.read(NAME, stage=Stage.PENDING).version.id == pending.id

    def test_promote_with_a_stale_expectation_raises_conflict_and_changes_nothing(
        self, store: Store, make_value: MakeValue
    ) -> None:
        first = make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        pending = store.stage(NAME, SecretValue(make_value()), "third")
        before = store.describe(NAME)
        for expected in (first.id, None, pending.id):
            with pytest.raises(VersionConflictError):
                store.promote(NAME, pending.id, expect_current=expected)
        assert store.describe(NAME) == before

    def test_promote_that_expects_a_current_version_where_none_is_raises_conflict(
        self, store: Store, make_value: MakeValue
    ) -> None:
        pending = store.stage(NAME, SecretValue(make_value()), "token")
        with pytest.raises(VersionConflictError):
            store.promote(NAME, pending.id, expect_current=pending.id)

    def test_promoting_a_retired_version_raises_version_retired(self, store: Store, make_value: MakeValue) -> None:
        first = make_current(store, NAME, make_value())
        second = make_current(store, NAME, make_value())
        store.retire(NAME, first.id)
        with pytest.raises(VersionRetiredError):
            store.promote(NAME, first.id, expect_current=second.id)

    def test_promoting_what_is_not_there_raises_not_found(self, store: Store, make_value: MakeValue) -> None:
        current = make_current(store, NAME, make_value())
        with pytest.raises(SecretNotFoundError):
            store.promote(ABSENT, current.id, expect_current=None)
        with pytest.raises(VersionNotFoundError):
            store.promote(NAME, unknown_id(store, NAME), expect_current=current.id)

    def test_of_two_rivals_exactly_one_wins(self, store: Store, other_store: Store, make_value: MakeValue) -> None:
        for index in range(self.race_rounds):
            name = SecretName(f"race/{index}")
            previous = make_current(store, name, make_value())
            current = make_current(store, name, make_value())
            pending = store.stage(name, SecretValue(make_value()), "third")
            results = race(
                promotion(store, name, pending.id, current.id), promotion(other_store, name, previous.id, current.id)
            )
            winners = [result for result in results if isinstance(result, SecretVersion)]
            if Capability.COMPARE_AND_SET in store.capabilities:
                assert len(winners) == 1
                assert [type(result) for result in results if result not in winners] == [VersionConflictError]
                assert store.read(name).version.id == winners[0].id
            assert winners, f"nobody won: {results}"
            assert store.read(name).version.id in {winner.id for winner in winners}

    def test_the_same_promotion_from_two_sides_happens_once(
        self, store: Store, other_store: Store, make_value: MakeValue
    ) -> None:
        first = make_current(store, NAME, make_value())
        pending = store.stage(NAME, SecretValue(make_value()), "second")
        results = race(
            lambda: store.promote(NAME, pending.id, expect_current=first.id),
            lambda: other_store.promote(NAME, pending.id, expect_current=first.id),
        )
        assert [getattr(result, "id", result) for result in results] == [pending.id, pending.id]
        assert store.read(NAME, stage=Stage.PREVIOUS).version.id == first.id

    # retire

    def test_a_retired_version_can_be_read_by_no_call(self, store: Store, make_value: MakeValue) -> None:
        first = make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        retired = store.retire(NAME, first.id)
        assert (retired.id, retired.stage) == (first.id, Stage.RETIRED)
        assert retired.retired_at is not None
        assert_retired(store, NAME, first.id)
        with pytest.raises(VersionNotFoundError):
            store.read(NAME, stage=Stage.PREVIOUS)

    def test_retiring_twice_is_retiring_once(self, store: Store, make_value: MakeValue) -> None:
        first = store.stage(NAME, SecretValue(make_value()), "token")
        retired = store.retire(NAME, first.id)
        assert store.retire(NAME, first.id) == retired

    def test_retiring_the_current_version_raises_conflict_and_changes_nothing(
        self, store: Store, make_value: MakeValue
    ) -> None:
        value = make_value()
        current = make_current(store, NAME, value)
        with pytest.raises(VersionConflictError):
            store.retire(NAME, current.id)
        assert store.read(NAME).value.matches(value)

    def test_retiring_what_is_not_there_raises_not_found(self, store: Store, make_value: MakeValue) -> None:
        current = make_current(store, NAME, make_value())
        with pytest.raises(SecretNotFoundError):
            store.retire(ABSENT, current.id)
        with pytest.raises(VersionNotFoundError):
            store.retire(NAME, unknown_id(store, NAME))

    # delete

    def test_delete_removes_the_secret_with_all_versions(
        self, store: Store, other_store: Store, make_value: MakeValue
    ) -> None:
        make_current(store, NAME, make_value())
        make_current(store, NAME, make_value())
        store.stage(NAME, SecretValue(make_value()), "third")
        assert store.delete(NAME) is True
        for handle in (store, other_store):
            for stage in Stage:
                with pytest.raises(SecretNotFoundError):
                    handle.read(NAME, stage=stage)
            with pytest.raises(SecretNotFoundError):
                handle.describe(NAME)
            assert [*handle.list()] == []

    def test_delete_says_whether_there_was_anything_and_is_safe_to_repeat(
        self, store: Store, make_value: MakeValue
    ) -> None:
        make_current(store, NAME, make_value())
        assert [store.delete(NAME), store.delete(NAME), store.delete(ABSENT)] == [True, False, False]

    def test_delete_leaves_other_secrets_alone(self, store: Store, make_value: MakeValue) -> None:
        neighbours = [SecretName("contract/api"), SecretName("contract/api-key/x"), SecretName("contract/api-keys")]
        values = {name: make_value() for name in (*neighbours, NAME)}
        for name, value in values.items():
            make_current(store, name, value)
        store.delete(NAME)
        assert [*store.list()] == sorted(neighbours)
        assert all(store.read(name).value.matches(values[name]) for name in neighbours)

    def test_a_deleted_secret_may_begin_anew_with_an_id_of_its_own(self, store: Store, make_value: MakeValue) -> None:
        value = make_value()
        old = make_current(store, NAME, make_value())
        store.delete(NAME)
        new = make_current(store, NAME, value)
        assert new.id != old.id
        assert store.read(NAME).value.matches(value)
        assert [version.id for version in store.describe(NAME)] == [new.id]

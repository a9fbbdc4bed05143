"""The contract of a store as tests: every sentence of :mod:`vantage_secrets.stores.contract`, for any store.

A store's own test module subclasses :class:`StoreContract` and gives it the fixture ``store``::

    class TestAcmeStore(StoreContract):
        @pytest.fixture
        def store(self):
            with open_acme(...) as store:
                yield store

What a store can do beyond the verbs is tested where it declares it; where it does not, the tests assert that it
refuses. Nothing is skipped, and nothing is assumed about version ids or the store's clock.
"""

# ruff: noqa: D102  # A test's name is its sentence.
from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import pytest

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreUnavailableError,
    VantageSecretsError,
)
from vantage_secrets.secret import SecretName, SecretValue, Stage
from vantage_secrets.stores.contract import Capability, Health, Store
from vantage_secrets.testing.store_changing import StoreChangingContract
from vantage_secrets.testing.store_reading import StoreReadingContract
from vantage_secrets.testing.store_steps import (
    ABSENT,
    NAME,
    MakeValue,
    make_current,
    race,
    words,
)

VERBS: Final[dict[str, Callable[[Store], object]]] = {
    "read": lambda store: store.read(NAME),
    "describe": lambda store: store.describe(NAME),
    "list": lambda store: [*store.list()],
    "stage": lambda store: store.stage(NAME, SecretValue("unused"), "token-of-a-verb"),
    "promote": lambda store: store.promote(NAME, "1", expect_current=None),
    "retire": lambda store: store.retire(NAME, "1"),
    "delete": lambda store: store.delete(NAME),
}
"""Every verb of the contract but ``close``, by name, ready to be called on any store."""


class StoreContract(StoreReadingContract, StoreChangingContract):
    """Tests that every store passes unchanged.

    A subclass must provide the fixture ``store``: fresh, open and empty. It may override ``other_store``, a second
    handle on the same place, ``vendor_current``, the vendor's plain call, and ``make_value``.
    """

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """Yield a fresh, empty store; the subclass says which."""
        raise NotImplementedError("The subclass provides the fixture 'store'.")

    @pytest.fixture
    def other_store(self, store: Store) -> Store:
        """Return a second handle on the same place; the same handle where the subclass has no other."""
        return store

    @pytest.fixture
    def vendor_current(self, store: Store) -> Callable[[SecretName], object]:
        """Return the plain call by which the vendor's own SDK reads a secret: its value, or ``None``."""

        def read(name: SecretName) -> object:
            with suppress(SecretNotFoundError):
                return store.read(name).value.reveal()
            return None

        return read

    @pytest.fixture
    def make_value(self) -> MakeValue:
        """Return a maker of values that no other test has."""
        return lambda: secrets.token_hex(20)

    # the store itself

    def test_the_store_says_what_it_is(self, store: Store) -> None:
        assert store.url.startswith(f"{store.scheme}:")
        assert type(store).capabilities <= frozenset(Capability)

    def test_several_threads_may_use_one_store(self, store: Store, make_value: MakeValue) -> None:
        values = {SecretName(f"thread/{index}"): make_value() for index in range(4)}

        def rotate(name: SecretName) -> Callable[[], object]:
            return lambda: (make_current(store, name, "first"), make_current(store, name, values[name]))

        results = race(*(rotate(name) for name in values))
        assert [type(result) for result in results] == [tuple] * len(values)
        assert all(store.read(name).value.matches(value) for name, value in values.items())

    def test_a_store_closes_twice_and_then_every_other_verb_fails(self, store: Store) -> None:
        store.close()
        store.close()
        for call in VERBS.values():
            with pytest.raises(VantageSecretsError):
                call(store)

    def test_leaving_the_with_block_closes_the_store(self, store: Store) -> None:
        with store as entered:
            assert entered is store
        with pytest.raises(VantageSecretsError):
            store.read(NAME)

    def test_no_error_and_no_repr_holds_a_value(self, store: Store, make_value: MakeValue) -> None:
        values = [make_value() for _ in range(4)]
        first = make_current(store, NAME, values[0], token="first")
        pending = store.stage(NAME, SecretValue(values[1]), "second")
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.stage(NAME, SecretValue(values[2]), "first"),
            lambda: store.stage(NAME, SecretValue(values[3]), "third"),
            lambda: store.promote(NAME, pending.id, expect_current=None),
            lambda: store.retire(NAME, first.id),
            lambda: store.read(NAME, stage=Stage.RETIRED),
            lambda: store.read(ABSENT),
        )
        said = [repr(store), str(store), store.url, repr(store.describe(NAME)), repr(store.read(NAME))]
        for call in calls:
            with pytest.raises(VantageSecretsError) as caught:
                call()
            said += words(caught.value)
        assert not [text for text in said if any(value in text for value in values)]


class StoreOutageContract:
    """Tests for a store that can be brought to a state in which it does not answer.

    A subclass must provide the fixture ``unreachable_store``: open, and unreachable.
    """

    @pytest.fixture
    def unreachable_store(self) -> Iterator[Store]:
        """Yield an open store that does not answer; the subclass says how."""
        raise NotImplementedError("The subclass provides the fixture 'unreachable_store'.")

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_says_that_a_store_that_does_not_answer_is_unavailable(
        self, unreachable_store: Store, verb: str
    ) -> None:
        with pytest.raises(StoreUnavailableError):
            VERBS[verb](unreachable_store)

    def test_examining_a_store_that_does_not_answer_raises_nothing_and_says_so(self, unreachable_store: Store) -> None:
        assert Health.BROKEN in {one.health for one in unreachable_store.examine()}

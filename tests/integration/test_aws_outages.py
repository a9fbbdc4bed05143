"""A server that dies in the middle of each verb and comes back, one that throttles, and what errors tell of it."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from tests.canary import canary
from tests.servers.aws import MotoServer, open_store, open_through, use_login
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto, store  # noqa: F401
from tests.servers.cutting_proxy import Cut, CuttingProxy
from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from vantage_secrets.secret import SecretName, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.aws import AwsStore
from vantage_secrets.stores.aws.errors import RequestRefusedError
from vantage_secrets.testing.store_contract import VERBS
from vantage_secrets.testing.store_steps import make_current, words

# ruff: noqa: F811

NAME = SecretName("api-key")
PLACEHOLDER = "placeholder"
Verb = Callable[[AwsStore], object]


@pytest.fixture
def proxy(empty_moto: MotoServer) -> Iterator[CuttingProxy]:
    with CuttingProxy("127.0.0.1", empty_moto.port) as proxy:
        yield proxy


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the SDK waited between its tries; nothing waits."""
    found: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=found.append))
    return found


class Scene:
    """A secret in some state, what a verb does to it, and the values that readers of current may see meanwhile."""

    def __init__(self, store: AwsStore, name: SecretName) -> None:
        self.store, self.name = store, name
        self.values = [canary(), canary(), canary()]
        self.ids: list[str] = []

    def current(self, count: int) -> None:
        for content in self.values[:count]:
            self.ids.append(make_current(self.store, self.name, content).id)

    def pending(self, index: int) -> None:
        self.ids.append(self.store.stage(self.name, SecretValue(self.values[index]), f"token-{index}").id)

    def stage(self, index: int) -> Verb:
        return lambda store: store.stage(self.name, SecretValue(self.values[index]), f"token-{index}")

    def promote(self, index: int, expected: int | None) -> Verb:
        current = None if expected is None else self.ids[expected]
        return lambda store: store.promote(self.name, self.ids[index], expect_current=current)

    def retire(self, index: int) -> Verb:
        return lambda store: store.retire(self.name, self.ids[index])


def _stage_first(scene: Scene) -> Verb:
    return scene.stage(0)


def _promote_first(scene: Scene) -> Verb:
    scene.pending(0)
    return scene.promote(0, None)


def _stage_next(scene: Scene) -> Verb:
    scene.current(2)
    return scene.stage(2)


def _promote_next(scene: Scene) -> Verb:
    scene.current(2)
    scene.pending(2)
    return scene.promote(2, 1)


def _roll_back(scene: Scene) -> Verb:
    scene.current(2)
    return scene.promote(0, 1)


def _retire_previous(scene: Scene) -> Verb:
    scene.current(2)
    return scene.retire(0)


def _retire_first_pending(scene: Scene) -> Verb:
    scene.pending(0)
    return scene.retire(0)


def _delete(scene: Scene) -> Verb:
    scene.current(1)
    return lambda store: store.delete(scene.name)


def _begin_anew(scene: Scene) -> Verb:
    scene.current(1)
    scene.store.delete(scene.name)
    return scene.stage(2)


MAY_SEE = {
    _stage_first: {None},
    _promote_first: {None, 0},
    _stage_next: {1},
    _promote_next: {1, 2},
    _roll_back: {0, 1},
    _retire_previous: {1},
    _retire_first_pending: {None},
    _delete: {0, None},
    _begin_anew: {None, 0, PLACEHOLDER},
}
"""Which of a scene's values the plain reader may get while the verb is under way; ``None`` for none."""


def outcome(store: AwsStore, name: SecretName) -> list[Stage]:
    try:
        return [version.stage for version in store.describe(name)]
    except SecretNotFoundError:
        return []


@pytest.mark.parametrize("prepare", [*MAY_SEE], ids=lambda prepare: prepare.__name__.strip("_"))
def test_a_verb_that_is_cut_off_at_any_request_is_finished_by_another_process_that_calls_it_again(
    store: AwsStore,
    aws: Plain,
    empty_moto: MotoServer,
    proxy: CuttingProxy,
    pauses: list[float],
    prepare: Callable[[Scene], Verb],
) -> None:
    whole = Scene(store, SecretName("whole"))
    verb = prepare(whole)
    with open_through(proxy, timeout="5s") as through, open_store(empty_moto.address) as again:
        verb(through)
        count, expected = len(proxy.requests), outcome(again, whole.name)
        # Cut before a request the server is as it was after the one before.
        for number, when in [(1, Cut.BEFORE), *((number, Cut.AFTER) for number in range(1, count + 1))]:
            scene = Scene(store, SecretName(f"cut/{number}-{when.value}"))
            verb = prepare(scene)
            proxy.mend()
            proxy.cut(number, when)
            with pytest.raises(StoreUnavailableError):
                verb(through)
            assert proxy.has_cut
            seen = aws.current(scene.name)
            kind = scene.values.index(seen) if seen in scene.values else seen and PLACEHOLDER
            assert kind in MAY_SEE[prepare], f"cut {when.value} request {number}"
            verb(again)
            assert outcome(again, scene.name) == expected, f"cut {when.value} request {number}"


def test_one_lost_connection_is_tried_again_by_the_sdk_and_every_verb_still_tells_the_truth(
    store: AwsStore, proxy: CuttingProxy
) -> None:
    for number in range(1, 6):
        scene = Scene(store, SecretName(f"lost/{number}"))
        with open_through(proxy) as through:
            proxy.cut(number, Cut.AFTER, stay_down=False)
            version = through.stage(scene.name, SecretValue(scene.values[0]), "token")
            assert proxy.has_cut
            proxy.mend()
            proxy.cut(number + 2, Cut.AFTER, stay_down=False)
            assert through.promote(scene.name, version.id, expect_current=None).stage is Stage.CURRENT
            assert proxy.has_cut
            second = through.stage(scene.name, SecretValue(scene.values[1]), "second")
            proxy.mend()
            proxy.cut(min(number, 3), Cut.AFTER, stay_down=False)
            assert through.promote(scene.name, second.id, expect_current=version.id).id == second.id
            assert proxy.has_cut
        assert outcome(store, scene.name) == [Stage.CURRENT, Stage.PREVIOUS]
        proxy.mend()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_server_hangs_up_is_an_outage_and_works_when_it_is_back(
    store: AwsStore, proxy: CuttingProxy, verb: str
) -> None:
    with open_through(proxy, timeout="5s") as through:
        with proxy.refusing(), pytest.raises(StoreUnavailableError):
            VERBS[verb](through)
        assert [*through.list()] == []


# answers that AWS documents


class Answers:
    """A server that gives every request the next of these answers, the last one for ever."""

    def __init__(self) -> None:
        self.given: list[tuple[int, str]] = []
        self.request_count = 0
        self.marker = canary("body")
        self.words = "about"


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, code = answers.given[min(answers.request_count, len(answers.given) - 1)]
            answers.request_count += 1
            body = json.dumps({"__type": code, "Message": f"{answers.words} {answers.marker}"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


DOCUMENTED = [
    (400, "ResourceNotFoundException", SecretNotFoundError),
    (400, "AccessDeniedException", StoreAccessDeniedError),
    (400, "ExpiredTokenException", StoreAccessDeniedError),
    (400, "UnrecognizedClientException", StoreAccessDeniedError),
    (400, "InvalidSignatureException", StoreAccessDeniedError),
    (400, "DecryptionFailure", StoreAccessDeniedError),
    (403, "", StoreAccessDeniedError),
    (400, "ThrottlingException", StoreBusyError),
    (429, "", StoreBusyError),
    (400, "LimitExceededException", StoreFullError),
    (500, "InternalServiceError", StoreUnavailableError),
    (503, "ServiceUnavailable", StoreUnavailableError),
    (400, "ValidationException", RequestRefusedError),
]
"""Status and code as AWS documents them (API reference, "Common errors" and each call's own), and our error."""


@pytest.mark.parametrize(("status", "code", "error"), DOCUMENTED, ids=[f"{row[0]}-{row[1]}" for row in DOCUMENTED])
def test_each_documented_error_is_one_of_ours_and_holds_nothing_of_the_answers_body(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], status: int, code: str, error: type[StoreError]
) -> None:
    answers = Answers()
    answers.given = [(status, code)]
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(error) as caught:
            store.describe(NAME)
        with open_store(address) as store:
            found = [*store.examine()]
    said = "".join(words(caught.value)) + "".join(traceback.format_exception(caught.value)) + repr(found)
    assert answers.marker not in said
    assert caught.value.__cause__ is None
    assert caught.value.hint


def test_a_login_that_expired_says_so_and_how_to_log_in(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    answers = Answers()
    answers.given = [(400, "ExpiredTokenException")]
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(StoreAccessDeniedError, match="expired") as caught:
            store.read(NAME)
    assert "aws sso login" in caught.value.hint


def test_a_key_that_was_disabled_is_a_refusal_and_no_old_value(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    answers = Answers()
    answers.given = [(400, "DecryptionFailure")]
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(StoreAccessDeniedError, match="KMS key") as caught:
            store.read(NAME)
    assert "kms:Decrypt" in caught.value.hint


def test_a_key_that_may_not_be_used_is_told_from_a_secret_that_may_not_be_read(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    answers = Answers()
    answers.given = [(400, "AccessDeniedException")]
    answers.words = "Access to KMS is not allowed."
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(StoreAccessDeniedError, match="KMS key") as caught:
            store.read(NAME)
    assert "kms:Decrypt" in caught.value.hint


@pytest.mark.parametrize("verb", VERBS)
def test_an_answer_that_is_not_of_aws_is_an_outage_and_no_absence(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], verb: str
) -> None:
    answers = Answers()
    answers.given = [(200, "LoginPageOfAHotel")]
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(StoreUnavailableError, match="not AWS"):
            VERBS[verb](store)


def test_a_server_that_never_answers_is_an_outage(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        use_login(monkeypatch, address)
        with open_store(address, timeout="5s") as store, pytest.raises(StoreUnavailableError, match="ReadTimeout"):
            store.read(NAME)
    assert len(pauses) == 2


def test_throttling_is_waited_out_with_jitter_three_times_in_all_and_then_said_to_be_busy(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    answers = Answers()
    answers.given = [(400, "ThrottlingException")]
    with answering(answers) as address:
        use_login(monkeypatch, address)
        with open_store(address) as store, pytest.raises(StoreBusyError):
            store.read(NAME)
    assert answers.request_count == 3
    assert len(pauses) == 2
    assert sum(pauses) <= 3.0


def test_what_is_throttled_for_a_moment_works(
    empty_moto: MotoServer, store: AwsStore, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    answers = Answers()
    answers.given = [(400, "ThrottlingException"), (400, "ThrottlingException"), (400, "ResourceNotFoundException")]
    with answering(answers) as address, open_store(address) as throttled, pytest.raises(SecretNotFoundError):
        throttled.read(NAME)
    assert len(pauses) == 2


def test_a_refused_secret_in_a_batch_is_named_and_what_is_absent_is_left_out(
    store: AwsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_current(store, NAME, canary())
    original = store._service.call

    def call(method: str, **given: object) -> dict[str, object]:
        answer = original(method, **given)
        answer["Errors"] = [{"SecretId": f"vantage/test/{name}", "ErrorCode": code} for name, code in codes.items()]
        return answer

    monkeypatch.setattr(store._service, "call", call)
    codes = {"absent": "ResourceNotFoundException", "going": "InvalidRequestException"}
    names = [NAME, SecretName("absent"), SecretName("going"), SecretName("denied")]
    assert [reading.version.id for reading in store.read_many(names)] == [version.id]
    codes["denied"] = "AccessDeniedException"
    with pytest.raises(StoreAccessDeniedError, match="'denied'"):
        [*store.read_many(names)]


def test_nothing_of_a_value_is_logged_by_us_or_by_the_sdk_in_our_calls(
    store: AwsStore, caplog: pytest.LogCaptureFixture
) -> None:
    content = canary()
    version: SecretVersion = make_current(store, NAME, content)
    store.read(NAME)
    [*store.read_many([NAME])]
    store.retire(NAME, store.stage(NAME, SecretValue(canary()), "token").id)
    assert version.stage is Stage.CURRENT
    assert content not in caplog.text

"""The parts of the watcher: what a push is, what is kept of it, what was told, and whom to believe."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.leaks.made_findings import finding
from vantage_secrets.cli.watch_words import daemon_parser, repositories
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place, Report
from vantage_secrets.leaks.watch.pushes import Push, RefUpdate, read_updates, update_of
from vantage_secrets.leaks.watch.spool import Spool
from vantage_secrets.leaks.watch.told import Told
from vantage_secrets.leaks.watch.waiting import WaitingPushes
from vantage_secrets.leaks.watch.watcher import Watcher, WatchSettings
from vantage_secrets.leaks.watch.webhook import is_authentic, push_of

OLD, NEW, NONE = "a" * 40, "b" * 40, "0" * 40
SECRET = b"a secret of the webhook"


def headers(**given: str) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in given.items()}


# What Git says


def test_a_hook_is_told_of_new_moved_and_deleted_refs() -> None:
    lines = [f"{NONE} {NEW} refs/heads/new\n", f"{OLD} {NEW} refs/tags/v 1\n", f"{OLD} {NONE} refs/heads/old\n"]
    updates = read_updates(line.encode() for line in lines)
    assert [(update.is_creation, update.is_deletion) for update in updates] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert updates[1].ref == "refs/tags/v 1"


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"--all x y", f"{OLD} {NEW}".encode(), f"{OLD.upper()} {NEW} refs/heads/a".encode(), b"\xff"]
)
def test_nothing_else_passes_for_what_git_says(line: bytes) -> None:
    with pytest.raises(ValueError, match="no line of a hook"):
        read_updates([line])


def test_ids_of_both_lengths_are_ids_and_options_are_none() -> None:
    assert update_of("refs/heads/main", "a" * 64, "b" * 64)
    for wrong in ("--upload-pack=x", "a" * 41, "A" * 40, None, 7):
        assert update_of("refs/heads/main", wrong, NEW) is None


def test_a_push_comes_back_from_json_as_it_was() -> None:
    push = Push("platform/collector", "hook", (RefUpdate("refs/heads/main", OLD, NEW),))
    assert Push.of(json.loads(json.dumps(push.plain()))) == push
    for damaged in ({}, {"repository": "x"}, {"repository": "x", "origin": "y", "updates": [[1]]}):
        with pytest.raises(ValueError, match="no push"):
            Push.of(damaged)


# What is kept


def test_records_come_back_in_their_order_and_drafts_do_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(5):
        spool.add({"number": number})
    (tmp_path / "spool" / ".0001.json.abc.draft").write_text("{")
    again = Spool(tmp_path / "spool")
    assert [record.content["number"] for record in again.records()] == [0, 1, 2, 3, 4]
    again.remove(again.records()[0])
    assert [record.content["number"] for record in spool.records()] == [1, 2, 3, 4]
    assert not list((tmp_path / "spool").glob(".*"))


def test_a_damaged_record_is_said_and_not_skipped(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add({}).path.write_text("{")
    with pytest.raises(InvalidInputError, match="is damaged"):
        spool.records()


def test_what_is_kept_is_for_this_user_only(tmp_path: Path) -> None:
    record = Spool(tmp_path / "spool").add({})
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert record.path.stat().st_mode & 0o777 == 0o600


def test_a_push_that_comes_during_a_scan_waits_for_the_next_one(tmp_path: Path) -> None:
    waiting = WaitingPushes(tmp_path)
    waiting.add(Push("a", "hook"))
    taken = waiting.take("a")
    waiting.add(Push("a", "github"))
    waiting.forget(taken)
    assert waiting.repositories() == ["a"]
    assert [record.content["origin"] for record in WaitingPushes(tmp_path).take("a")] == ["github"]


def test_what_a_failed_scan_gives_back_waits_again_also_in_another_process(tmp_path: Path) -> None:
    waiting = WaitingPushes(tmp_path)
    for origin in ("hook", "github"):
        waiting.add(Push("a", origin))
    waiting.give_back("a", waiting.take("a"))
    for one in (waiting, WaitingPushes(tmp_path)):
        assert [record.content["origin"] for record in one.take("a")] == ["hook", "github"]


def test_a_hundred_that_are_being_scanned_leave_room_for_the_next(tmp_path: Path) -> None:
    waiting = WaitingPushes(tmp_path)
    for _push in range(150):
        waiting.add(Push("a", "hook"))
    assert len(waiting.take("a")) == 100
    waiting.add(Push("a", "hook"))
    assert waiting.repositories() == ["a"]


def test_a_value_at_a_place_is_told_once_whatever_its_line_and_at_each_place(tmp_path: Path) -> None:
    told = Told(tmp_path)
    first = finding("hunter2", Place("a.git", "settings.env"))
    assert told.untold("a", [first, first._replace(line=7)]) == [first]
    told.remember("a", [first])
    assert Told(tmp_path).untold("a", [first._replace(line=9)]) == []
    elsewhere = finding("hunter2", Place("a.git", "other.env"))
    another = finding("hunter3", Place("a.git", "settings.env"))
    assert told.untold("a", [elsewhere, another]) == [elsewhere, another]
    assert told.untold("b", [first]) == [first]


def test_a_line_that_a_sudden_end_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    told = Told(tmp_path)
    first, second = (finding(value, Place("a.git", "settings.env")) for value in ("hunter2", "hunter3"))
    told.remember("team/a", [first])
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 10)
    assert told.untold("team/a", [first]) == [first]
    told.remember("team/a", [second])
    assert told.untold("team/a", [first, second]) == [first]


# Whom to believe


def signed(body: bytes, secret: bytes = SECRET) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def test_the_example_of_githubs_documentation_is_authentic() -> None:
    # "Validating webhook deliveries", section "Testing the webhook payload validation".
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    given = headers(X_Hub_Signature_256=signature)
    assert is_authentic(given, b"Hello, World!", [b"It's a Secret to Everybody"])
    assert not is_authentic(given, b"Hello, World?", [b"It's a Secret to Everybody"])


@pytest.mark.parametrize(
    "given",
    [
        headers(),
        headers(X_Hub_Signature_256=""),
        headers(X_Hub_Signature_256="sha256="),
        headers(X_Hub_Signature_256="\u00e9" * 64),
        headers(X_Hub_Signature_256=SECRET.decode()),
        headers(X_Hub_Signature="sha1=" + "a" * 40),
        headers(X_Gitlab_Token=""),
        headers(X_Gitlab_Token=SECRET.decode() + "x"),
        headers(X_Gitlab_Token=signed(b"{}")),
        headers(X_Gitea_Signature="", X_Gitlab_Token=SECRET.decode() + " "),
    ],
)
def test_without_the_secret_nobody_is_believed(given: Mapping[str, str]) -> None:
    assert not is_authentic(given, b"{}", [SECRET])


def test_any_of_the_secrets_that_are_valid_now_will_do() -> None:
    given = headers(X_Gitea_Signature=signed(b"{}", b"the one before"))
    assert is_authentic(given, b"{}", [SECRET, b"the one before"])
    assert not is_authentic(given, b"{}", [])


def body(**content: Any) -> bytes:
    return json.dumps({"ref": "refs/heads/main", "before": OLD, "after": NEW, **content}).encode()


def test_pushes_of_each_forge_are_understood() -> None:
    github = body(repository={"full_name": "a/b"})
    gitlab = body(object_kind="push", project={"path_with_namespace": "group/sub/b"})
    system = body(event_name="push", project={"path_with_namespace": "group/b"})
    update = (RefUpdate("refs/heads/main", OLD, NEW),)
    assert push_of(headers(X_GitHub_Event="push"), github) == Push("a/b", "github", update)
    assert push_of(headers(X_Gitea_Event="push", X_GitHub_Event="push"), github) == Push("a/b", "gitea", update)
    assert push_of(headers(X_Forgejo_Event="push"), github) == Push("a/b", "gitea", update)
    assert push_of(headers(X_Gitlab_Event="Push Hook"), gitlab) == Push("group/sub/b", "gitlab", update)
    assert push_of(headers(X_Gitlab_Event="System Hook"), system) == Push("group/b", "gitlab", update)


def test_a_push_as_a_form_is_understood() -> None:
    form = urllib.parse.urlencode({"payload": body(repository={"full_name": "a/b"}).decode()}).encode()
    given = headers(X_GitHub_Event="push", Content_Type="application/x-www-form-urlencoded")
    push = push_of(given, form)
    assert push is not None
    assert push.repository == "a/b"


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b'{"repository": 7}', b"[" * 100_000, b"\xff\xfe"])
def test_bodies_that_are_no_push_are_none(content: bytes) -> None:
    for given in (
        headers(X_GitHub_Event="push"),
        headers(X_Gitlab_Event="Push Hook"),
        headers(X_GitHub_Event="push", Content_Type="application/x-www-form-urlencoded"),
    ):
        assert push_of(given, content) is None


def test_events_that_are_no_push_are_none() -> None:
    content = body(repository={"full_name": "a/b"}, object_kind="merge_request", project={"path_with_namespace": "a"})
    for given in (headers(X_GitHub_Event="issues"), headers(X_Gitlab_Event="Merge Request Hook"), headers()):
        assert push_of(given, content) is None


def test_ids_that_are_none_are_left_out_of_a_push() -> None:
    content = body(repository={"full_name": "a/b"}, before="--output=/etc/passwd")
    assert push_of(headers(X_GitHub_Event="push"), content) == Push("a/b", "github")


# The daemon's order of things


class Scene:
    """A watcher whose scans find what a test says, and whose log may end."""

    def __init__(self, folder: Path, values: list[str]) -> None:
        self.folder = folder
        self.values = values
        self.log: list[Mapping[str, Any]] = []
        self.notices: list[str] = []
        self.problems: list[str] = []
        self.breaks_at = ""

    def watcher(self) -> Watcher:
        return Watcher(
            WatchSettings({"A": self.folder}, self.folder / "state", self.scan, self.tell, self.notify, every_seconds=9)
        )

    def once(self) -> int:
        watcher = self.watcher()
        try:
            return watcher.run(once=True)
        finally:
            watcher.close()

    def scan(self, path: Path) -> Report:
        found = tuple(finding(value, Place(str(path), f"{value}.env")) for value in self.values)
        return Report(found, Coverage(), (), 1, "", 0, 0.0, 0.0)

    def tell(self, happening: Mapping[str, Any]) -> None:
        if happening["event"] == self.breaks_at:
            raise BrokenPipeError
        self.log.append(happening)

    def notify(self, title: str, _text: str) -> list[str]:
        self.notices += [] if self.problems else [title]
        return self.problems

    def told(self, event: str) -> int:
        return sum(happening["event"] == event for happening in self.log)


def test_what_nobody_could_read_of_is_told_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["one", "two"])
    scene.breaks_at = "finding"
    with pytest.raises(BrokenPipeError):
        scene.once()
    scene.breaks_at = ""
    assert scene.once() == 1
    assert scene.told("finding") == 2
    assert scene.once() == 0
    assert scene.notices == ["2 new leaks in A"]


def test_a_notice_that_nobody_took_is_kept_for_the_next_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["one"])
    scene.problems = ["The place does not answer."]
    assert scene.once() == 1
    assert scene.once() == 0
    scene.problems = []
    scene.once()
    scene.once()
    assert scene.notices == ["1 new leak in A"]


def test_a_scan_that_fails_is_said_without_its_words_and_the_push_waits(tmp_path: Path) -> None:
    scene = Scene(tmp_path, [])
    watcher = scene.watcher()
    assert watcher.accept(Push("a", "github"))
    scene.scan = lambda _path: json.loads("a secret")  # type: ignore[method-assign]
    watcher.close()
    assert scene.once() == 3
    (problem,) = (happening for happening in scene.log if happening["event"] == "problem")
    assert problem["reason"] == "An unexpected JSONDecodeError. It is tried again by itself."
    assert WaitingPushes(tmp_path / "state" / "pushes").repositories() == ["A"]


def test_a_repository_is_known_by_its_folder_to_hooks_only(tmp_path: Path) -> None:
    watcher = Scene(tmp_path, []).watcher()
    (tmp_path / "link").symlink_to(tmp_path)
    assert watcher.accept(Push(str(tmp_path / "link"), "hook"))
    assert not watcher.accept(Push(str(tmp_path), "github"))
    assert not watcher.accept(Push("b", "github"))
    watcher.close()


def test_a_push_to_a_repository_that_is_not_watched_any_more_is_said(tmp_path: Path) -> None:
    WaitingPushes(tmp_path / "state" / "pushes").add(Push("gone", "hook"))
    scene = Scene(tmp_path, [])
    assert scene.once() == 0
    assert "not watched any more" in scene.log[0]["reason"]


# Words


def test_names_that_a_forge_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Two repositories"):
        repositories([("Team/A", tmp_path), ("team/a", tmp_path)])
    with pytest.raises(InvalidInputError, match="no folder"):
        repositories([("a", tmp_path / "gone")])


@pytest.mark.parametrize(
    "words", [[], ["--repository", "a"], ["--repository", "=x"], ["--repository", "a=b", "--listen", "80"]]
)
def test_words_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        daemon_parser().parse_args(words)


def test_addresses_of_both_kinds_are_taken() -> None:
    words = ["--repository", "a=b", "--listen"]
    assert daemon_parser().parse_args([*words, "127.0.0.1:8787"]).listen == ("127.0.0.1", 8787)
    assert daemon_parser().parse_args([*words, "[::1]:0"]).listen == ("::1", 0)


def test_random_bytes_never_pass_for_authentic_or_break_anything() -> None:
    generator = random.Random(6)
    for _round in range(300):
        noise = generator.randbytes(generator.randrange(200))
        given = headers(
            X_Hub_Signature_256=noise.decode("latin-1"), X_GitHub_Event="push", X_Gitlab_Token=noise.decode("latin-1")
        )
        assert not is_authentic(given, noise, [SECRET])
        assert push_of(given, noise) is None

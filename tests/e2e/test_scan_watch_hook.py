"""The hooks of ``scan watch`` in real repositories: real pushes are told of, refused, or handed over."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.canary import canary
from tests.leaks.watch_scene import PROGRAM, GitServer


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled rules are kept: compiling them takes longer than these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def server(tmp_path: Path, cache: Path) -> GitServer:
    return GitServer(tmp_path, cache)


def test_the_pusher_reads_of_a_secret_and_the_push_is_taken(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare)
    work = server.clone(bare)
    assert "Clean: nothing was found." in work.push_of("MODE=fast\n")[1]
    code, written = work.push_of(f"MODE=fast\nKAFKA_SASL_PASSWORD={canary()}\n")
    assert code == 0
    assert "remote: settings.env" in written
    assert "2:21" in written
    assert f"first seen {work.day()} in {work.head()[:12]} by Author <author@dev.example>" in written
    assert server.git(bare, "rev-parse", "main") == work.head()


def test_only_what_a_push_brings_is_scanned(server: GitServer) -> None:
    bare = server.bare()
    work = server.clone(bare)
    work.push_of(f"KAFKA_SASL_PASSWORD={canary()}\n")
    server.install(bare)
    written = work.push_of("MODE=fast\n", name="other.env")[1]
    assert "Clean: nothing was found." in written


def test_a_refusing_hook_keeps_a_secret_out_and_lets_the_rest_in(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--refuse")
    work = server.clone(bare)
    assert work.push_of("MODE=fast\n")[0] == 0
    good = work.head()
    code, written = work.push_of(f"KAFKA_SASL_PASSWORD={canary()}\n")
    assert code == 1
    assert "The push is refused." in written
    assert "pre-receive hook declined" in written
    assert server.git(bare, "rev-parse", "main") == good
    server.git(work.path, "reset", "-q", "--hard", good)
    assert work.push_of("MODE=slow\n")[0] == 0
    assert work.push("HEAD:refs/heads/other")[0] == 0
    assert work.push(":other")[0] == 0


def test_a_secret_that_a_later_commit_of_the_push_takes_out_is_refused_too(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--refuse")
    work = server.clone(bare)
    work.commit("MODE=fast\n")
    guilty = work.commit(f"KAFKA_SASL_PASSWORD={canary()}\n")
    work.commit("MODE=fast\n")
    code, written = work.push()
    assert code == 1
    assert guilty[:12] in written


@pytest.mark.parametrize("place", ["commit", "tag"])
def test_a_secret_in_a_message_is_refused(server: GitServer, place: str) -> None:
    bare = server.bare()
    server.install(bare, "--refuse")
    work = server.clone(bare)
    message = f"login with KAFKA_SASL_PASSWORD={canary()}"
    if place == "commit":
        work.commit("MODE=fast\n", message=message)
        code, written = work.push()
    else:
        work.commit("MODE=fast\n")
        assert work.push()[0] == 0
        server.git(work.path, "tag", "-a", "v1", "-m", message)
        code, written = work.push("v1")
    assert code == 1
    assert f"remote: {place} " in written


def test_a_refusing_hook_that_cannot_scan_refuses(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--refuse", "--rules", str(server.folder / "gone.toml"))
    code, written = server.clone(bare).push_of("MODE=fast\n")
    assert code == 1
    assert "gone.toml" in written


def test_what_is_too_large_to_be_read_is_refused(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--refuse", "--max-file-size", "1KB")
    code, written = server.clone(bare).push_of("MODE=fast\n" * 200)
    assert code == 1
    assert "larger than" in written


def test_a_hook_before_the_push_refuses_only_when_that_was_asked_for(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare)
    (bare / "hooks" / "post-receive").rename(bare / "hooks" / "pre-receive")
    code, written = server.clone(bare).push_of(f"KAFKA_SASL_PASSWORD={canary()}\n")
    assert code == 0
    assert "1 finding in 1 place." in written


def test_a_secret_that_the_baseline_knows_is_let_in(server: GitServer) -> None:
    bare = server.bare()
    work = server.clone(bare)
    work.commit(f"KAFKA_SASL_PASSWORD={canary()}\n")
    baseline = work.path / "known.json"
    made = server.vantage("baseline", "create", "--history", str(work.path), "--baseline", str(baseline))
    assert made[0] == 0, made[1]
    baseline.rename(bare / "known.json")
    server.install(bare, "--refuse", "--baseline", "known.json")
    assert work.push()[0] == 0


def test_a_foreign_hook_is_not_overwritten(server: GitServer) -> None:
    bare = server.bare()
    hook = bare / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\necho theirs\n")
    code, written = server.command("install", str(bare))
    assert code == 2
    assert "--chain" in written
    assert hook.read_text() == "#!/bin/sh\necho theirs\n"


def test_a_chained_hook_runs_first_and_its_refusal_stands(server: GitServer) -> None:
    bare = server.bare()
    hook = bare / "hooks" / "pre-receive"
    theirs = '#!/bin/sh\nread old new ref\necho "theirs: $ref"\ncase $ref in */locked) exit 1;; esac\n'
    hook.write_text(theirs)
    hook.chmod(0o755)
    server.install(bare, "--refuse", "--chain")
    server.install(bare, "--refuse")  # again, as after an upgrade
    work = server.clone(bare)
    work.commit("MODE=fast\n")
    code, written = work.push()
    assert code == 0
    assert "theirs: refs/heads/main" in written
    assert "Clean: nothing was found." in written
    assert work.push("HEAD:locked")[0] == 1
    assert work.push_of(f"KAFKA_SASL_PASSWORD={canary()}\n")[0] == 1
    assert server.command("install", str(bare), "--refuse", "--remove")[0] == 0
    assert hook.read_text() == theirs


def test_hooks_that_other_repositories_use_too_are_left_alone(server: GitServer) -> None:
    bare = server.bare()
    shared = server.folder / "shared"
    shared.mkdir()
    server.git(bare, "config", "core.hooksPath", str(shared))
    code, written = server.command("install", str(bare))
    assert code == 2
    assert "outside the repository" in written
    assert list(shared.iterdir()) == []


def test_without_the_daemon_the_hook_scans_by_itself(server: GitServer) -> None:
    bare = server.bare()
    server.install(bare, "--socket", str(server.socket))
    code, written = server.clone(bare).push_of(f"KAFKA_SASL_PASSWORD={canary()}\n")
    assert code == 0
    assert "The watcher does not answer; the push is scanned here." in written
    assert "1 finding in 1 place." in written


def test_what_git_does_not_say_is_a_mistake(server: GitServer) -> None:
    bare = server.bare()
    done = subprocess.run(
        [PROGRAM, "scan", "watch", "hook"], cwd=bare, env=server.environment, input=b"--all\n", capture_output=True
    )
    assert done.returncode == 2
    assert b"not what Git tells a hook" in done.stderr

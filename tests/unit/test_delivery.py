"""Files in memory: private, found again by nobody but their program, and gone in the end."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.delivery import memory_files
from vantage_secrets.delivery.memory_files import MEMORY_FILE_SYSTEMS, MemoryFolder, memory_place, value_bytes
from vantage_secrets.delivery.run import find_program, run_with_environment, run_with_files, with_user_names
from vantage_secrets.errors import DeliveryError
from vantage_secrets.secret import SecretValue


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of this test's own on a file system in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="test-delivery-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def test_files_are_private_and_hold_exactly_the_values(place: Path) -> None:
    text, raw, fields = canary(), bytes(range(256)), {"username": canary(), "password": canary()}
    folder = MemoryFolder()
    paths = folder.write({"TEXT": SecretValue(text), "RAW": SecretValue(raw), "FIELDS": SecretValue(fields)})
    assert folder.path.parent == place
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o400}
    assert paths["TEXT"].read_bytes() == text.encode()
    assert paths["RAW"].read_bytes() == raw
    assert paths["FIELDS"].read_bytes() == value_bytes(SecretValue(fields))
    folder.close()
    folder.close()
    assert list(place.iterdir()) == []


def test_a_folder_in_use_stays_and_an_abandoned_one_goes_when_the_next_is_made(place: Path) -> None:
    used, abandoned = MemoryFolder(), MemoryFolder()
    abandoned.write({"KEY": SecretValue(canary())})
    os.close(abandoned.lock)  # as the kernel does when its last process is killed
    abandoned.lock = -1
    following = MemoryFolder()
    assert used.path.exists()
    assert not abandoned.path.exists()
    for folder in (used, following):
        folder.close()


def test_a_folder_that_was_taken_for_abandoned_at_its_birth_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = fcntl.flock, []

    def remove_before_the_lock_is_taken(lock: int, how: int) -> None:
        if not taken:
            taken.append(lock)
            monkeypatch.setattr(fcntl, "flock", real)
            memory_files._remove_abandoned(place)
        real(lock, how)

    monkeypatch.setattr(fcntl, "flock", remove_before_the_lock_is_taken)
    folder = MemoryFolder()
    assert taken
    assert folder.write({"KEY": SecretValue(canary())})["KEY"].exists()
    folder.close()


def test_many_at_once_do_not_remove_each_others_folders(place: Path) -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                folder = MemoryFolder()
                folder.write({"KEY": SecretValue("x")})["KEY"].read_bytes()
                folder.close()
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(place.iterdir()) == []


def test_a_runtime_folder_on_a_disk_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(
        memory_files, "_file_system_of", lambda place: "ext4" if place == tmp_path.resolve() else "tmpfs"
    )
    assert memory_place() != tmp_path.resolve()


def test_without_a_file_system_in_memory_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "_file_system_of", lambda _place: "ext4")
    with pytest.raises(DeliveryError, match="no file system in memory") as caught:
        memory_place()
    assert "--env" in caught.value.hint


def test_the_file_system_of_a_folder_is_the_one_of_its_nearest_mount(place: Path) -> None:
    assert memory_files._file_system_of(place) in MEMORY_FILE_SYSTEMS
    assert memory_files._file_system_of(Path("/proc/self")) == "proc"


def test_a_program_is_run_waited_for_and_its_code_given_back(place: Path) -> None:
    values = {"KEY": SecretValue(canary())}
    script = 'test -s "$KEY_FILE" && test "$KEY_FILE" = "$VANTAGE_SECRETS_DIR/KEY" && exit 7'
    assert run_with_files(["sh", "-c", script], values) == 7
    assert run_with_files(["sh", "-c", "kill -KILL $$"], values) == 128 + signal.SIGKILL
    assert list(place.iterdir()) == []


def test_the_handlers_of_signals_are_given_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    run_with_files(["true"], {})
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_program_that_cannot_be_started_leaves_nothing(place: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no program at all")
    broken.chmod(0o755)
    with pytest.raises(DeliveryError, match="cannot be started"):
        run_with_files([str(broken)], {"KEY": SecretValue(canary())})
    assert list(place.iterdir()) == []


def test_a_program_that_is_not_there_is_named_before_anything_is_made(place: Path) -> None:
    with pytest.raises(DeliveryError, match="no program 'no-such-program'"):
        run_with_files(["no-such-program"], {})
    assert find_program(["sh"]).endswith("/sh")
    assert list(place.iterdir()) == []


def test_a_nul_fits_no_environment_variable() -> None:
    with pytest.raises(DeliveryError, match="'KEY' holds a NUL byte") as caught:
        run_with_environment(["true"], {"KEY": SecretValue(b"a\0b")})
    assert caught.value.hint == "Leave out --env."


def test_with_the_environment_the_process_becomes_the_program() -> None:
    program = (
        "import sys\n"
        "from vantage_secrets.delivery.run import run_with_environment\n"
        "from vantage_secrets.secret import SecretValue\n"
        "run_with_environment(['sh', '-c', 'printf %s \"$KEY\"; exit 5'], {'KEY': SecretValue('p\\u00e4ss $x')})\n"
    )
    environment = os.environ | {"KEY": "an old one"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert (done.returncode, done.stdout.decode()) == (5, "päss $x")


# User names


def test_a_login_is_delivered_as_password_and_user_name_under_sibling_keys() -> None:
    password, other = canary(), canary()
    values = {
        "WORKER_PASSWORD": SecretValue({"username": "worker_b", "password": password}),
        "KAFKA_LOGIN": SecretValue({"username": "kafka_a", "password": other}),
    }
    found = with_user_names(values, {"WORKER_PASSWORD": "worker"})
    assert found.keys() == {"WORKER_PASSWORD", "WORKER_USERNAME", "KAFKA_LOGIN", "KAFKA_LOGIN_USERNAME"}
    assert found["WORKER_PASSWORD"].matches(password)
    assert found["KAFKA_LOGIN"].matches(other)
    assert found["WORKER_USERNAME"].reveal_text() == "worker_b", "the value's own name wins"
    assert found["KAFKA_LOGIN_USERNAME"].reveal_text() == "kafka_a"


def test_a_plain_password_has_the_user_name_that_the_manifest_gives_it_and_else_none() -> None:
    values = {"A_PASSWORD": SecretValue(canary()), "B_PASSWORD": SecretValue(canary())}
    found = with_user_names(values, {"A_PASSWORD": "worker", "B_PASSWORD": ""})
    assert found.keys() == {"A_PASSWORD", "A_USERNAME", "B_PASSWORD"}
    assert found["A_USERNAME"].reveal_text() == "worker"
    assert found["A_PASSWORD"] == values["A_PASSWORD"]


def test_other_named_fields_stay_together() -> None:
    values = {"DB_PASSWORD": SecretValue({"username": "a", "password": canary(), "host": "here"})}
    assert with_user_names(values, {"DB_PASSWORD": "somebody"}) == values


def test_a_user_name_never_takes_another_secrets_key() -> None:
    values = {
        "A_PASSWORD": SecretValue({"username": "a", "password": canary()}),
        "A_USERNAME": SecretValue(canary()),
    }
    with pytest.raises(DeliveryError, match="'A_USERNAME' is a secret") as caught:
        with_user_names(values, {})
    assert "another key" in caught.value.hint


def test_the_program_runs_when_its_start_is_told_and_gets_the_variables(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE", "old")
    started: list[int] = []
    script = 'echo "$$ $SERVICE"'
    assert run_with_files(["sh", "-c", script], {}, variables={"SERVICE": "new"}, on_start=started.append) == 0
    assert capfd.readouterr().out == f"{started[0]} new\n"

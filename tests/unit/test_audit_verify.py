"""Verification: keys, checkpoints, exports, and what each problem is called."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vantage_secrets.audit.checkpoint import Checkpoint, Signer
from vantage_secrets.audit.diagnosis import ProblemKind
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.export import export
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.search import search
from vantage_secrets.audit.signing_key import create_signing_key
from vantage_secrets.audit.verify import verify
from vantage_secrets.errors import AuditError, AuditIntegrityError, InvalidInputError

START = datetime(2026, 1, 1, tzinfo=UTC)


def write(folder: Path, count: int, actor: str = "ana", **options: object) -> None:
    with AuditLog(folder, **options) as log:  # type: ignore[arg-type]
        for number in range(count):
            at = START + timedelta(minutes=number)
            log.append(AuditEvent(at, actor, Action.SECRET_READ, f"vantage/key-{number}", Outcome.SUCCESS))


def problem_kind(log: Path, **options: object) -> ProblemKind | None:
    problem = verify(log, **options).problem  # type: ignore[arg-type]
    return problem and problem.kind


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, str]:
    key = create_signing_key(tmp_path / "log")
    write(tmp_path / "log", 6)
    return tmp_path / "log", key


def newest_checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint.from_json((folder / "checkpoints.jsonl").read_bytes().splitlines()[-1])


def test_an_intact_log_says_what_was_checked(signed: tuple[Path, str]) -> None:
    folder, key = signed
    found = verify(folder, public_key=key)
    assert (found.problem, found.records_count, found.segments_count, found.checkpoints_count) == (None, 6, 1, 2)
    assert (found.public_key, found.key_is_pinned, found.records_after_checkpoint_count) == (key, True, 0)
    assert found.last_hash == newest_checkpoint(folder).hash
    assert verify(folder).key_is_pinned is False
    found.raise_for_problem()


def test_a_problem_is_raised_on_request_with_its_words(signed: tuple[Path, str]) -> None:
    folder, _ = signed
    path = folder / "00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"key-2", b"key-9"))
    with pytest.raises(AuditIntegrityError, match=r"00000001\.jsonl:3: record 3 was changed"):
        verify(folder).raise_for_problem()


def test_a_pinned_key_finds_an_exchanged_key_pair(signed: tuple[Path, str], tmp_path: Path) -> None:
    folder, key = signed
    for name in ("signing.key", "signing.pub", "checkpoints.jsonl", "00000001.jsonl"):
        (folder / name).unlink()
    create_signing_key(folder)
    write(folder, 6, actor="eve")
    assert problem_kind(folder) is None
    assert problem_kind(folder, public_key=key) is ProblemKind.BAD_SIGNATURE


def test_a_changed_checkpoint_has_a_bad_signature(signed: tuple[Path, str]) -> None:
    folder, key = signed
    path = folder / "checkpoints.jsonl"
    path.write_text(path.read_text().replace('"seq":6', '"seq":5'))
    problem = verify(folder, public_key=key).problem
    assert problem is not None
    assert (problem.kind, problem.file, problem.line) == (ProblemKind.BAD_SIGNATURE, "checkpoints.jsonl", 2)


def test_checkpoints_out_of_order_and_lines_that_are_none_are_named(signed: tuple[Path, str]) -> None:
    folder, key = signed
    path = folder / "checkpoints.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(second + first)
    assert problem_kind(folder, public_key=key) is ProblemKind.BAD_CHECKPOINT
    path.write_bytes(first + b"[]\n" + second)
    assert problem_kind(folder, public_key=key) is ProblemKind.BAD_CHECKPOINT
    path.write_bytes(first + second + b'{"seq":true,"hash":"","at":"","signature":""}\n')
    assert problem_kind(folder, public_key=key) is ProblemKind.BAD_CHECKPOINT


def test_removed_checkpoints_and_a_removed_key_are_named(signed: tuple[Path, str]) -> None:
    folder, key = signed
    (folder / "signing.pub").unlink()
    assert problem_kind(folder) is ProblemKind.KEY_REMOVED
    assert problem_kind(folder, public_key=key) is None
    (folder / "checkpoints.jsonl").unlink()
    assert problem_kind(folder, public_key=key) is ProblemKind.CHECKPOINTS_REMOVED


def test_a_checkpoint_kept_elsewhere_finds_what_was_cut_off_together_with_its_checkpoints(
    signed: tuple[Path, str],
) -> None:
    folder, key = signed
    kept = Checkpoint.from_json(newest_checkpoint(folder).to_json())
    for name in ("00000001.jsonl", "checkpoints.jsonl"):
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        (folder / name).write_bytes(b"".join(lines[:-1]))
    assert problem_kind(folder, public_key=key) is None
    problem = verify(folder, public_key=key, checkpoint=kept).problem
    assert problem is not None
    assert (problem.kind, problem.seq) == (ProblemKind.CUT_OFF, 6)


def test_a_checkpoint_kept_elsewhere_must_be_signed(signed: tuple[Path, str]) -> None:
    folder, key = signed
    good = newest_checkpoint(folder)
    forged = Checkpoint(good.seq, good.hash, "2026-01-01T00:00:00.000000Z", good.signature)
    assert problem_kind(folder, public_key=key, checkpoint=good) is None
    assert problem_kind(folder, public_key=key, checkpoint=forged) is ProblemKind.BAD_SIGNATURE


def test_a_log_emptied_after_a_checkpoint_is_cut_off_at_its_first_record(signed: tuple[Path, str]) -> None:
    folder, key = signed
    (folder / "00000001.jsonl").unlink()
    problem = verify(folder, public_key=key).problem
    assert problem is not None
    assert (problem.kind, problem.seq) == (ProblemKind.CUT_OFF, 1)


def test_an_empty_log_verifies(tmp_path: Path) -> None:
    key = create_signing_key(tmp_path / "log")
    found = verify(tmp_path / "log", public_key=key)
    assert (found.problem, found.records_count, found.checkpoints_count) == (None, 0, 1)


def test_a_key_made_for_a_log_that_has_records_signs_them_at_once(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    key = create_signing_key(tmp_path / "log")
    found = verify(tmp_path / "log", public_key=key)
    assert (found.problem, found.records_after_checkpoint_count) == (None, 0)


def test_a_second_key_is_refused_and_the_first_one_stays(signed: tuple[Path, str]) -> None:
    folder, key = signed
    with pytest.raises(AuditError, match="has a signing key already"):
        create_signing_key(folder)
    assert (folder / "signing.pub").read_text().strip() == key


def test_what_is_no_key_and_what_is_no_log_are_refused(signed: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = signed
    for text in ("", "ed25519:", "ed25519:AAAA", "rsa:x", "ed25519:é"):
        with pytest.raises(InvalidInputError, match="public key"):
            verify(folder, public_key=text)
    with pytest.raises(AuditError, match="cannot be read"):
        verify(tmp_path / "nowhere")
    (tmp_path / "bad.key").write_text("not a key")
    (tmp_path / "bad.key").chmod(0o600)
    with pytest.raises(AuditError, match="is not an Ed25519 private key"):
        Signer(tmp_path / "bad.key").sign(1, b"0" * 64, START)


def test_an_export_verifies_elsewhere_and_finds_what_was_changed_there(
    signed: tuple[Path, str], tmp_path: Path
) -> None:
    folder, key = signed
    copy = tmp_path / "copy.jsonl"
    with copy.open("wb") as file:
        assert export(folder, file) == 6
    found = verify(copy, public_key=key)
    assert (found.problem, found.records_count, found.checkpoints_count) == (None, 6, 2)
    whole = copy.read_bytes()
    copy.write_bytes(whole.replace(b"key-3", b"key-9"))
    problem = verify(copy, public_key=key).problem
    assert problem is not None
    assert (problem.kind, problem.line, problem.seq) == (ProblemKind.CHANGED, 5, 4)
    copy.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
    assert problem_kind(copy, public_key=key) is ProblemKind.CUT_OFF


def test_a_selection_is_exported_as_such_and_does_not_pass_for_a_whole_log(
    signed: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = signed
    copy = tmp_path / "copy.jsonl"
    with copy.open("wb") as file:
        assert export(folder, file, since=START + timedelta(minutes=4)) == 2
    with pytest.raises(AuditIntegrityError, match="selection of records"):
        verify(copy)
    copy.write_text("{}\n")
    with pytest.raises(AuditIntegrityError, match="not an exported audit log"):
        verify(copy)


def test_csv_has_every_field_and_no_formula(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@cmd", 'a "b", c', "\ud800", "plain"]
    with AuditLog(tmp_path / "log") as log:
        for text in texts:
            log.append(AuditEvent(START, text, Action.SECRET_READ, text, Outcome.DENIED, "v1", "host/p/1", text))
    file = io.BytesIO()
    assert export(tmp_path / "log", file, format="csv") == len(texts)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    expected = ["'=1+1", "'+1", "'-1", "'@cmd", 'a "b", c', "\\ud800", "plain"]
    assert (
        [row["actor"] for row in rows] == [row["subject"] for row in rows] == [row["why"] for row in rows] == expected
    )
    hashes = [record.hash for record in search(tmp_path / "log")]
    assert [row["hash"] for row in rows] == hashes
    assert {row["at"] for row in rows} == {"2026-01-01T00:00:00.000000Z"}


def test_every_line_is_plain_json_with_its_hash_first(signed: tuple[Path, str]) -> None:
    folder, _ = signed
    for line in (folder / "00000001.jsonl").read_text().splitlines():
        assert list(json.loads(line))[:3] == ["hash", "seq", "at"]

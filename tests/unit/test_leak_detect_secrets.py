"""Baselines of detect-secrets: read as they are, and converted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.canary import canary
from tests.leaks.made_findings import FILE_NAME, KEY, TODAY, finding, in_file, known
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.baseline import load_known
from vantage_secrets.leaks.baseline.conversion import Conversion
from vantage_secrets.leaks.baseline.detect_secrets import DetectSecretsBaseline
from vantage_secrets.leaks.baseline.entry import Verdict
from vantage_secrets.leaks.baseline.known import Baseline

NAME = ".secrets.baseline"


def old_entry(path: str, value: str, **more: object) -> dict[str, Any]:
    digest = hashlib.sha1(value.encode()).hexdigest()
    return {"type": "Secret Keyword", "filename": path, "hashed_secret": digest, "is_verified": False, **more}


def write(folder: Path, *entries: dict[str, Any], **more: object) -> Path:
    results: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        results.setdefault(entry["filename"], []).append(entry)
    document = {"version": "1.5.0", "plugins_used": [], "filters_used": [], "results": results, **more}
    path = folder / NAME
    path.write_text(json.dumps(document, indent=2))
    return path


def load(path: Path) -> DetectSecretsBaseline:
    baseline = DetectSecretsBaseline.recognise(path)
    assert baseline is not None
    return baseline


def test_a_value_is_known_in_its_file_by_its_digest(tmp_path: Path) -> None:
    value = canary()
    baseline = load(write(tmp_path, old_entry("src/a.py", value, line_number=3)))
    assert baseline.has("src/a.py", value.encode())
    assert not baseline.has("src/b.py", value.encode())
    assert not baseline.has("src/a.py", canary().encode())


@pytest.mark.parametrize(
    ("more", "words"),
    [({}, "not judged yet"), ({"is_secret": True}, "real"), ({"is_secret": False}, "judged no secret")],
)
def test_a_finding_gets_the_word_that_its_audit_gave(tmp_path: Path, more: dict[str, bool], words: str) -> None:
    value = canary()
    baseline = load_known(write(tmp_path, old_entry("a.py", value, line_number=3, **more)), KEY)
    judged = baseline.judge(finding(value, in_file(tmp_path, "a.py")), value.encode())
    assert (judged.status, judged.reason) == ("baseline", f"{words}, known to detect-secrets as Secret Keyword")
    assert baseline.judge(finding(value, in_file(tmp_path, "b.py")), value.encode()).status == "new"


def test_a_value_of_the_stores_is_new_though_it_was_judged_to_be_none(tmp_path: Path) -> None:
    value = canary()
    baseline = load(write(tmp_path, old_entry("a.py", value, is_secret=False)))
    judged = baseline.judge(finding(value, in_file(tmp_path, "a.py"))._replace(known=known()), value.encode())
    assert judged.status == "new"
    assert "KAFKA_SASL_PASSWORD" in judged.reason


def test_a_private_key_is_known_by_its_header_as_its_plugin_has_it(tmp_path: Path) -> None:
    value = f"-----BEGIN EC PRIVATE KEY-----\n{canary('key')}\n-----END EC PRIVATE KEY-----"
    baseline = load(write(tmp_path, old_entry("key.pem", "BEGIN EC PRIVATE KEY", type="Private Key")))
    assert baseline.has("key.pem", value.encode())
    assert not baseline.has("key.pem", value.replace(" EC ", " RSA ").encode())


def test_of_two_plugins_the_one_that_was_judged_counts(tmp_path: Path) -> None:
    value = canary()
    for verdicts in ([None, False], [False, None]):
        entries = [
            old_entry("a.py", value, **({} if verdict is None else {"is_secret": verdict})) for verdict in verdicts
        ]
        entry = load(write(tmp_path, *entries)).entry_for(["a.py"], value.encode())
        assert entry is not None
        assert entry.is_secret is False


@pytest.mark.parametrize(
    "text",
    [
        '{"plugins_used": [], "results": ',
        '{"plugins_used": []}',
        '{"plugins_used": [], "results": {"a.py": [{"type": "x"}]}}',
        '{"plugins_used": [], "results": {"a.py": [{"type": "x", "hashed_secret": "short"}]}}',
        '["plugins_used"' + ', "plugins_used": []]',
        '{"plugins_used": [], "results": []}',
        '{"plugins_used": [], "results": {"a.py": 1}}',
    ],
)
def test_a_damaged_one_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(InvalidInputError, match="looks like a baseline of detect-secrets") as caught:
        DetectSecretsBaseline.recognise(tmp_path / NAME)
    assert caught.value.__suppress_context__


def test_what_is_none_is_not_recognised(tmp_path: Path) -> None:
    Baseline(tmp_path / FILE_NAME, KEY.key_id).save()
    assert DetectSecretsBaseline.recognise(tmp_path / FILE_NAME) is None
    assert DetectSecretsBaseline.recognise(tmp_path / "away") is None
    assert isinstance(load_known(tmp_path / FILE_NAME, KEY), Baseline)


def test_a_conversion_carries_verdicts_over_and_lists_the_rest(tmp_path: Path) -> None:
    real, none, unjudged, unfound, gone, extra = (canary(str(number)) for number in range(6))
    (tmp_path / "a.py").write_text("")
    path = write(
        tmp_path,
        old_entry("a.py", real, is_secret=True, line_number=3),
        old_entry("a.py", none, is_secret=False),
        old_entry("a.py", unjudged, is_verified=True),
        old_entry("a.py", unfound, is_secret=True, line_number=9),
        old_entry("a.py", unfound, type="Base64 High Entropy String"),
        old_entry("gone.py", gone),
        generated_at="2025-03-04T05:06:07Z",
    )
    old, baseline = load(path), Baseline(tmp_path / FILE_NAME, KEY.key_id)
    conversion = Conversion(old, baseline, TODAY)
    for value in (real, none, unjudged, extra):
        conversion.take(finding(value, in_file(tmp_path, "a.py"), line=5), value.encode())
    baseline.save()
    entries = {entry.fingerprint: entry for entry in Baseline.load(tmp_path / FILE_NAME, KEY).entries}
    verdicts = {value: entries[KEY.fingerprint(value.encode())].verdict for value in (real, none, unjudged)}
    assert verdicts == {real: Verdict.TRUE, none: Verdict.FALSE, unjudged: Verdict.OPEN}
    assert {(entry.added, entry.line) for entry in entries.values()} == {("2025-03-04", 5)}
    assert entries[KEY.fingerprint(unjudged.encode())].note == "verified by its vendor"
    assert len(conversion.others) == 1
    unmatched = conversion.unmatched(lambda name: (tmp_path / name).exists())
    assert [(item.entry.path, item.entry.is_secret, item.reason.startswith("the file")) for item in unmatched] == [
        ("a.py", True, False),
        ("gone.py", None, True),
    ]

"""Ask vendors whether found values are live, through the SDK of Kingfisher; only when a person asked for that.

SECURITY: a validation sends the candidate to a server on the Internet. So a value goes to its own vendor only: the
rule of Kingfisher that would ask must belong to the vendor that our rule names. Values of our own stores, and findings
that are settled, are never sent. The values come to the process that asks through a pipe, which other users of the
machine cannot read, unlike arguments and environment; its words go nowhere, since a client below may repeat values.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError, MissingExtraError
from vantage_secrets.leaks.finding import Finding, Place, Status

VALUES_MAX = 200
"""So many different values are asked about in one scan; the surest and first ones."""
SECONDS_MAX = 60.0
"""After so long the asking ends, and what has no answer is unknown."""
_ANSWER_SECONDS = 10.0
"""For the answer of one vendor."""
_START_SECONDS = 30.0
"""Beside ``SECONDS_MAX``: when Kingfisher compiles its rules for the first time it takes about 9 s."""

_CHILD = """
import base64, json, logging, re, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
answer_to, sys.stdout = sys.stdout, sys.stderr
logging.disable(logging.CRITICAL)
from kingfisher_sdk import Rules, Scanner, Validator
order = json.load(sys.stdin)
cache = order["cache"]
scanner = Scanner(Rules(cache_dir=cache) if cache else Rules(cache=False))
endpoints = order["endpoints"]
validator = Validator(
    timeout=order["answer_seconds"], concurrency=2, retries=0, variables=endpoints, allow_internal_ips=bool(endpoints)
)
end = time.monotonic() + order["seconds"]
lock = threading.Lock()
verdicts = {"verified_active": "active", "verified_inactive": "inactive"}

def is_asked(finding, vendors):
    words = re.split("[^a-z0-9]+", finding.rule_id.lower())
    return any(word.startswith(vendor) for word in words for vendor in vendors)

def ask(group):
    left = end - time.monotonic()
    if left <= 0:
        return
    wanted = {base64.b64decode(each["value"]): each for each in group}
    found = scanner.scan(b"".join(each["name"].encode() + b' = "' + value + b'"\\n' for value, each in wanted.items()))
    kept = []
    for finding in found:
        candidate = wanted.get(finding.secret.encode())
        if candidate and is_asked(finding, candidate["vendors"]):
            kept.append(finding)
    if not kept:
        return
    for result in validator.validate(kept, timeout=left):
        verdict = verdicts.get(result.outcome)
        if verdict is None:
            continue
        parts = [result.finding]
        if verdict == "active" and result.credential:
            parts += result.credential.components
        for part in parts:
            candidate = wanted.get(part.secret.encode())
            if candidate:
                with lock:
                    print(json.dumps([candidate["number"], verdict]), file=answer_to, flush=True)

def ask_quietly(group):
    try:
        ask(group)
    except Exception:
        pass

with ThreadPoolExecutor(4) as pool:
    list(pool.map(ask_quietly, order["groups"]))
print("[-1, \\"done\\"]", file=answer_to, flush=True)
"""

_ALSO_CALLED = {
    "brevo": ("sendinblue",),
    "google": ("gcp",),
    "langsmith": ("langchain",),
    "wandb": ("weights",),
    "xai": ("grokxaiapikey",),
    "zhipu": ("zai",),
}
"""What Kingfisher calls vendors that our rules call otherwise."""
_NO_VENDORS = frozenset(
    {"generic", "known", "password", "secret", "session", "json", "private", "api", "authorization"}
)
"""First words of our rules that name a kind and no vendor."""

ACTIVE, INACTIVE, UNKNOWN = "active", "inactive", "unknown"


class Validation(NamedTuple):
    """What came of asking.

    Attributes:
        findings: All findings, those that were candidates with their ``validity``.
        notes: What the reader of the report should know.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


class Candidates:
    """The new findings of a scan, with their values, until a vendor was asked. Shows none of them.

    Args:
        endpoints: Addresses of vendors' servers that are one's own, by Kingfisher's variables, such as
            ``GITLAB_BASE_URL``.
        cache_folder: Where Kingfisher keeps its compiled rules; nothing is kept without one.

    Raises:
        MissingExtraError: Kingfisher's SDK is not installed.
        InvalidInputError: An endpoint is no URL.
    """

    def __init__(self, endpoints: Mapping[str, str], cache_folder: Path | None) -> None:
        if find_spec("kingfisher_sdk") is None:
            raise MissingExtraError("kingfisher-secret-scanner", "validate")
        for name, url in endpoints.items():
            if not url.startswith(("https://", "http://")):
                raise InvalidInputError(f"The endpoint {name} is no URL.", hint=f"{name}=https://git.example.com")
        self._endpoints = dict(endpoints)
        self._cache_folder = cache_folder
        self._values: dict[str, bytes] = {}
        self._rules: dict[str, str] = {}
        self._places: dict[Place, list[str]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def take(self, finding: Finding, value: bytes) -> None:
        """Note a finding that may be asked about: a scan's listener."""
        if finding.status is Status.NEW and finding.known is None and vendors_of(finding.rule):
            self._values[finding.fingerprint] = value
            self._rules[finding.fingerprint] = finding.rule
            self._places.setdefault(finding.place._replace(detail=""), []).append(finding.fingerprint)

    def validated(self, findings: Iterable[Finding]) -> Validation:
        """Return ``findings`` after the vendors were asked, each value once; forgets the values."""
        groups = self._groups()
        asked = [fingerprint for group in groups for fingerprint in group]
        verdicts, notes = self._ask(groups, asked) if groups else ({}, [])
        if len(asked) < len(self._values):
            notes.append(f"Vendors were asked about {VALUES_MAX} values only, of {len(self._values)}.")
        self._values.clear()
        return Validation(tuple(_with(finding, verdicts) for finding in findings), tuple(notes))

    def _groups(self) -> list[list[str]]:
        """Return the fingerprints by place, since some credentials are pairs; each once, where most others are."""
        groups, taken = [], set[str]()
        for members in sorted(self._places.values(), key=len, reverse=True):
            fresh = [each for each in dict.fromkeys(members) if each not in taken]
            fresh = fresh[: VALUES_MAX - len(taken)]
            taken.update(fresh)
            if fresh:
                groups.append(fresh)
        return groups

    def _ask(self, groups: Sequence[Sequence[str]], asked: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        numbers = {fingerprint: number for number, fingerprint in enumerate(asked)}
        order = {
            "groups": [[self._candidate(each, numbers[each]) for each in group] for group in groups],
            "endpoints": self._endpoints,
            "cache": str(self._cache_folder / "kingfisher") if self._cache_folder else None,
            "seconds": SECONDS_MAX,
            "answer_seconds": _ANSWER_SECONDS,
        }
        answers = _answers(json.dumps(order).encode())
        verdicts = {asked[number]: verdict for number, verdict in answers if 0 <= number < len(asked)}
        is_done = any(number < 0 for number, _verdict in answers)
        return verdicts, [] if is_done else ["Vendors could not be asked about all values."]

    def _candidate(self, fingerprint: str, number: int) -> dict[str, Any]:
        rule = self._rules[fingerprint]
        return {
            "number": number,
            "name": rule.replace("-", "_"),  # many rules want the vendor's name near the value
            "vendors": vendors_of(rule),
            "value": base64.b64encode(self._values[fingerprint]).decode(),
        }


def vendors_of(rule: str) -> tuple[str, ...]:
    """Return the names of the vendor that a rule is about; none when it is about a kind of secret."""
    vendor = rule.partition("-")[0]
    return () if vendor in _NO_VENDORS or len(vendor) < 3 else (vendor, *_ALSO_CALLED.get(vendor, ()))


def _with(finding: Finding, verdicts: Mapping[str, str]) -> Finding:
    if finding.status is not Status.NEW or finding.known is not None:
        return finding
    return finding._replace(validity=verdicts.get(finding.fingerprint, UNKNOWN))


def _answers(order: bytes) -> list[tuple[int, str]]:
    """Return numbers of values with what their vendors said; what was said until the time was over, when it was."""
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-P", "-c", _CHILD],  # -P: nothing is imported from the folder that we stand in
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = process.communicate(order, timeout=SECONDS_MAX + _START_SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[0]
    return [(number, str(verdict)) for number, verdict in map(json.loads, said.splitlines()) if verdict]

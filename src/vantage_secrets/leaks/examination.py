"""From candidates to secrets: the rule itself, the judgement, decoding, files with a structure, our own values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vantage_secrets.leaks.decoding import DECODED_MAX, DEPTH_MAX, decoded_base64, reach_of, run_at
from vantage_secrets.leaks.finding import Confidence, KnownVersion
from vantage_secrets.leaks.judgement import accepts, value_of
from vantage_secrets.leaks.matching import Matcher
from vantage_secrets.leaks.patterns import compiled
from vantage_secrets.leaks.rule import REACH_MAX

if TYPE_CHECKING:
    from vantage_secrets.leaks.known import KnownSearch, RetiredLookup
    from vantage_secrets.leaks.known.words import WordSearch

Candidates = Sequence[tuple[int, int]]
"""Ids of a ``Matcher`` with the offsets where they end."""

_KNOWN = -1
"""The id, among candidates, of our own values."""
_WORDS_FROM = -2
"""From this id downwards: words that may be a value that we no longer have, one id for each shape."""
_RANKS = {Confidence.LOW: 0, Confidence.MEDIUM: 2, Confidence.HIGH: 4}
_CONTEXT = 256
"""A rule, and the judgement after it, see so much before and behind where a match may be, in bytes."""
_VERDICTS_MAX = 30_000
"""So many candidates are remembered, with what stands around them: about 20 MB."""
_CONTEXT_CATEGORIES = ("generic", "urls", "headers")
"""Rules that know a secret by what stands around it; one that knows the secret's own format tells more."""


class Detection(NamedTuple):
    """A secret in a document, with its value: it stays in memory, and becomes a ``Finding`` without it.

    Attributes:
        rule: Id of the rule.
        title: What it is.
        confidence: How sure.
        advice: What to do about this kind.
        begin: Where its first byte stands; for a decoded one, where the encoded run begins.
        end: The offset behind its last byte.
        value: The secret.
        decoded: Encodings from outside in.
        known: Which of our values it is.
        is_specific: Whether the rule knows it by its own format.
    """

    rule: str
    title: str
    confidence: Confidence
    advice: str
    begin: int
    end: int
    value: bytes
    decoded: tuple[str, ...] = ()
    known: KnownVersion | None = None
    is_specific: bool = True

    def __repr__(self) -> str:
        # SECURITY: a traceback or a log must not show the value.
        return f"Detection({self.rule!r}, {self.begin}, {self.end})"


def _word_search(retired: RetiredLookup) -> WordSearch:
    from vantage_secrets.leaks.known.words import WordSearch

    return WordSearch(retired)


class _Verdict(NamedTuple):
    """What a rule says about a candidate; offsets are in its surroundings."""

    end: int
    value_begin: int
    value_end: int
    is_secret: bool


class Examiner:
    """Finds the secrets in documents. Safe to use from several threads.

    Args:
        matcher: The rules.
        known: Our own values, to be searched for as they are.
        retired: Fingerprints of values that we no longer have.
    """

    def __init__(
        self, matcher: Matcher, known: KnownSearch | None = None, retired: RetiredLookup | None = None
    ) -> None:
        self.matcher = matcher
        self._known = known
        self._retired = retired
        self._words = _word_search(retired) if retired is not None and len(retired) else None
        self._compiled: dict[int, re.Pattern[bytes]] = {}
        self._verdicts: dict[tuple[int, int, int, bytes], _Verdict | None] = {}

    @property
    def digest(self) -> str:
        """Digest of all that is looked for; keyed where it depends on values."""
        parts = (self._known, self._retired)
        return " ".join([self.matcher.digest, *(part.digest for part in parts if part is not None)])

    def prepare(self) -> None:
        """Load what is compiled, and wait for what is still being compiled in other threads."""
        self.matcher.prepare()
        if self._known is not None:
            self._known.prepare()

    @property
    def margin(self) -> int:
        """What stands more than so many bytes before, or one byte behind, where a candidate ends does not matter."""
        parts = (self.matcher, self._known, self._words)
        return max(part.margin for part in parts if part is not None) + 1

    def survey(self, buffer: Any) -> list[tuple[int, int]]:
        """Return the candidates in ``buffer``, which may hold many documents; our own values have an id of their own.

        Args:
            buffer: Any bytes-like object.
        """
        found = self.matcher.find(buffer)
        if self._known is not None:
            found += [(_KNOWN, end) for end in self._known.marks_in(buffer)]
        if self._words is not None:
            found += [(_WORDS_FROM - shape, end) for shape, end in self._words.ends_in(buffer)]
        return found

    def _survey_alone(self, data: bytes) -> list[tuple[int, int]]:
        found = self.survey(data)
        if self._words is not None:
            found += [(_WORDS_FROM - shape, end) for shape, end in self._words.edges_of(data)]
        return found

    def examine(
        self,
        data: bytes,
        path: str = "",
        candidates: Candidates | None = None,
        miss: Callable[[str], None] | None = None,
        areas: list[tuple[int, int]] | None = None,
    ) -> list[Detection]:
        """Return the secrets in ``data``, sorted by where they begin; of several for one text the surest.

        Args:
            data: A whole document.
            path: Its path, if it has one: it may be of a kind whose structure is known.
            candidates: What ``survey`` found in it, when that is known already; sorted by offset for each id.
            miss: Told when something in it could not be read, such as too much encoded text.
            areas: Filled with begins and ends of all text that the answer depends on, besides the candidates.
        """
        areas = [] if areas is None else areas
        budget = _Budget(miss)
        if candidates is None:
            candidates = self._survey_alone(data)
        has_mark = any(index >= self.matcher.marks_from for index, _end in candidates)
        if path or has_mark or any(index < 0 for index, _end in candidates):
            areas.append((0, len(data)))
        found = list(self._from_structure(data, path, has_mark=has_mark)) if path or has_mark else []
        found += self._from_text(data, candidates, 0, budget, areas)
        if any(index == _KNOWN for index, _end in candidates):
            found += self._from_known(data)
        if self._retired is not None and self._words is not None:
            found = [self._with_retired(detection) for detection in found]
            found += self._from_words(data, candidates, self._retired)
        return _without_overlaps(found)

    def confirmed(
        self, data: bytes, candidates: Candidates, areas: list[tuple[int, int]] | None = None
    ) -> Iterator[Detection]:
        """Yield what each rule finds for itself in ``data``; what several find may be one text.

        Args:
            data: A document.
            candidates: See ``examine``.
            areas: See ``examine``.
        """
        areas = [] if areas is None else areas
        ends: dict[int, int] = {}
        for index, end in candidates:
            if _KNOWN < index < self.matcher.anchors_from:
                yield from self._confirmed(data, index, end, ends, areas)

    def _from_text(
        self, data: bytes, candidates: Candidates, depth: int, budget: _Budget, areas: list[tuple[int, int]]
    ) -> Iterator[Detection]:
        yield from self.confirmed(data, candidates, areas)
        first, last = self.matcher.anchors_from, self.matcher.names_from
        anchors = [(index, end) for index, end in candidates if first <= index < last]
        if anchors and depth < DEPTH_MAX:
            yield from self._decoded(data, anchors, depth, budget, areas)

    def _confirmed(
        self, data: bytes, index: int, end: int, ends: dict[int, int], areas: list[tuple[int, int]]
    ) -> Iterator[Detection]:
        """Try the rule where the candidate is, so that all candidates together give what ``finditer`` would."""
        active = self.matcher.rules[index]
        resume = ends.get(index, 0)
        if end <= resume:
            return
        begin = max(resume, end - active.lookback)
        low = max(0, begin - _CONTEXT)
        high = end + active.reach + _CONTEXT
        if active.is_in_line:
            high = data.find(b"\n", end, high) + 1 or high
        window = data[low:high]
        verdict = self._tried(index, window, begin - low, end - low)
        if verdict is not None and verdict.end == len(window) and active.reach < REACH_MAX:
            high = end + REACH_MAX
            verdict = self._tried(index, data[low:high], begin - low, end - low)
        areas.append((low, high))
        if verdict is None:
            return
        ends[index] = low + verdict.end
        if verdict.is_secret:
            rule, first, last = active.rule, low + verdict.value_begin, low + verdict.value_end
            is_specific = rule.category not in _CONTEXT_CATEGORIES
            confidence = Confidence(rule.confidence)
            yield Detection(
                rule.id, rule.title, confidence, rule.advice, first, last, data[first:last], is_specific=is_specific
            )

    def _tried(self, index: int, window: bytes, begin: int, end: int) -> _Verdict | None:
        """Return what the rule says about a candidate in its surroundings.

        The versions of a file in a history have most of their lines in common, so most candidates were tried before.
        """
        key = index, begin, end, window
        try:
            return self._verdicts[key]
        except KeyError:
            pass
        pattern = self._compiled.get(index) or self._compile(index)
        match = pattern.search(window, begin)
        verdict = None
        if match is not None and match.start() < end:
            verdict = _Verdict(match.end(), *value_of(match), accepts(self.matcher.rules[index].rule, match))
        if len(self._verdicts) < _VERDICTS_MAX:
            self._verdicts[key] = verdict
        return verdict

    def _compile(self, index: int) -> re.Pattern[bytes]:
        pattern = self._compiled[index] = compiled(self.matcher.rules[index].rule.regex.encode())
        return pattern

    def _decoded(
        self,
        data: bytes,
        anchors: Iterable[tuple[int, int]],
        depth: int,
        budget: _Budget,
        areas: list[tuple[int, int]],
    ) -> Iterator[Detection]:
        """Yield what stands in the encoded runs around ``anchors``, each run looked at once."""
        seen: dict[str, int] = {}
        for index, end in anchors:
            anchor = self.matcher.anchor_of(index)
            areas.append((end - reach_of(anchor), end + reach_of(anchor)))
            if end <= seen.get(anchor.kind, 0):
                continue
            run = run_at(data, end, anchor)
            if run is None:
                continue
            if not budget.take(len(run.text)):
                return
            seen[anchor.kind] = run.settled
            for inner in self._from_text(run.text, self.matcher.find(run.text), depth + 1, budget, []):
                yield inner._replace(begin=run.begin, end=run.end, decoded=(anchor.kind, *inner.decoded))
            for inner in self._ours_in(run.text):
                yield inner._replace(begin=run.begin, end=run.end, decoded=(anchor.kind, *inner.decoded))

    def _ours_in(self, text: bytes) -> Iterator[Detection]:
        """Yield our own values in decoded text."""
        if self._known is not None:
            yield from self._from_known(text)
        if self._words is not None and self._retired is not None:
            words = [*self._words.ends_in(text), *self._words.edges_of(text)]
            yield from self._from_words(text, [(_WORDS_FROM - shape, end) for shape, end in words], self._retired)

    def _from_structure(self, data: bytes, path: str, *, has_mark: bool) -> Iterator[Detection]:
        from vantage_secrets.leaks.credential_files import KINDS, parser_for, parser_of_text

        parser = parser_for(path) if path else None
        if parser is None and has_mark:
            parser = parser_of_text(data)
        if parser is None:
            return
        for field in parser(data):
            kind = KINDS[field.kind]
            value = data[field.begin : field.end]
            yield Detection(
                field.kind, kind.title, Confidence(kind.confidence), kind.advice, field.begin, field.end, value
            )

    def _from_known(self, data: bytes) -> Iterator[Detection]:
        assert self._known is not None
        for hit in self._known.find(data):
            decoded = () if hit.spelling == "raw" else (hit.spelling,)
            version, value = self._known.version_of(hit), self._known.value_of(hit)
            yield _of_ours(version, hit.begin, hit.end, value)._replace(decoded=decoded)

    def _from_words(self, data: bytes, candidates: Candidates, retired: RetiredLookup) -> Iterator[Detection]:
        assert self._words is not None
        for index, end in candidates:
            if index <= _WORDS_FROM:
                begin, last = self._words.span_of((_WORDS_FROM - index, end))
                version = retired.of(data[begin:last])
                if version is not None:
                    yield _of_ours(version, begin, last, data[begin:last])

    def _with_retired(self, detection: Detection) -> Detection:
        assert self._retired is not None
        if detection.known is not None:
            return detection
        told = self._retired.of(detection.value)
        if told is None and (inner := decoded_base64(detection.value)):
            told = self._retired.of(inner) or self._retired.of(inner.partition(b":")[2])  # a login: user:password
        return detection._replace(known=told)


def _of_ours(version: KnownVersion, begin: int, end: int, value: bytes) -> Detection:
    advice = f"Rotate it: vantage-secrets rotate {version.secret}" if version.is_dangerous else ""
    title = f"The value of {version.secret}"
    return Detection("known-value", title, Confidence.HIGH, advice, begin, end, value, known=version)


class _Budget:
    """How much of one document may still be decoded."""

    def __init__(self, miss: Callable[[str], None] | None) -> None:
        self._left = DECODED_MAX
        self._miss = miss

    def take(self, size: int) -> bool:
        if self._left < size:
            if self._miss:
                self._miss(f"more than {DECODED_MAX // 1_048_576} MiB of encoded text")
                self._miss = None
            self._left = -1  # what is smaller and comes later is not read either: it would take as long to find it
            return False
        self._left -= size
        return True


def _without_overlaps(found: list[Detection]) -> list[Detection]:
    """Return ``found`` in the order of the text, and of those that are about the same text only the surest."""
    kept: list[Detection] = []
    for cluster in _clusters(found):
        chosen: list[Detection] = []
        for detection in sorted(cluster, key=_rank):
            if not any(_is_same_text(detection, other) for other in chosen):
                chosen.append(detection)
        kept += sorted(chosen, key=_begin)
    return kept


def _clusters(found: list[Detection]) -> Iterator[list[Detection]]:
    """Yield groups of detections; those of different groups share no text."""
    cluster: list[Detection] = []
    end = 0
    for detection in sorted(found, key=_begin):
        if cluster and detection.begin >= end:
            yield cluster
            cluster = []
        cluster.append(detection)
        end = max(end, detection.end)
    if cluster:
        yield cluster


def _begin(detection: Detection) -> int:
    return detection.begin


def _rank(detection: Detection) -> tuple[bool, int, int, int, int, str]:
    """Return what sorts the surest first; the rest makes a choice among equals that is always the same."""
    surety = _RANKS[detection.confidence] + detection.is_specific
    depth = len(detection.decoded)
    return detection.known is None, -surety, depth, detection.begin, detection.end, detection.rule


def _is_same_text(one: Detection, other: Detection) -> bool:
    if one.begin >= other.end or other.begin >= one.end:
        return False
    # One encoded run may hold several secrets, and each has the whole run for its place. It may also hold secrets
    # that no encoding touches, which are found as they stand there and once more when it is decoded.
    return not (one.decoded or other.decoded) or one.value in other.value or other.value in one.value

"""The scanner finds what is labelled in the corpus, and little else."""

from __future__ import annotations

from tests.leaks.corpus.measuring import Label, measure
from tests.leaks.corpus.tree import corpus
from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.matching import open_matcher
from vantage_secrets.leaks.ruleset import load_rules, rule_files

RULES = load_rules(rule_files())
SEED, FILE_COUNT = 40_961, 480


def test_recall_and_precision_are_97_percent() -> None:
    examiner = Examiner(open_matcher(rule_files(), None))
    labels: list[Label] = []
    findings = []
    for file in corpus(RULES, SEED, FILE_COUNT):
        labels += file.labels
        findings += [
            (file.path, file.content.count(b"\n", 0, detection.begin) + 1)
            for detection in examiner.examine(file.content)
        ]
    measured = measure(labels, findings)
    assert len(labels) > 1_000
    told = f"{[label.context for label in measured.misses]}, {measured.false_alarms}"
    assert measured.recall >= 0.97, told
    assert measured.precision >= 0.97, told


def test_a_corpus_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first = list(corpus(RULES, 1, 60))
    assert first == list(corpus(RULES, 1, 60))
    assert first != list(corpus(RULES, 2, 60))


def test_a_label_tells_where_its_value_stands() -> None:
    for file in corpus(RULES, 3, 120):
        for label in file.labels:
            assert file.content.count(b"\n", 0, label.begin) + 1 == label.line
            assert file.content.count(b"\n", 0, label.end) + 1 == label.end_line
            assert label.end > label.begin


def test_measuring_counts_labels_found_and_places_without_one() -> None:
    labels = [Label("a", 1, 1, 0, 5, "password", ""), Label("a", 4, 6, 9, 50, "secret", "")]
    measured = measure(labels, [("a", 5), ("a", 5), ("b", 1)])
    assert (measured.recall, measured.precision) == (0.5, 0.5)
    assert measured.misses == (labels[0],)
    assert measured.false_alarms == (("b", 1),)
    assert measure([], []).recall == 1.0

"""A history, from what is known of it where nothing has changed since, else by reading it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage
from vantage_secrets.leaks.history.object_cache import FROM_CACHE, ObjectCache, plain_folder, state_of
from vantage_secrets.leaks.recording import Found, Recorder

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Settings


def read_history(path: Path, examiner: Examiner, recorder: Recorder, coverage: Coverage, settings: Settings) -> None:
    """Examine every object of a repository, and record what is found; from the cache what was examined before.

    Args:
        path: A folder of the repository.
        examiner: What to look for.
        recorder: Takes the findings.
        coverage: What was read is counted there, and what was not is told there.
        settings: Those of the whole scan.

    Raises:
        InvalidInputError: There is no repository, or Git cannot read it.
    """
    cache = _open_cache(examiner, recorder, settings)
    # Where the folder tells, Git is asked nothing: it would take longer to start than the answer.
    folder = plain_folder(path) if cache else None
    state = ""
    if cache and folder:
        state = state_of(path, folder, folder)
        if _is_answered(cache, state, recorder, coverage):
            return
    from vantage_secrets.leaks.history.findings import HistoryScan
    from vantage_secrets.leaks.history.repository import Repository

    repository = Repository(path)
    if cache and not folder:
        state = state_of(path, repository.folder, repository.common_folder)
        if _is_answered(cache, state, recorder, coverage):
            return
    HistoryScan(repository, examiner, recorder, coverage, settings, cache, state).run()


def _open_cache(examiner: Examiner, recorder: Recorder, settings: Settings) -> ObjectCache | None:
    """Return the cache of what is looked for; none when the values themselves are needed, which no cache has."""
    if (
        settings.cache_folder is None
        or not settings.keeps_objects
        or settings.listener
        or getattr(settings.baseline, "needs_values", False)
    ):
        return None
    key = recorder.key
    if key.note:  # it lives as long as this process
        return None
    looked_for = hashlib.sha256(f"{examiner.digest} {key.key_id} {settings.size_max}".encode()).hexdigest()
    return ObjectCache(settings.cache_folder / f"objects-{looked_for[:32]}")


def _is_answered(cache: ObjectCache, state: str, recorder: Recorder, coverage: Coverage) -> bool:
    """Record what is known of a repository in that state, if it is."""
    answer = cache.answer(state)
    if answer is None:
        return False
    coverage.add(FROM_CACHE, answer.object_count)
    coverage.notes += answer.notes
    recorder.record(Found(finding, b"") for finding in answer.findings)
    return True

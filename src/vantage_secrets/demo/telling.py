"""How the demo tells what it does: numbered steps, notes, a summary; plain where nobody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


class Teller:
    """Prints the steps of a story.

    Args:
        steps: How many there will be.
    """

    def __init__(self, *, steps: int) -> None:
        """Begin before the first step."""
        self._steps = steps
        self._step = 0
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        print(f"\n{self._styled(f'[{self._step}/{self._steps}]', '36')} {self._styled(title, '1')}", flush=True)

    def note(self, text: str) -> None:
        """Say something about the step."""
        print(f"      {text}", flush=True)

    def summary(self, title: str, lines: Mapping[str, str], *, good: bool) -> None:
        """End the story with a line for each figure."""
        print(f"\n{self._styled(title, '1;32' if good else '1;31')}")
        width = max(map(len, lines)) + 2
        for label, text in lines.items():
            print(f"  {label.ljust(width)}{text}")

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._coloured else text

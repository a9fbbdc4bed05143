"""What the run showed: figures, the faults among them, a text for people and JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rotating import Rotation
from vantage_secrets.rotation.steps import SEQUENCE


@dataclass(frozen=True)
class Stored:
    """What lies in the table at the end, compared with what the collector accepted.

    Attributes:
        rows_count: Rows of this run.
        lost_count: Accepted ids that no row has.
        doubled_count: Rows whose id another row has already.
        extra_count: Ids of rows whose request was not answered as accepted.
    """

    rows_count: int
    lost_count: int
    doubled_count: int
    extra_count: int

    @classmethod
    def compared(cls, accepted: list[str], stored: list[str]) -> Stored:
        """Compare ids that were accepted with ids that are stored, one for each row."""
        ids = set(stored)
        return cls(len(stored), len(set(accepted) - ids), len(stored) - len(ids), len(ids - set(accepted)))


@dataclass(frozen=True)
class Report:
    """A whole run.

    Attributes:
        rates: What was asked of each load, requests a second.
        loads: What ``load.py`` wrote, by load: events and queries.
        stored: The table at the end.
        rotations: In the order in which they were done.
        expected_count: How many rotations there should be.
        tried_count: How many old credentials were tried once more at the end.
        alive: Those of them that were not refused.
        leaks: Files that hold a value in the clear.
        audit: What is wrong with the audit log, or empty.
    """

    rates: dict[str, float]
    loads: dict[str, dict[str, Any]]
    stored: Stored
    rotations: list[Rotation]
    expected_count: int
    tried_count: int
    alive: list[str]
    leaks: list[str]
    audit: str

    def faults(self) -> list[str]:
        """Return what is not as promised; empty when all is well."""
        found = []
        for name, load in self.loads.items():
            failed = sum(load["failed"].values())
            if failed:
                found.append(f"{failed} {name} failed: {load['failed']}")
            # A load that could not keep its rate has proven less than it says.
            if load["sent"] < 0.99 * self.rates[name] * load["seconds"]:
                found.append(f"only {load['sent'] / load['seconds']:.0f} {name} a second, not {self.rates[name]:.0f}")
        for word in ("lost", "doubled", "extra"):
            if count := getattr(self.stored, f"{word}_count"):
                found.append(f"{count} events {word}")
        found += [f"{each.secret}, round {each.round}: not whole" for each in self.rotations if not each.is_good]
        if len(self.rotations) != self.expected_count:
            found.append(f"{len(self.rotations)} rotations, not {self.expected_count}")
        found += [f"still alive: {each}" for each in self.alive]
        found += [f"a value in the clear: {each}" for each in self.leaks]
        return [*found, f"audit log: {self.audit}"] if self.audit else found

    def lines(self) -> dict[str, str]:
        """Return the summary, one line a figure."""
        whole = sum(each.is_good for each in self.rotations)
        stored = self.stored
        return {
            **{name: self._load_line(name) for name in self.loads},
            "in the table": f"{stored.rows_count:,} rows, {stored.lost_count} lost, {stored.doubled_count} doubled",
            "rotations": f"{whole} of {self.expected_count} whole",
            "old credentials": f"{self.tried_count - len(self.alive)} of {self.tried_count} refused",
            "audit log": self.audit or "verified",
            "values in the clear": ", ".join(self.leaks) or "none",
        }

    def table(self) -> str:
        """Return the time at which each step of each rotation was done, in seconds after its beginning."""
        width = max((len(each.secret) for each in self.rotations), default=0) + 2
        steps = [str(step) for step in SEQUENCE]
        rows = []
        for round_ in sorted({each.round for each in self.rotations}):
            rows.append(f"  {f'round {round_}':<{width}}" + "".join(f"{step:>{len(step) + 2}}" for step in steps))
            rows += [self._row(each, width, steps) for each in self.rotations if each.round == round_]
        return "\n".join(rows)

    def as_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            "rates": self.rates,
            "loads": self.loads,
            "stored": vars(self.stored),
            "rotations": [
                {
                    "secret": each.secret,
                    "round": each.round,
                    "steps": {step: round(seconds, 3) for step, seconds in each.steps},
                    "seconds": round(each.seconds, 3),
                    "old": str(each.old),
                    "new": str(each.new),
                }
                for each in self.rotations
            ],
            "old_credentials": {"tried": self.tried_count, "alive": self.alive},
            "leaks": self.leaks,
            "audit": self.audit,
            "faults": self.faults(),
        }

    def _load_line(self, name: str) -> str:
        load = self.loads[name]
        failed = sum(load["failed"].values())
        times = f"half under {load['median_ms']} ms, 99 % under {load['p99_ms']} ms, slowest {load['slowest_ms']} ms"
        return f"{load['good']:,} answered, {failed} failed ({load['sent'] / load['seconds']:.0f} a second; {times})"

    def _row(self, rotation: Rotation, width: int, steps: list[str]) -> str:
        times = [rotation.until(step) for step in steps]
        cells = ["-" if time is None else f"{time:.2f}" for time in times]
        row = "".join(f"{cell:>{len(step) + 2}}" for cell, step in zip(cells, steps, strict=True))
        return f"  {rotation.secret:<{width}}{row}"

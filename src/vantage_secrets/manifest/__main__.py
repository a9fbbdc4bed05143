"""``python -m vantage_secrets.manifest`` prints the JSON Schema; ``--write`` renews the checkout's generated files."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from vantage_secrets.manifest.reference import reference_page
from vantage_secrets.manifest.schema import json_schema

_PACKAGE = Path(__file__).parents[1]
SCHEMA_FILE = _PACKAGE / "vantage-secrets.schema.json"
"""The schema as the wheel ships it."""
PAGE_FILE = _PACKAGE.parents[1] / "docs" / "reference" / "manifest.md"
"""The reference page; there is one only in a checkout."""


def generated_files() -> dict[Path, str]:
    """Return what each generated file must hold."""
    return {SCHEMA_FILE: json.dumps(json_schema(), indent=2) + "\n", PAGE_FILE: reference_page()}


def main(arguments: Sequence[str]) -> int:
    """Print the schema, or with ``--write`` write both files; return the exit code."""
    if not arguments:
        sys.stdout.write(generated_files()[SCHEMA_FILE])
        return 0
    if list(arguments) != ["--write"]:
        sys.stderr.write("usage: python -m vantage_secrets.manifest [--write]\n")
        return 2
    for path, text in generated_files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

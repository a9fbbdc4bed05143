"""The manifest's reference page, made from the table that the parser follows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vantage_secrets.manifest.checking import FORMS
from vantage_secrets.manifest.fields import SECRET, TABLE_DESCRIPTIONS, TABLES, TARGETS, TOP, Field, Shape
from vantage_secrets.manifest.writing import render_default

_HEAD = """\
# The manifest, `vantage-secrets.toml`

<!-- Written by `python -m vantage_secrets.manifest --write`; edit the table in `manifest/fields.py` instead. -->

The manifest says which secrets the platform has, who reads them, how they are rotated and how often. It holds no
values and belongs in the repository.

It is looked for in the working folder and the folders above it. `VANTAGE_SECRETS_MANIFEST` names another one.
Paths that are relative count from the manifest's own folder, and `~` is the home folder. The file is TOML 1.0 in
UTF-8, with or without a byte-order mark. A key that is not on this page is a mistake. Every mistake is reported
with its line, all at once.
"""

_CHECKS = """\
## What is checked beyond single keys

- `grace` is shorter than `max_age`.
- `client.max_stale` is at least `client.refresh_interval`, which is longer than no time.
- No two secrets have one name, and no two names become one in Azure Key Vault (`a/b` and `a-b`) or in the environment.
- `required` and `required_with` exclude each other, and `required_with` names a feature that `[features]` has.
- A secret's `target` names a table that there is, of the kind that serves the secret's `kind`.
- A URL holds no password.

## Editors

The JSON Schema of the manifest comes with the package. Put it beside your manifest, where editors with Taplo
(Even Better TOML) find it:

```console
$ python -m vantage_secrets.manifest > vantage-secrets.schema.json
```

and name it in the manifest's first line: `#:schema ./vantage-secrets.schema.json`. `init` does not write that line,
because it would lead nowhere until the schema is there. A schema sees one key at a time, so of the checks above
only the exclusion of `required` and `required_with` and the password in a URL show up in an editor.
"""


def reference_page() -> str:
    """Return the page as Markdown: every key with its form, its default and its meaning, then the default file."""
    parts = [_HEAD, "## Above the first table\n", _rows(TOP)]
    for name, fields in TABLES.items():
        parts += [f"## `[{name}]`\n", TABLE_DESCRIPTIONS[name] + "\n", _rows(fields)]
    parts += ["## `[features]`\n", TABLE_DESCRIPTIONS["features"] + "\n"]
    parts += ["## `[targets.NAME]`\n", TABLE_DESCRIPTIONS["targets"] + "\n"]
    for kind, fields in TARGETS.items():
        parts += [f'### `kind = "{kind}"`\n', _rows(fields)]
    parts += ["## `[secrets.KEY]`\n", TABLE_DESCRIPTIONS["secrets"] + "\n", _rows(SECRET), _CHECKS]
    parts += ["## What `init` writes\n", f"```toml\n{render_default()}```\n"]
    return "\n".join(parts)


def _rows(fields: Sequence[Field]) -> str:
    lines = ["| Key | Value | Default | Meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{field.name}` | {_form(field)} | {_default(field)} | {field.description} |" for field in fields]
    return "\n".join(lines) + "\n"


def _form(field: Field) -> str:
    if field.shape is Shape.CHOICE:
        return ", ".join(f"`{word}`" for word in field.allowed)
    return FORMS[field.shape]


def _default(field: Field) -> str:
    if field.mandatory:
        return "must be given"
    return "none" if field.default is None else f"`{json.dumps(field.default)}`"

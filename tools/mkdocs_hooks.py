"""What MkDocs does besides: docstrings are written for Sphinx's eyes too, and must read well on the site."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):<code>(?:~[\w.]+\.)?([\w.]+)(?: &lt;[\w.]+&gt;)?</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with Sphinx's roles shown as plain code, and ``::`` before an example as one colon."""
    return _ROLE.sub(r"<code>\1</code>", html).replace("::</p>", ":</p>")

"""The page itself: a template, a style sheet and a few scripts become one index.html that asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from imagenet_nk.storage import files
from imagenet_nk.wording import percent, plural

_PARTS = Path(__file__).parent


def render(template: str, scripts: tuple[str, ...], values: Mapping[str, Any], data: str) -> str:
    """The page as text. `data`: JSON that is safe in a <script> element. Everything in `values` is escaped."""
    jinja = Environment(loader=FileSystemLoader(_PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    jinja.filters["share"] = lambda number: f"{number:.1%}"  # as CSS has it
    jinja.filters["percent"] = percent
    jinja.filters["images"] = lambda count: plural(count, "image")
    script = "\n".join(_part(name) for name in scripts)
    return jinja.get_template(template).render(
        **values,
        style=Markup(_part("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own files
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(data),  # noqa: S704 - escaped by payload.as_script
    )


def write(page: Path, text: str) -> Path:
    """Write the page under a temporary name and rename it when it is whole."""
    files.write_text(page, text)
    return page


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8").strip()

"""Tables as HTML, alone or inside the report: escaped, without scripts.

`great-tables` is not used: it gives every table a random id and some 200 lines of CSS,
has no caption or footer elements, and needs inline styles that a strict content policy
refuses.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from framework.render.plain import printed
from framework.render.table import Aligned, Table, align

if TYPE_CHECKING:
    from jinja2 import Environment

#: Columns beside each other on a screen; the report scrolls wider tables sideways.
SCREEN_COLUMNS = 10


@cache
def templates() -> Environment:
    """The templates, autoescaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("framework.render"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.filters["printed"] = printed
    environment.filters["shell"] = shlex.quote
    return environment


def page(table: Table) -> str:
    """One table as a page that stands alone."""
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            title=table.title,
            tables=prepared((table,)),
            style=stylesheet(),
            policy=content_policy(),
        )
    )


def prepared(
    tables: tuple[Table, ...],
) -> list[tuple[Table, list[dict[int, Aligned]]]]:
    """Tables cut to the width of a screen, with the paddings of every column."""
    return [
        (part, [align(part, position) for position in range(part.width)])
        for table in tables
        for part in table.pages(SCREEN_COLUMNS)
    ]


@cache
def stylesheet() -> object:
    """The one style sheet, marked as safe: it is ours, not a user's text."""
    from markupsafe import Markup

    sheet = files("framework.render").joinpath("templates/style.css")
    return Markup(sheet.read_text(encoding="utf-8"))  # noqa: S704 - our own file


@cache
def content_policy() -> str:
    """Nothing may load or run: only this very style sheet and embedded images."""
    digest = hashlib.sha256(str(stylesheet()).encode()).digest()
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{base64.b64encode(digest).decode()}'"
    )

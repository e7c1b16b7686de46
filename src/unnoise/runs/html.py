"""Pages and cards from the templates of the package: text of others is escaped, pictures are embedded."""

from __future__ import annotations

import base64
from functools import cache

import jinja2
from PIL import Image

from unnoise.data.pictures import png_bytes


def render(template: str, /, **content: object) -> str:
    """The HTML of a template of `unnoise/templates`."""
    return _environment().get_template(template).render(**content)


def picture_url(picture: Image.Image) -> str:
    """A picture as a data URI."""
    return png_url(png_bytes(picture))


def png_url(data: bytes) -> str:
    """The bytes of a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("unnoise", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["url"] = picture_url
    return environment

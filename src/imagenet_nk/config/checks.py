"""What the schemas check values with."""

from __future__ import annotations

import re
from string import Formatter

from imagenet_nk.errors import ConfigError

WNID = re.compile(r"n[0-9]{8}\Z")
_FORMS = {  # what a template of http.url_templates may hold, for an address that has all of them
    "url": "http://farm1.static.flickr.com/1/2.jpg",
    "https": "https://farm1.static.flickr.com/1/2.jpg",
    "flickr": "https://live.staticflickr.com/1/2.jpg",
    "timestamp": "2011",
}


def require(condition: bool, message: str) -> None:
    """Raise ConfigError(message) unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def require_template(template: str) -> None:
    """Raise ConfigError for a template of http.url_templates that makes no address of an address."""
    where = f"http.url_templates: {template!r}"
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ConfigError(f"{where} cannot be read: {error}") from error
    names = {name for _, name, _, _ in fields}
    known = ", ".join(f"{{{name}}}" for name in _FORMS)
    plain = all(not spec and not conversion for _, _, spec, conversion in fields)
    require(plain and names <= set(_FORMS), f"{where} may hold {known}, as they are here, and nothing else in braces")
    require(bool(names - {"timestamp"}), f"{where} is one address for all images; put {{url}} where theirs belongs")
    made = template.format_map(_FORMS)
    require(
        made.startswith(("http://", "https://")) and made.isprintable() and " " not in made,
        f"{where} makes {made!r} of an address, which is none: it must begin with http:// or https://, or with {{url}}",
    )

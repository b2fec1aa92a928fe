"""`http.*`, `inspect.*`, `retry`: how images are requested, and which of them are valid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter

from imagenet_nk.errors import ConfigError, require

_EXAMPLES = {  # the fields of a template of http.url_templates, for a URL that has all forms
    "url": "http://farm1.static.flickr.com/1/2.jpg",
    "https": "https://farm1.static.flickr.com/1/2.jpg",
    "flickr": "https://live.staticflickr.com/1/2.jpg",
}


@dataclass
class HttpConfig:
    """Limits of requests over HTTP, and what they say of their sender."""

    concurrency: int = 512  # requests in flight in total
    per_host: int = 32  # requests in flight to one host
    host_rates: dict[str, float] = field(  # requests per second to a host; "*": to every host that is not named
        default_factory=lambda: {"web.archive.org": 1.0}
    )
    first_byte_timeout: float = 4.0  # seconds until the first byte; half of it for a try that is not the last
    deadline: float = 10.0  # seconds for a whole request, redirects included
    max_bytes: int = 32 * 2**20  # bytes of one body; the transfer of a larger one is ended
    retries: int = 1  # further tries after 429, 5xx, timeouts and broken connections
    allow_private: bool = False  # allow requests to loopback, private and link-local addresses
    respect_opt_out: list[str] = field(  # directives of the header X-Robots-Tag that reject an image
        default_factory=lambda: ["noai", "noimageai", "noindex", "noimageindex", "none"]
    )
    robots_txt: bool = False  # obey the robots.txt of each host, at each hop of a redirect
    user_agent: str = "imagenet-nk/0.1 (research sampling of ImageNet URLs; contact: {contact})"
    contact: str = "not given"  # an address to which a webmaster can write
    url_templates: list[str] = field(  # tried in turn for each candidate; for the copy of the Wayback Machine add
        default_factory=lambda: ["{url}", "{https}", "{flickr}"]  # https://web.archive.org/web/2011id_/{url}
    )

    def __post_init__(self) -> None:
        for name in ("concurrency", "per_host", "max_bytes"):
            require(getattr(self, name) >= 1, f"http.{name} must be at least 1, got {getattr(self, name)}")
        require(self.retries >= 0, f"http.retries must be at least 0, got {self.retries}")
        for name in ("first_byte_timeout", "deadline"):
            require(getattr(self, name) > 0, f"http.{name} must be more than 0 seconds, got {getattr(self, name)}")
        for host, rate in self.host_rates.items():
            is_positive = isinstance(rate, int | float) and rate > 0
            require(is_positive, f"http.host_rates, {host}, must be more than 0 requests a second, got {rate}")
        require(bool(self.url_templates), "http.url_templates must name at least one URL template, such as ['{url}']")
        for template in self.url_templates:
            _require_url_template(template)
        self._require_user_agent()

    def _require_user_agent(self) -> None:
        try:
            agent = self.user_agent.format(contact=self.contact)
        except (LookupError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"http.user_agent may hold {{contact}} alone in braces, got {self.user_agent!r}"
            ) from error
        require(
            agent.isascii() and agent.isprintable(),
            f"http.user_agent and http.contact must be plain ASCII, as a header is, got {agent!r}",
        )

    def rate_of(self, host: str) -> float | None:
        """Requests per second to a host (its name without a port); None without a limit."""
        return self.host_rates.get(host, self.host_rates.get("*"))


class CrossClassDuplicates(StrEnum):
    """What to do with images whose pixels occur in two classes."""

    report = "report"
    drop = "drop"


@dataclass
class InspectConfig:
    """What makes the bytes of a candidate a valid image."""

    min_side: int = 32  # pixels; a shorter side is too_small
    max_pixels: int = 100_000_000  # width x height, read from the header before decoding
    placeholder_repeats: int = 3  # bytes that this many URLs return are a placeholder
    placeholder_urls: list[str] = field(  # regular expressions on the final URL
        default_factory=lambda: [r"photo_unavailable", r"image_?not_?(found|available)", r"removed\.png"]
    )
    near_duplicate_bits: int | None = None  # images of a class whose 64-bit hashes differ in at most so many are one
    cross_class_duplicates: CrossClassDuplicates = CrossClassDuplicates.report

    def __post_init__(self) -> None:
        require(self.min_side >= 1, f"inspect.min_side must be at least 1, got {self.min_side}")
        require(self.max_pixels >= 1, f"inspect.max_pixels must be at least 1, got {self.max_pixels}")
        require(
            self.placeholder_repeats >= 2,
            f"inspect.placeholder_repeats must be at least 2, got {self.placeholder_repeats}",
        )
        require(
            self.near_duplicate_bits is None or 0 <= self.near_duplicate_bits < 64,
            f"inspect.near_duplicate_bits must be 0 to 63 of the 64 bits, or null, got {self.near_duplicate_bits}",
        )
        for pattern in self.placeholder_urls:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"inspect.placeholder_urls: {pattern!r} is no regular expression: {error}") from error


class Retry(StrEnum):
    """Which rejected candidates of an earlier run are tried again."""

    none = "none"
    transient = "transient"
    failed = "failed"


def _require_url_template(template: str) -> None:
    """Raise ConfigError for a template of http.url_templates that makes no address of an address."""
    where = f"http.url_templates: {template!r}"
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ConfigError(f"{where} cannot be read: {error}") from error
    names = {name for _, name, _, _ in fields}
    placeholders = ", ".join(f"{{{name}}}" for name in _EXAMPLES)
    plain = all(not spec and not conversion for _, _, spec, conversion in fields)
    require(
        plain and names <= set(_EXAMPLES),
        f"{where} may hold {placeholders}, as they are here, and nothing else in braces",
    )
    require(bool(names), f"{where} is one address for all images; put {{url}} where theirs belongs")
    made = template.format_map(_EXAMPLES)
    require(
        made.startswith(("http://", "https://")) and made.isprintable() and " " not in made,
        f"{where} makes {made!r} of an address, which is none: it must begin with http:// or https://, or with {{url}}",
    )

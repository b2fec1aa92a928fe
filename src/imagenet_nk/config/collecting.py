"""`http.*`, `inspect.*`, `retry`: how images are asked for, and which are valid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter

from imagenet_nk.errors import ConfigError, require

_FORMS = {  # what a template of http.url_templates may hold, for an address that has all of them
    "url": "http://farm1.static.flickr.com/1/2.jpg",
    "https": "https://farm1.static.flickr.com/1/2.jpg",
    "flickr": "https://live.staticflickr.com/1/2.jpg",
    "timestamp": "2011",
}


@dataclass
class HttpConfig:
    """Limits of everything that is asked of the web."""

    concurrency: int = 512  # requests in flight in all
    per_host: int = 32  # requests in flight to one host
    per_host_rate: float | None = None  # requests a second to one host; null = as fast as it answers
    host_rates: dict[str, float] = field(default_factory=lambda: {"web.archive.org": 1.0})  # the same, host by host
    connect_timeout: float = 4.0  # seconds until a connection for a list or an archive stands; for an image: stall
    first_byte_timeout: float = (
        4.0  # seconds without a first byte (half of it on a try that is not the last), or below min_speed
    )
    min_speed: int = 10_000  # bytes a second
    deadline: float = 10.0  # seconds for one request in all, redirects included
    max_bytes: int = 32 * 2**20  # bytes of one body; more is rejected while reading
    max_buffered_bytes: int = (
        128 * 2**20
    )  # bytes of bodies in memory, still coming or not yet inspected; above it others wait
    max_redirects: int = 5
    retries: int = 1  # further tries after 429, 5xx, timeouts and broken connections
    backoff: float = 0.5  # seconds before the first retry, doubled each time, with jitter
    dead_host_after: int = 4  # failures running until a host that never answered is set aside
    max_pause: float = 60.0  # seconds of Retry-After, or without any answer from the web, that are waited for
    allow_private: bool = False  # let loopback, private and link-local addresses through the guard
    verify_tls: bool = True
    respect_opt_out: list[str] = field(
        default_factory=lambda: ["noai", "noimageai", "noindex", "noimageindex", "none"]
    )  # X-Robots-Tag
    robots_txt: bool = False  # ask each host's robots.txt first, at each hop of a redirect
    user_agent: str = "imagenet-nk/0.1 (research sampling of ImageNet URLs; contact: {contact})"
    contact: str = "not given"  # an address that a webmaster can write to
    url_templates: list[str] = field(  # URL templates, tried in turn for a candidate; also https://web.archive.org/
        default_factory=lambda: ["{url}", "{https}", "{flickr}"]  # web/{timestamp}id_/{url}, the Wayback Machine's copy
    )
    timestamp: str = "2011"  # {timestamp} of a template: the Wayback Machine gives the copy nearest to it

    def __post_init__(self) -> None:
        for name in ("concurrency", "per_host", "max_bytes", "max_buffered_bytes", "dead_host_after"):
            require(getattr(self, name) >= 1, f"http.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("retries", "max_redirects", "backoff", "min_speed", "max_pause"):
            require(getattr(self, name) >= 0, f"http.{name} must be at least 0, got {getattr(self, name)}")
        for name in ("connect_timeout", "first_byte_timeout", "deadline"):
            require(getattr(self, name) > 0, f"http.{name} must be more than 0 seconds, got {getattr(self, name)}")
        rates = {f"http.host_rates, {host},": rate for host, rate in self.host_rates.items()}
        for name, rate in {"http.per_host_rate": self.per_host_rate, **rates}.items():
            positive = rate is None or (isinstance(rate, int | float) and rate > 0)
            require(positive, f"{name} must be more than 0 requests a second, got {rate}")
        require(bool(self.url_templates), "http.url_templates must name at least one URL template, such as ['{url}']")
        for template in self.url_templates:
            _require_template(template)
        require(
            bool(re.fullmatch(r"[0-9]{1,14}", self.timestamp)),
            f"http.timestamp must be digits of YYYYMMDDhhmmss, such as 2011 or 20110401, got {self.timestamp!r}",
        )
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


class CrossClassDuplicates(StrEnum):
    """What to do with the same picture in two classes."""

    report = "report"
    drop = "drop"


@dataclass
class InspectConfig:
    """What makes the bytes of a candidate a valid image."""

    min_side: int = 32  # pixels; a shorter side is too_small
    max_pixels: int = 100_000_000  # width x height, read from the header before decoding
    placeholder_repeats: int = 3  # the same bytes from so many addresses are a placeholder
    placeholder_urls: list[str] = field(  # regular expressions on the final URL
        default_factory=lambda: [r"photo_unavailable", r"image_?not_?(found|available)", r"removed\.png"]
    )
    near_duplicate_bits: int | None = (
        None  # bits of a 64-bit perceptual hash within which two images of a class are one
    )
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
    """Which rejected candidates of an earlier run are asked again."""

    none = "none"
    transient = "transient"
    failed = "failed"


def _require_template(template: str) -> None:
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

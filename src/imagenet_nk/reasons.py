"""Why candidates are rejected: columns of classes.csv, values of `reason` and `verdict` in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A reason of rejection. An HTTP status is one as well: http_reason().

    `is_transient`: whether such a failure may have passed by another day, so that retry=transient reads it again.
    `meaning`: the sentence that docs/formats.md gives.
    """

    is_transient: bool
    meaning: str

    # --- the network
    TIMEOUT = "timeout", True, "No byte came in time (http.first_byte_timeout, half of it on a first try)."
    TOO_SLOW = "too_slow", True, "Bytes came, but fewer than 10 kB/s, or not all before http.deadline."
    REFUSED = "refused", True, "The host refused the connection."
    NO_DNS = "no_dns", True, "The host name could not be resolved."
    RESET = "reset", True, "The connection broke."
    TRUNCATED = "truncated", True, "Fewer bytes than announced, or (not transient) an image that ends too early."
    TLS = "tls", False, "No encrypted connection that can be verified."
    REDIRECTS = "redirects", False, "More than five redirects."
    BAD_URL = "bad_url", False, "The address is malformed."
    BAD_ANSWER = "bad_answer", False, "The answer is not HTTP, or its headers are malformed or never end."
    TOO_MANY_BYTES = "too_many_bytes", False, "The body is larger than http.max_bytes."
    FORBIDDEN = "forbidden", False, "It leads to a private address, another port or scheme, or to credentials."
    OPT_OUT = "opt_out", False, "X-Robots-Tag refuses programs (http.respect_opt_out)."
    ROBOTS = "robots", False, "The robots.txt of the host, or of one that it redirects to, refuses programs."

    # --- the bytes
    NOT_IMAGE = "not_image", False, "The bytes do not begin as one of the nine formats."
    NO_CODEC = "no_codec", False, "AVIF, HEIC or JPEG XL, and Pillow lacks the codec (pillow-heif, pillow-jxl-plugin)."
    CORRUPT = "corrupt", False, "The bytes begin as an image and do not decode to the end."
    TOO_SMALL = "too_small", False, "A side is shorter than inspect.min_side."
    TOO_LARGE = (
        "too_large",
        False,
        "More pixels than inspect.max_pixels, or more than 2 s of a core or 512 MB to decode.",
    )
    BLANK = "blank", False, "One colour."

    # --- other images
    PLACEHOLDER = (
        "placeholder",
        False,
        "A known address (inspect.placeholder_urls), or the same bytes from inspect.placeholder_repeats addresses.",
    )
    DUPLICATE = "duplicate", False, "The bytes or pixels of an image before it in its class."
    NEAR_DUPLICATE = "near_duplicate", False, "Looks like one before it in its class (inspect.near_duplicate_bits)."
    SHARED = "shared", False, "The same pixels in another class (inspect.cross_class_duplicates=drop)."
    REDRAWN = "redrawn", False, "An image id that its class has already met, in the source or by an earlier draw."

    # --- the source
    MISSING = "missing", False, "Named by a list or a manifest, and not in the source."
    UNREADABLE = "unreadable", False, "A file or member that cannot be read; transient if it is remote."
    UNLISTED = "unlisted", False, "All images of a class that could not be listed, because its tar is damaged."
    BAD_NAME = "bad_name", False, "Its path has a line break or is not Unicode, so that no list can hold it."
    NO_ADDRESS = "no_address", False, "Nothing that could be requested, such as a relative path."
    ELSEWHERE = "elsewhere", False, "A file of the machine on which the manifest was made."
    DRIFTED = "drifted", False, "Another image than the sha256 of the manifest says."
    WRONG_CLASS = "wrong_class", False, "A member named for another class than its tar."
    NO_MEMBER = "no_member", False, "No member of the tar at the drawn position."
    BAD_MEMBER = "bad_member", False, "The member of the tar at the drawn position is not a file of an image."
    PAST_END = "past_end", False, "The tar has no further image."
    CHANGED = "changed", False, "The archive changed on its server while it was read, or is shorter than announced."
    NO_RANGE = "no_range", False, "The server sends whole files instead of ranges."
    WRONG_RANGE = "wrong_range", True, "The server sends another range than was requested."
    LOGIN_PAGE = "login_page", True, "The server sends a page instead of the archive."
    UNKNOWN = "unknown", False, "The source has never named this candidate."

    def __new__(cls, value: str, is_transient: bool, meaning: str) -> Self:
        """A member is its value, a plain string, with two attributes."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.is_transient = is_transient
        reason.meaning = meaning
        return reason


# Faults of a response after which the same request may succeed another day.
TRANSIENT_FAULTS = frozenset(reason for reason in Reason if reason.is_transient)


def http_reason(status: int) -> str:
    """The reason of an answer with an HTTP status that is not success: http_404."""
    return f"http_{status}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a candidate gave no image."""

    reason: str  # a Reason, or http_reason() of a status
    transient: bool = False  # it may be there tomorrow
    detail: str = ""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.formats.magic import is_page, kind_of


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"<!DOCTYPE html><html>", True),
        (b"\xef\xbb\xbf\r\n <HTML lang=en>", True),
        (b"<!-- proxy --><html>", True),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">', True),
        (b"<head><title>Sign in</title>", True),
        (b'<?xml version="1.0"?><ImageNetStructure><!-- <html> -->', False),
        (b"n01440764_1\thttp://a.example/<html>", False),
        (b"<!-- never ends", False),
        (b"PAR1<html>", False),
        (b"", False),
    ],
)
def test_is_page_recognises_html(head: bytes, page: bool) -> None:
    assert is_page(head) is page


@given(st.binary(max_size=200))
def test_is_page_takes_any_bytes(head: bytes) -> None:
    assert is_page(head) in (True, False)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1f\x8b\x08", "gzip'ed"),
        (b"x" * 257 + b"ustar", "a tar"),
        ("n01440764_1\thttp".encode("utf-16-le"), "UTF-16 text"),
        (b"<html>", "a web page"),
        (b"text\0", "no text"),
        (b"n01440764_1\thttp://a.example/1.jpg\n", ""),
    ],
)
def test_kind_of_names_what_a_file_is(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind

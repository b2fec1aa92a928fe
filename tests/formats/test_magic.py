from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.formats.magic import is_page


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
def test_pages_begin_as_pages(head: bytes, page: bool) -> None:
    assert is_page(head) is page


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    assert is_page(head) in (True, False)

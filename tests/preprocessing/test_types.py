"""Reasons in one line."""

from __future__ import annotations

from imagenet_nk.preprocessing.types import describe_error


def test_the_reason_of_an_error_is_one_line_without_addresses():
    error = OSError("cannot identify\nimage file <_io.BytesIO object at 0x7f00deadbeef> " + "x" * 300)
    reason = describe_error(error)
    assert reason.startswith("OSError: cannot identify image file xxx")
    assert len(reason) <= 170

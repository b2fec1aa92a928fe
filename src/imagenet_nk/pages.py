"""Telling a web page from a file that was asked for: many servers say "not here" or "log in first" with status 200."""

from __future__ import annotations

HEAD = 2048  # bytes from the beginning that tell

_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")


def is_page(head: bytes) -> bool:
    """Whether a file that begins so is HTML; XML that only mentions HTML is not."""
    text = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith((b"<!--", b"<?xml")):
        text = text.partition(b"-->" if text.startswith(b"<!--") else b"?>")[2].lstrip()
    return text.startswith(_BEGINNINGS)

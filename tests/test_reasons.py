"""docs/formats.md lists every reason of rejection with its meaning, and the code names each by its member."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from imagenet_nk.reasons import Reason

ROOT = Path(__file__).resolve().parents[1]


def test_documentation_lists_exactly_the_reasons() -> None:
    section = (ROOT / "docs" / "formats.md").read_text().partition("## Why a candidate is rejected")[2]
    rows = re.findall(r"^\| ([a-z_]+) \| (yes)? ?\| (.+\.) \|$", section.replace("`", ""), re.MULTILINE)
    documented = [(name, bool(flag), meaning) for name, flag, meaning in rows]
    assert documented == [(reason.value, reason.is_transient, reason.meaning) for reason in Reason]


def test_no_reason_is_spelled_out_in_the_code() -> None:
    literal = re.compile(r'(Rejected\(\s*|\bfault ?= ?|reason ?== ?)"[a-z]')
    assert not [path for path in (ROOT / "src").rglob("*.py") if literal.search(path.read_text())]


def test_reason_is_its_plain_string_in_files() -> None:
    assert f"{Reason.TOO_SLOW}, {Reason('too_slow')!s}" == "too_slow, too_slow"
    assert copy.copy(Reason.TOO_SLOW) is Reason.TOO_SLOW

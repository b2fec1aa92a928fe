from __future__ import annotations

import pytest

from imagenet_nk.dataset.folder_state import explain_mismatch

GIVE = "give it that one"
CASES = {
    "seed": (("seed", "0", "1"), "with seed=0, not seed=1", "type seed=0"),
    "replace": (
        ("identity", "manifest:0123", "manifest:0123:replace"),
        "with source.replace=false, not source.replace=true",
        "type source.replace=false",
    ),
    "not replace": (
        ("identity", "manifest:0123:replace", "manifest:0123"),
        "with source.replace=true, not source.replace=false",
        "type source.replace=true",
    ),
    "manifest": (
        ("identity", "manifest:0123", "manifest:4567"), "from another manifest", "type the source.path of that one"
    ),
    "list": (
        ("identity", "urls/9-ab", "urls/9-cd"), "from another list of addresses", "type the source.list of that one"
    ),
    "folder": (
        ("identity", "full:/a:train", "full:/a:val"),
        "from source.root=/a source.part=train, not source.root=/a source.part=val",
        "type that",
    ),
    "hub": (("identity", "hub:a@main:train", "hub:b@main:train"), "from hub:a@main:train, not hub:b@main:train", GIVE),
    "names": (("sampling", "list:01", "list:02"), "with another list of names", "type the sampling.path of that one"),
    "random": (("sampling", "random", "list:02"), "with sampling=random, not sampling=list", "type sampling=random"),
    "list of names": (
        ("sampling", "list:01", "random"),
        "with sampling=list, not sampling=random",
        "type sampling=list and its sampling.path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_mismatch_is_explained_by_the_settings_that_were_typed(case: str) -> None:
    difference, *explanation = CASES[case]
    assert explain_mismatch(*difference) == tuple(explanation)

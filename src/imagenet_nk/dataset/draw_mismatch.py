"""What to say of a data set folder that was made by another draw, in the words of what the user typed."""

from __future__ import annotations

_IDENTITIES = {  # of a source, by their beginning: what is another one, and what names it
    "manifest:": ("from another manifest", "type the source.path of that one"),
    "urls/": ("from another list of addresses", "type the source.list of that one"),
    "archive/": ("from another archive", "type the source.train, .synset or .val of that one"),
}
_REPLACE = ":replace"  # ends the identity of source=manifest source.replace=true


def said(name: str, made_with: object, now: object) -> tuple[str, str]:
    """How it was made ("with seed=0, not seed=1"), and what to type to go on with it. `name`: of a part of the draw."""
    old, new = str(made_with), str(now)
    if name == "sampling":
        return _of_sampling(old, new)
    if name != "identity":
        return f"with {name}={old}, not {name}={new}", f"type {name}={old}"
    if old.removesuffix(_REPLACE) == new.removesuffix(_REPLACE):
        was, isnt = (str(identity.endswith(_REPLACE)).lower() for identity in (old, new))
        return f"with source.replace={was}, not source.replace={isnt}", f"type source.replace={was}"
    if old.startswith("full:") and new.startswith("full:"):
        was, isnt = (_of_folder(identity) for identity in (old, new))
        return f"from {was}, not {isnt}", "type that"
    for beginning, (what, back) in _IDENTITIES.items():
        if old.startswith(beginning) and new.startswith(beginning):
            return what, back
    return f"from {old}, not {new}", "give it that one"


def _of_folder(identity: str) -> str:
    root, _, part = identity.removeprefix("full:").rpartition(":")
    return f"source.root={root} source.part={part}"


def _of_sampling(old: str, new: str) -> tuple[str, str]:
    """Of the identities `random`, and `list:` with a digest of the names."""
    if old.startswith("list:") and new.startswith("list:"):
        return "with another list of names", "type the sampling.path of that one"
    kinds = [identity.partition(":")[0] for identity in (old, new)]
    path = " and its sampling.path" if kinds[0] == "list" else ""
    return f"with sampling={kinds[0]}, not sampling={kinds[1]}", f"type sampling={kinds[0]}{path}"

"""What to say for an error that the user can mend: one line, with what to type instead."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from typing import TypeVar

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from imagenet_nk.errors import ImageNetNkError
from imagenet_nk.storage import fsspec_store

_E = TypeVar("_E", bound=BaseException)
_LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")  # of the extra
_TAIL = re.compile(r"\s*(full_key|object_type|reference_type|sub_key): .*", re.DOTALL)


def describe_user_error(error: BaseException) -> str | None:
    """The line for an error of ours, of Hydra or of OmegaConf; None for any other: that is a fault of the program."""
    if ours := _cause(error, ImageNetNkError):
        return _joined(str(ours)) or type(ours).__name__
    for kind in fsspec_store.third_party_errors():
        if theirs := _cause(error, kind):
            return fsspec_store.describe_error(theirs, "the object store")
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    inner = _cause(error, OmegaConfBaseException)
    return (inner and _of_value(inner, str(error))) or _of_choice(str(error)) or _joined(str(error))


def _cause(error: BaseException | None, kind: type[_E]) -> _E | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def _joined(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _unreadable(error: OverrideParseException) -> str:
    key, equals, value = str(error.override).partition("=")
    if not equals:
        return f"cannot read the argument {key!r}; settings are typed as key=value, such as nk=5"
    if any(value.count(left) != value.count(right) for left, right in ("[]", "{}", "()")):
        return f"cannot read {key}={value}: a bracket is not closed"
    if re.match(r"""\{\s*['"]""", value):
        unquoted = re.sub(r"""['"]([^'":]*)['"]\s*:""", r"\1:", value)
        return f"cannot read {key}={value}; keys within braces take no quotes: '{key}={unquoted}'"
    return (
        f"cannot read {key}={value}; a value with special characters takes two pairs of quotes: {_quoted(key, value)}"
    )


def _quoted(key: str, value: str) -> str:
    """A setting as a shell takes it: '...' keeps what Hydra's own quotes hold."""
    return shlex.quote(f'{key}="{value}"') if "'" not in value else f'"{key}=\\"{value}\\""'


# --- keys and values ---------------------------------------------------------------------------------------------


def _of_value(error: OmegaConfBaseException, outer: str) -> str:
    key = str(error.full_key or "")
    text = _joined(_TAIL.sub("", str(error)))
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _no_such_key(key, list(_keys(error)))
    if isinstance(error, MissingMandatoryValue):
        return f"{key or text.rpartition(' ')[2]} must be given: {key or text.rpartition(' ')[2]}=..."
    if "is not a ListConfig" in text:
        value = outer.rpartition("=")[2]
        return f"{key} takes a list: {key}=[{value}]"
    if "is not a subclass of" in text:
        return f"{key} holds several settings; name one, {key}.NAME=..., or see --cfg job"
    if "of type 'dict' could not be converted" in text:
        parent, _, name = key.rpartition(".")
        if error.parent_node is None or OmegaConf.get_type(error.parent_node) is not dict:
            return f"{key} takes one value, and has no keys of its own"
        # Its keys are names, such as those of hosts: a dot in one makes a level of it.
        return f"{parent} takes names with dots within braces: '{parent}={{{name}.REST:NUMBER}}'"
    if "is not Optional" in text:
        return f"{key} cannot be null"
    if wrong := _of_type(text):
        or_null = " or null" if error.parent_node is not None and _takes_null(error, key) else ""
        return f"{key} takes {wrong[0]}{or_null}, got {wrong[1]!r}"
    return f"{key}: {text}" if key else text


_TYPES = (
    (r"Value '(.*)' of type '.*' could not be converted to Integer", "a whole number"),
    (r"Value '(.*)' of type '.*' could not be converted to Float", "a number"),
    (r"Value '(.*)' is not a valid bool", "true or false"),
)


def _of_type(text: str) -> tuple[str, str] | None:
    """What a key takes, and what was given instead."""
    for pattern, takes in _TYPES:
        if given := re.match(pattern, text):
            return takes, given[1]
    return None


def _takes_null(error: OmegaConfBaseException, key: str) -> bool:
    node = error.parent_node._get_node(key.rpartition(".")[2]) if isinstance(error.parent_node, DictConfig) else None
    return isinstance(node, Node) and node._is_optional()


def _no_such_key(key: str, all_keys: list[str]) -> str:
    parent, _, name = key.rpartition(".")
    siblings = {
        known_key.rpartition(".")[2]: known_key for known_key in all_keys if known_key.rpartition(".")[0] == parent
    }
    if choices := _choices_with(parent, name):
        sibling_names = ", ".join(siblings) or "no keys"
        return f"there is no key {key!r} here: it goes with {' or '.join(choices)}; {parent} has {sibling_names}"
    close = [siblings[near] for near in difflib.get_close_matches(name, siblings, n=2)]
    close += [
        one for one in all_keys if one.rpartition(".")[2] == name and not any(k.startswith(f"{one}.") for k in all_keys)
    ]
    close = close or difflib.get_close_matches(key, all_keys, n=2, cutoff=0.75)
    hint = f"did you mean {' or '.join(close)}?" if close else "--cfg job shows all keys, --help the groups"
    return f"there is no key {key!r}; {hint}"


def _choices_with(parent: str, name: str) -> list[str]:
    """The choices of a group that have a key, as they are typed: [source=hub] for source and split."""
    group, typed = ("source", "source@fallback") if parent == "fallback" else (parent, parent)
    members = ConfigStore.instance().repo.get("schema", {}).get(group, {})
    keys = {file: [*member.node] for file, member in members.items()}  # `in` denies one that must be given
    return [f"{typed}={file.removesuffix('.yaml')}" for file, names in keys.items() if name in names]


def _keys(error: OmegaConfBaseException) -> Iterator[str]:
    """All keys of the composed configuration that the error came from; Hydra's own only if it is about those."""
    if error.parent_node is None:
        return
    tree = OmegaConf.to_container(error.parent_node._get_root(), resolve=False)
    for key in _flat(tree, ""):
        if key.startswith("hydra") == str(error.full_key).startswith("hydra"):
            yield key


def _flat(tree: object, prefix: str) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if not str(key).startswith("_"):
                yield f"{prefix}{key}"
                yield from _flat(value, f"{prefix}{key}.")


# --- groups and their members ------------------------------------------------------------------------------------


def _of_choice(text: str) -> str | None:
    if missing := re.search(r"Could not find '([\w/@]+?)/([^'/]+)'", text):
        return _no_such_choice(missing[1], missing[2], re.findall(r"^\t(\S+)$", text, re.MULTILINE))
    if group := re.search(r"Could not override '([^']+)'\.\nDid you mean to override (?:one of )?(.+)\?", text):
        return f"there is no group {group[1]!r}; did you mean {' or '.join(group[2].split(', '))}?"
    if several := re.search(r"Ambiguous value for argument '([^=]+)=(.*)'\n", text):
        return (
            f"{several[1]}={several[2]} is several values: -m runs them one after the other, [{several[2]}] is a list, "
            f"and one value with a comma is typed {_quoted(several[1], several[2])}"
        )
    return None


def _no_such_choice(group: str, choice: str, options: list[str]) -> str:
    if group == "hydra/launcher" and choice in _LAUNCHERS:
        return f"{group}={choice} is not installed: pip install 'imagenet-nk[cluster]'"
    close = difflib.get_close_matches(choice, options, n=3)
    hint = f"; any other timm model: backbone=timm backbone.name={choice}" if group == "backbone" else ""
    if not close or len(options) <= 8:  # few enough to name them all
        return f"there is no {group}={choice}; choose one of {', '.join(options)}{hint}"
    return f"there is no {group}={choice}; did you mean {' or '.join(close)}?{hint}"

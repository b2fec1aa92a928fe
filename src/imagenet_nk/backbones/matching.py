"""Which tensors of a checkpoint belong to a model, whatever wrappers, containers and older code called them."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import timm
import torch
from torch import Tensor, nn

from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import first_few

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]

WRAPPERS = {  # dictionaries and modules that training code puts around a model
    *("module", "model", "backbone", "encoder", "net", "network", "_orig_mod", "timm_model", "trunk", "visual"),
    *("state_dict", "model_state_dict", "state_dict_ema", "ema_state_dict", "model_ema", "ema", "weights", "params"),
    *("teacher", "student", "encoder_q", "base_encoder", "student_ema", "teacher_ema", "shadow", "params_ema"),
}
_PREFERRED = (r"(^|[._])(ema|teacher|averaged?)([._]|$)", r"(^|\.)(encoder_q|base_encoder)\.")  # before any other
_LAST = r"(^|[._])(student|momentum|encoder_k|target)([._]|$)"
_MAX_PREFIXES = 12


@dataclass(frozen=True)
class Match:
    """The tensors found under one prefix, by the model's names, and what does not fit."""

    prefix: str
    tensors: Tensors
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)  # with both shapes
    unexpected: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many names do not fit."""
        return len(self.missing) + len(self.misshapen) + len(self.unexpected)

    def describe(self) -> str:
        """What does not fit, on one line."""
        kinds = (("missing", self.missing), ("of another shape", self.misshapen), ("left over", self.unexpected))
        return "; ".join(f"{len(names)} {kind} ({first_few(names, 3)})" for kind, names in kinds if names)


def match(tensors: Mapping[str, Tensor], model: nn.Module, full: nn.Module, head: Sequence[str]) -> Match:
    """The tensors of a headless model in a checkpoint, with those of its head if they are there.

    full: the same model with a head, for timm's filters; head: the modules that only `full` has. The best match is
    returned where none is complete. Raises BackboneError if two sets of weights fit equally well.
    """
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not is_counter(name)}
    matches: list[Match] = []
    for prefix in _prefixes(list(tensors), list(wanted)):
        below = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        matches.append(_best_rename(prefix, below, wanted, full, head))
    best = min(matches, key=lambda each: (each.faults, _rank(each.prefix)))  # the first of equals
    if best.faults == 0:
        _refuse_rivals(best, matches, list(wanted))
        outside = [name for name in tensors if not name.startswith(best.prefix)]
        log.info("weights under %r%s", best.prefix, f"; not used: {first_few(outside)}" if outside else "")
    return best


def _refuse_rivals(best: Match, matches: Sequence[Match], wanted: Sequence[str]) -> None:
    for other in matches:
        is_rival = other.faults == 0 and other is not best and _rank(other.prefix) == _rank(best.prefix)
        if is_rival and not all(torch.equal(best.tensors[name], other.tensors[name]) for name in wanted):
            raise BackboneError(
                f"backbone.checkpoint: the file holds the model twice, as {best.prefix!r} and {other.prefix!r}; "
                "save the one that you want in a file of its own"
            )


def _best_rename(prefix: str, below: Tensors, wanted: Tensors, full: nn.Module, head: Sequence[str]) -> Match:
    best = _compare(prefix, below, wanted, head)
    for rename in () if best.faults == 0 else _filters(full):
        try:
            renamed = rename(dict(below), full)
        except Exception:  # noqa: BLE001, S112 - a filter meets names that it does not know
            continue
        if isinstance(renamed, Mapping) and all(isinstance(value, Tensor) for value in renamed.values()):
            best = min(best, _compare(prefix, dict(renamed), wanted, head), key=lambda each: each.faults)
    return best


def _compare(prefix: str, tensors: Tensors, wanted: Tensors, head: Sequence[str]) -> Match:
    present = [name for name in wanted if name in tensors]
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(wanted[name].shape)}"
        for name in present
        if tensors[name].shape != wanted[name].shape
    ]
    others = [name for name, tensor in tensors.items() if name not in wanted and tensor.is_floating_point()]
    unexpected = [name for name in others if not is_counter(name) and not name.startswith(tuple(head))]
    return Match(prefix, tensors, [name for name in wanted if name not in tensors], misshapen, unexpected)


def is_counter(name: str) -> bool:
    """Whether a tensor is the number of batches that a batch norm has seen."""
    return name.rpartition(".")[2] == "num_batches_tracked"  # unused by inference, and absent in old files


def _prefixes(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Where the model may stand: below any prefix that has most of its names, and below known wrappers."""
    there, chains, anchored = set(names), {""}, set[str]()
    for name in names:
        parts = name.split(".")
        known = next((i for i, part in enumerate(parts) if part not in WRAPPERS), len(parts))
        chains |= {".".join(parts[:i]) + "." for i in range(1, min(known, len(parts) - 1) + 1)}
    for anchor in (wanted[0], wanted[len(wanted) // 2]):
        anchored |= {name.removesuffix(anchor) for name in names if f".{name}".endswith(f".{anchor}")}
    likely = [prefix for prefix in anchored if 2 * sum(prefix + name in there for name in wanted) >= len(wanted)]
    return sorted({*chains, *likely}, key=lambda prefix: (_rank(prefix), len(prefix), prefix))[:_MAX_PREFIXES]


def _rank(prefix: str) -> int:
    """Averages and teachers come first, as timm takes them; students and slow copies last."""
    for rank, pattern in enumerate(_PREFERRED):
        if re.search(pattern, prefix):
            return rank
    return len(_PREFERRED) + (re.search(_LAST, prefix) is not None)


def _filters(full: nn.Module) -> Iterator[Callable[[Tensors, nn.Module], object]]:
    """timm's functions that rename the tensors of original checkpoints of a model: those of its modules."""
    architecture = getattr(full, "pretrained_cfg", {}).get("architecture", "")
    modules = {type(full).__module__}
    if timm.is_model(architecture):
        modules.add(timm.model_entrypoint(architecture).__module__)
    for module in sorted(modules):
        for name, function in sorted(vars(sys.modules[module]).items()):
            if "filter" not in name or not inspect.isfunction(function):
                continue
            parameters = list(inspect.signature(function).parameters)
            if parameters[:1] == ["state_dict"]:
                takes_model = parameters[1:2] == ["model"]
                yield function if takes_model else lambda state, _, function=function: function(state)  # type: ignore[misc]
                if "adapt_layer_scale" in parameters:
                    yield partial(function, adapt_layer_scale=True)

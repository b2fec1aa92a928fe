"""A timm model without its head, built from the configuration."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import logging
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import get_deprecated_models, parse_model_name
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from imagenet_nk.backbones.checkpoint import checkpoint_path, read_tensors, weights_in
from imagenet_nk.backbones.head import Head, detach_head, head_modules, head_size
from imagenet_nk.backbones.matching import Match, is_counter, match
from imagenet_nk.backbones.weights import HINT, hub_weights
from imagenet_nk.config.backbones import BackboneConfig
from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import one_line

log = logging.getLogger(__name__)

_CLASSES = 1000  # of a head before a checkpoint says how many it has


@dataclass(frozen=True)
class Backbone:
    """A model that maps (B, 3, H, W) to (B, D), ready for inference, and the origin of its weights."""

    name: str
    model: nn.Module
    data: Mapping[str, Any]  # timm's data configuration: input_size, interpolation, crop_pct, mean, std, ...
    dim: int
    weights: str  # hub:..., file:..., random:SEED
    sha256: str  # of the weights, see state_dict_sha256
    cache_key: str  # what the embeddings depend on besides weights and transform
    head: Head | None = None  # (B, D) to (B, classes): the classifier that was removed, if it needs the embedding alone

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the model's input, in pixels."""
        _, height, width = self.data["input_size"]
        return height, width

    @cached_property
    def gmacs(self) -> float | None:
        """Billions of multiply-adds for one image in matrix products and convolutions, by PyTorch's FlopCounterMode.

        None for a model that cannot run on the meta device.
        """
        try:
            with torch.device("meta"):
                image = torch.empty(1, 3, *self.input_size)
            tensors = itertools.chain(self.model.named_parameters(), self.model.named_buffers())
            weights = {name: tensor.to("meta") for name, tensor in tensors}
            with torch.inference_mode(), FlopCounterMode(display=False) as counter:
                torch.func.functional_call(self.model, weights, (image,))
        except (RuntimeError, NotImplementedError, TypeError):
            return None
        return float(counter.get_total_flops()) / 2e9


def build(config: BackboneConfig, seed: int = 0) -> Backbone:
    """The backbone that the configuration names, on the CPU and in evaluation mode.

    `seed` initialises the weights if there are neither published nor local ones. Raises BackboneError.
    """
    config = replace(config, name=current_name(config.name))
    is_on_hub = config.name.startswith("hf-hub:")  # its configuration too
    with hub_weights(config.name, config.name.removeprefix("hf-hub:")) if is_on_hub else nullcontext():
        weights = _read_weights(config)
        if weights is None:
            return _as_backbone(config, _create(config, seed), None, f"random:{seed}")
        tensors, origin = weights
        model, head = _load(config, seed, tensors)
    return _as_backbone(config, model, head, origin)


def state_dict_sha256(model: nn.Module) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor of a model's state_dict, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def suggest_models(name: str) -> list[str]:
    """Up to five timm model names similar to this one."""
    names = timm.list_models()
    return difflib.get_close_matches(name, names, n=5, cutoff=0.6) or difflib.get_close_matches(name, names, 5, 0.3)


def current_name(name: str) -> str:
    """The name under which timm creates a model: of an old name the new one, of a folder its full path.

    hf-hub:OWNER/MODEL and local-dir:FOLDER stay what they are. Raises BackboneError for any other name.
    """
    try:
        source, rest = parse_model_name(name)
    except ValueError as error:
        raise BackboneError(f"backbone.name: {one_line(error)}") from error
    if source == "local-dir":
        return f"local-dir:{_model_folder(rest)}"
    if source is not None:
        return f"{source}:{rest}"
    _check_name(name)
    current: str | None = get_deprecated_models().get(name, name)
    if current is None:
        raise BackboneError(f"timm has removed the model {name!r}; timm.list_models() lists those that are left")
    if current != name:
        log.info("backbone %s: timm now calls it %s", name, current)
    return current


def _model_folder(text: str) -> Path:
    """The full path of a folder with a timm model. Raises BackboneError for a folder without a config.json of timm."""
    try:
        folder = Path(text).expanduser().absolute()
        architecture = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architecture"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise BackboneError(
            f"backbone.name: {text} is not a folder of a timm model: its config.json must name the architecture "
            f"({one_line(error)[:160]})"
        ) from error
    _check_name(str(architecture))
    return folder


def _check_name(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        similar = ", ".join(suggest_models(architecture))
        hint = f"did you mean {similar}?" if similar else "timm.list_models() lists all"
        raise BackboneError(f"timm has no model {name!r}; {hint}")
    tags = [full_name.partition(".")[2] for full_name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise BackboneError(
            f"timm's {architecture} has no weights tagged {tag!r}; there are: {', '.join(tags) or 'none'}"
        )


def _create(config: BackboneConfig, seed: int, classes: int = 0) -> nn.Module:
    """A timm model, its weights initialised from `seed`. The caller's random numbers do not change."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)  # the CPU's generator only: models are built there
        try:
            return _timm_model(config, num_classes=classes)
        except (AssertionError, ValueError) as error:
            options = {"pool": config.pool, "img_size": config.img_size}
            settings = ", ".join(f"backbone.{key}={value}" for key, value in options.items() if value is not None)
            raise BackboneError(f"backbone {config.name} does not take {settings}: {one_line(error)[:160]}") from error


def _timm_model(config: BackboneConfig, **options: Any) -> nn.Module:
    if config.pool is not None:
        options["global_pool"] = config.pool
    if config.img_size:
        with suppress(TypeError):  # only models that must know their input size take it
            return timm.create_model(config.name, img_size=config.img_size, **options)  # type: ignore[no-any-return]
    return timm.create_model(config.name, **options)  # type: ignore[no-any-return]


def _read_weights(config: BackboneConfig) -> tuple[dict[str, Tensor], str] | None:
    """The tensors that the configuration names, and their origin; None for random weights."""
    if config.checkpoint is not None:
        path = checkpoint_path(config.checkpoint)
        return read_tensors(path), f"file:{path.name}"
    if not config.pretrained:
        return None
    source, rest = parse_model_name(config.name)
    if source == "local-dir":
        path = weights_in(Path(rest))
        return read_tensors(path), f"file:{path.name}"
    published = None if source else timm.get_pretrained_cfg(config.name)
    address = rest if source else published and (published.hf_hub_id or published.url)
    if not address:
        raise BackboneError(f"timm has no published weights for {config.name}; {HINT}")
    with hub_weights(config.name, str(address)):  # with timm's own pooling: what another one needs is found missing
        return _timm_model(replace(config, pool=None), pretrained=True).state_dict(), f"hub:{address}"


def _load(config: BackboneConfig, seed: int, tensors: dict[str, Tensor]) -> tuple[nn.Module, Head | None]:
    """The model with these weights, and its head if the weights have one. Raises BackboneError if they do not fit."""
    model, full = _create(config, seed), _create(config, seed, _CLASSES)
    modules = head_modules(model, full)
    found = match(tensors, model, full, [f"{name}." for name in modules])
    if found.faults:
        raise BackboneError(_misfit(config, found))
    model.load_state_dict(found.tensors, strict=False)
    classes = head_size(full, modules, found.tensors)
    if classes is None or config.layer is not None:
        return model, None
    full = full if classes == _CLASSES else _create(config, seed, classes)
    try:
        missing, _ = full.load_state_dict(found.tensors, strict=False)
    except RuntimeError:  # the head is for another pooling
        return model, None
    if any(name.startswith(tuple(f"{module}." for module in modules)) for name in missing if not is_counter(name)):
        return model, None
    _, height, width = _data_config(config, model)["input_size"]
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return model, detach_head(full, modules, model, images)


def _misfit(config: BackboneConfig, found: Match) -> str:
    source = f"backbone.checkpoint: {config.checkpoint} does" if config.checkpoint else "the published weights do"
    pooling = f", and backbone.pool={config.pool} the pooling that it was trained with" if config.pool else ""
    return (
        f"{source} not fit {config.name}: {found.describe()}; backbone.name must be the model that was trained{pooling}"
    )


def _data_config(config: BackboneConfig, model: nn.Module) -> dict[str, Any]:
    size = {"img_size": config.img_size} if config.img_size else {}
    data: dict[str, Any] = resolve_model_data_config(model, args=size)
    return data


def _as_backbone(config: BackboneConfig, model: nn.Module, head: Head | None, weights: str) -> Backbone:
    data = _data_config(config, model)
    sha256 = state_dict_sha256(model)
    tag = getattr(model, "pretrained_cfg", {}).get("tag", "")
    if config.layer is not None:
        model = Intermediate(model, config.layer)
    model = model.eval().requires_grad_(False)
    dim = _embedding_size(config, model, data["input_size"])
    cache_key = f"{config.name} tag={tag} pool={config.pool} layer={config.layer} input={tuple(data['input_size'])}"
    return Backbone(config.name, model, data, dim, weights, sha256, cache_key, head)


class Intermediate(nn.Module):
    """(B, 3, H, W) to (B, C): the mean over space of an intermediate layer, by timm's forward_intermediates."""

    def __init__(self, model: nn.Module, layer: int) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, images: Tensor) -> Tensor:
        features: list[Tensor] = self.model.forward_intermediates(  # type: ignore[operator]
            images, indices=[self.layer], intermediates_only=True, output_fmt="NCHW"
        )
        return features[-1].mean(dim=(2, 3))


def _embedding_size(config: BackboneConfig, model: nn.Module, input_size: tuple[int, int, int]) -> int:
    """D, by one forward pass. Raises BackboneError for a model whose output is not (B, D)."""
    problem = f"does not take images of {input_size[1]}x{input_size[2]} pixels"
    try:
        with torch.inference_mode():
            if isinstance(model, Intermediate):
                model.model(torch.zeros(1, *input_size))
                problem = f"has no layer {config.layer}"  # the model takes the images, so a failure is the layer's
            output = model(torch.zeros(1, *input_size))
    except (RuntimeError, AssertionError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise BackboneError(f"backbone {config.name} {problem}: {one_line(error)[:160]}") from error
    if not isinstance(output, Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BackboneError(f"backbone {config.name}: the output is not a vector but {shape}; try backbone.pool=avg")
    return int(output.shape[1])

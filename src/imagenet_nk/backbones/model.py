"""A timm model without its head, built from the configuration."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import sys
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from imagenet_nk.backbones.weights import HINT, hub_weights, load_state_dict
from imagenet_nk.config.backbones import BackboneConfig
from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import one_line


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
    head: nn.Linear | None = None  # (B, D) to (B, classes): the classifier that was removed, if it is linear

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
    _check_name(config.name)
    if config.checkpoint is not None:
        model, head, weights = _from_file(config, seed)
    elif config.pretrained:
        model, head, weights = _from_hub(config)
    else:
        model, head, weights = _create(config, seed), None, f"random:{seed}"
    return _as_backbone(config, model, head, weights)


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


def _create(config: BackboneConfig, seed: int, *, pretrained: bool = False) -> nn.Module:
    """A timm model without a head, its weights initialised from `seed`. The caller's random numbers do not change."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)  # the CPU's generator only: models are built there
        try:
            return _timm_model(config, pretrained)
        except (AssertionError, ValueError) as error:
            options = {"pool": config.pool, "img_size": config.img_size}
            settings = ", ".join(f"backbone.{key}={value}" for key, value in options.items() if value is not None)
            raise BackboneError(f"backbone {config.name} does not take {settings}: {one_line(error)[:160]}") from error


def _timm_model(config: BackboneConfig, pretrained: bool) -> nn.Module:
    options: dict[str, Any] = {"num_classes": 0, "pretrained": pretrained}
    if config.pool is not None:
        options["global_pool"] = config.pool
    if config.img_size:
        with suppress(TypeError):  # only models that must know their input size take it
            return timm.create_model(config.name, img_size=config.img_size, **options)  # type: ignore[no-any-return]
    return timm.create_model(config.name, **options)  # type: ignore[no-any-return]


def _from_hub(config: BackboneConfig) -> tuple[nn.Module, nn.Linear | None, str]:
    published = timm.get_pretrained_cfg(config.name)
    if published is None or not (published.hf_hub_id or published.url):
        raise BackboneError(f"timm has no published weights for {config.name}; {HINT}")
    address = str(published.hf_hub_id or published.url)
    with hub_weights(config.name, address):
        model = _create(config, 0, pretrained=True)
        classifier = timm.create_model(config.name, pretrained=True)  # from the cache by now: only for its head
    return model, _linear_head(classifier), f"hub:{address}"


def _linear_head(classifier: nn.Module) -> nn.Linear | None:
    get: Any = getattr(classifier, "get_classifier", None)
    head = get() if get else None
    return head if isinstance(head, nn.Linear) else None


def _from_file(config: BackboneConfig, seed: int) -> tuple[nn.Module, nn.Linear | None, str]:
    path = Path(str(config.checkpoint))
    state = load_state_dict(path)
    model = _create(config, seed)
    head = _pop_head(state, model)
    try:
        model.load_state_dict(state)
    except RuntimeError:
        _load_filtered(config, model, state, path)
    return model, head, f"file:{path.name}"


def _load_filtered(config: BackboneConfig, model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load weights with older names or other sizes, by timm's filter for this architecture."""
    filter_fn = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    with suppress(KeyError, IndexError, RuntimeError, ValueError, AttributeError, TypeError):  # unknown to the filter
        state = dict(filter_fn(dict(state), model)) if filter_fn else state
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error).partition(":")[2], 300, placeholder=" ...")
        raise BackboneError(
            f"backbone.checkpoint: {path} does not fit {config.name}: {reason}; "
            "backbone.name must be the model that was trained"
        ) from error


def _pop_head(state: dict[str, Tensor], model: nn.Module) -> nn.Linear | None:
    """Remove the classifier's tensors from `state`; a single linear classifier is returned."""
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    popped = [(state.pop(f"{name}.weight", None), state.pop(f"{name}.bias", None)) for name in names]
    weight, bias = popped[0] if len(popped) == 1 else (None, None)
    if weight is None or weight.ndim != 2:
        return None
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    head.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return head


def _as_backbone(config: BackboneConfig, model: nn.Module, head: nn.Linear | None, weights: str) -> Backbone:
    size = {"img_size": config.img_size} if config.img_size else {}
    data = resolve_model_data_config(model, args=size)
    sha256 = state_dict_sha256(model)
    tag = getattr(model, "pretrained_cfg", {}).get("tag", "")
    if config.layer is not None:
        model = Intermediate(model, config.layer)
    model = model.eval().requires_grad_(False)
    dim = _embedding_size(config, model, data["input_size"])
    cache_key = f"{config.name} tag={tag} pool={config.pool} layer={config.layer} input={tuple(data['input_size'])}"
    if head is not None:
        fits = head.in_features == dim and config.layer is None
        head = head.eval().requires_grad_(False) if fits else None
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

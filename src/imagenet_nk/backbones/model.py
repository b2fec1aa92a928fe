"""A timm model without its head, built from the configuration, and what is known about it."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from imagenet_nk.backbones import weights as checkpoint
from imagenet_nk.backbones import weights as hub
from imagenet_nk.config import BackboneConfig
from imagenet_nk.errors import BackboneError


@dataclass(frozen=True)
class Backbone:
    """A model that maps (B, 3, H, W) to (B, D), ready for inference, and where its weights are from."""

    name: str
    model: nn.Module
    data: Mapping[str, Any]  # timm's data configuration: input_size, interpolation, crop_pct, mean, std, ...
    dim: int
    weights: str  # hub:..., file:..., random:SEED
    sha256: str  # of the weights, see `fingerprint`
    cache_key: str  # what the embeddings depend on beside weights and transform
    head: nn.Linear | None = None  # (B, D) to (B, classes): the classifier that was taken off, if known

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the images that the model is given."""
        _, height, width = self.data["input_size"]
        return height, width

    @cached_property
    def gmacs(self) -> float | None:
        """Billions of multiply-adds for one image, as PyTorch counts them: in matrix products and convolutions.

        None for a model with an operation that cannot be counted on weights without values.
        """
        try:
            with torch.device("meta"):
                image = torch.empty(1, 3, *self.input_size)
            named = itertools.chain(self.model.named_parameters(), self.model.named_buffers())
            weights = {name: tensor.to("meta") for name, tensor in named}
            with torch.inference_mode(), FlopCounterMode(display=False) as counted:
                torch.func.functional_call(self.model, weights, (image,))
        except (RuntimeError, NotImplementedError, TypeError):
            return None
        return float(counted.get_total_flops()) / 2e9


def build(config: BackboneConfig, seed: int = 0) -> Backbone:
    """The backbone that a configuration names, on the CPU and in evaluation mode.

    `seed` draws the weights where there are neither published nor local ones. Raises BackboneError.
    """
    options = _pool_options(config)
    _check_name(config.name)
    if config.checkpoint is not None:
        model, head, weights = _from_file(config, options, seed)
    elif config.pretrained:
        model, head, weights = _from_hub(config, options)
    else:
        model, head, weights = _create(config, options, seed), None, f"random:{seed}"
    return _as_backbone(config, model, head, weights)


def state_dict_sha256(model: nn.Module) -> str:
    """SHA-256 of a model's weights: of name, type, shape and bytes of every tensor of its state, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def suggest_models(name: str) -> list[str]:
    """Up to five model names of timm that look like this one."""
    names = timm.list_models()
    return difflib.get_close_matches(name, names, n=5, cutoff=0.6) or difflib.get_close_matches(name, names, 5, 0.3)


def _check_name(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = ", ".join(suggest_models(architecture))
        raise BackboneError(
            f"timm has no model {name!r}; " + (f"did you mean {close}?" if close else "timm.list_models() lists all")
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise BackboneError(
            f"timm's {architecture} has no weights tagged {tag!r}; there are: {', '.join(tags) or 'none'}"
        )


def _pool_options(config: BackboneConfig) -> dict[str, Any]:
    return {} if config.pool is None else {"global_pool": config.pool}


def _create(config: BackboneConfig, options: Mapping[str, Any], seed: int, **more: Any) -> nn.Module:
    """A model with drawn weights and no head; img_size goes to models that must know it when they are built."""
    with torch.random.fork_rng(devices=()):  # the caller's random numbers stay as they are
        torch.default_generator.manual_seed(seed)  # the CPU's alone: models are built there
        return _create_seeded(config, options, **more)


def _create_seeded(config: BackboneConfig, options: Mapping[str, Any], **more: Any) -> nn.Module:
    sizes = [{"img_size": config.img_size}, {}] if config.img_size else [{}]
    for index, size in enumerate(sizes):
        try:
            return timm.create_model(config.name, num_classes=0, **options, **size, **more)  # type: ignore[no-any-return]
        except TypeError:
            if index + 1 == len(sizes):
                raise
        except (AssertionError, ValueError) as error:
            given = {"pool": config.pool, **size} if options else size
            settings = ", ".join(f"backbone.{key}={value}" for key, value in given.items())
            raise BackboneError(
                f"backbone {config.name} does not take {settings}: {checkpoint.first_line(error)}"
            ) from error
    raise AssertionError("unreachable")


def _from_hub(config: BackboneConfig, options: Mapping[str, Any]) -> tuple[nn.Module, nn.Linear | None, str]:
    published = timm.get_pretrained_cfg(config.name)
    if published is None or not (published.hf_hub_id or published.url):
        raise BackboneError(f"timm has no published weights for {config.name}; {hub.HINT}")
    place = str(published.hf_hub_id or published.url)
    with hub.hub_weights(config.name, place):
        model = _create(config, options, 0, pretrained=True)
        whole = timm.create_model(config.name, pretrained=True)  # out of the cache by now: only for its head
    return model, _linear_head(whole), f"hub:{place}"


def _linear_head(whole: nn.Module) -> nn.Linear | None:
    get: Any = getattr(whole, "get_classifier", None)
    head = get() if get else None
    return head if isinstance(head, nn.Linear) else None


def _from_file(
    config: BackboneConfig, options: Mapping[str, Any], seed: int
) -> tuple[nn.Module, nn.Linear | None, str]:
    path = Path(str(config.checkpoint))
    state = checkpoint.load_state_dict(path)
    model = _create(config, options, seed)
    head = _pop_head(state, model)
    if _incompatible_keys(model, state):
        adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)  # older names, other sizes
        state = _filtered_state_dict(adapt, state, model)
    if misfits := _incompatible_keys(model, state):
        raise BackboneError(
            f"backbone.checkpoint: {path} does not fit {config.name}: {_describe_keys(misfits)}; "
            "backbone.name must be the model that was trained"
        )
    model.load_state_dict(state)
    return model, head, f"file:{path.name}"


def _pop_head(state: dict[str, Tensor], model: nn.Module) -> nn.Linear | None:
    """Take the classifier's tensors out of `state`; a single linear one becomes the head."""
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    taken = {name: (state.pop(f"{name}.weight", None), state.pop(f"{name}.bias", None)) for name in names}
    weight, bias = next(iter(taken.values()), (None, None))
    if len(taken) != 1 or weight is None or weight.ndim != 2:
        return None
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    head.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return head


def _filtered_state_dict(adapt: Any, state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    if adapt is None:
        return state
    try:
        return dict(adapt(dict(state), model))
    except (KeyError, IndexError, RuntimeError, ValueError, AttributeError, TypeError):
        return state  # not a form that timm knows: the caller names the keys


def _incompatible_keys(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are missing, left over or of another shape, each with the reason."""
    wanted = model.state_dict()
    missing = [f"{name} is missing" for name in wanted if name not in state]
    extra = [f"{name} is not in the model" for name in state if name not in wanted]
    shaped = [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    return shaped + missing + extra


def _describe_keys(misfits: list[str], shown: int = 4) -> str:
    rest = len(misfits) - shown
    return ", ".join(misfits[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _as_backbone(config: BackboneConfig, model: nn.Module, head: nn.Linear | None, weights: str) -> Backbone:
    size = {"img_size": config.img_size} if config.img_size else {}
    data = resolve_model_data_config(model, args=size)
    sha256 = state_dict_sha256(model)
    tag = getattr(model, "pretrained_cfg", {}).get("tag", "")
    if config.layer is not None:
        model = Intermediate(model, config.layer)
    model = model.eval().requires_grad_(False)
    dim = _embedding_size(config, model, data["input_size"])
    fits = head is not None and head.in_features == dim and config.layer is None
    cache_key = f"{config.name} tag={tag} pool={config.pool} layer={config.layer} input={tuple(data['input_size'])}"
    head = head.eval().requires_grad_(False) if fits and head is not None else None
    return Backbone(config.name, model, data, dim, weights, sha256, cache_key, head)


class Intermediate(nn.Module):
    """(B, C): the mean over space of one of a model's intermediate layers, by timm's forward_intermediates."""

    def __init__(self, model: nn.Module, layer: int) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, images: Tensor) -> Tensor:
        features: list[Tensor] = self.model.forward_intermediates(  # type: ignore[operator]
            images, indices=[self.layer], intermediates_only=True, output_fmt="NCHW"
        )
        return features[-1].mean(dim=(2, 3))


def _embedding_size(config: BackboneConfig, model: nn.Module, input_size: tuple[int, int, int]) -> int:
    """D, found by one forward pass. Raises BackboneError for a model whose output is not (B, D)."""
    refused = f"does not take images of {input_size[1]}x{input_size[2]} pixels"
    try:
        with torch.inference_mode():
            if isinstance(model, Intermediate):
                model.model(torch.zeros(1, *input_size))  # what fails after this is the fault of the layer
                refused = f"has no layer {config.layer}"
            out = model(torch.zeros(1, *input_size))
    except (RuntimeError, AssertionError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise BackboneError(f"backbone {config.name} {refused}: {checkpoint.first_line(error)}") from error
    if not isinstance(out, Tensor) or out.ndim != 2:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise BackboneError(f"backbone {config.name} gives no flat embedding but {shape}; try backbone.pool=avg")
    return int(out.shape[1])

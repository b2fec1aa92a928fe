"""The model's own classifier, taken off the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """(B, D) to (B, classes): a model's classifier; the mean of its parts where it has several, as in DeiT or LeViT."""

    def __init__(self, parts: Sequence[nn.Module], out_features: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.out_features = out_features  # the number of classes

    def forward(self, embeddings: Tensor) -> Tensor:
        logits = [_apply(part, embeddings) for part in self.parts]
        return torch.stack(logits).mean(dim=0) if len(logits) > 1 else logits[0]


def _apply(part: nn.Module, embeddings: Tensor) -> Tensor:
    is_convolution = any(isinstance(module, nn.Conv2d) for module in part.modules())
    output: Tensor = part(embeddings[..., None, None] if is_convolution else embeddings)
    return output.flatten(1)


def head_modules(model: nn.Module, full: nn.Module) -> list[str]:
    """The names of the outermost modules whose tensors only the full model has: the head, as timm removes it."""
    kept = model.state_dict().keys()
    found: dict[str, None] = {}
    for name in full.state_dict():
        if name not in kept:
            parts = name.split(".")[:-1]
            paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
            outer = next((path for path in paths if not any(k.startswith(f"{path}.") for k in kept)), None)
            found[outer or name] = None
    return list(found)


def head_size(full: nn.Module, modules: Sequence[str], tensors: Mapping[str, Tensor]) -> int | None:
    """The number of classes of the head in a checkpoint; None if it has none."""
    names = [name for name in full.state_dict() if name.startswith(tuple(f"{module}." for module in modules))]
    if not names or names[-1] not in tensors or not tensors[names[-1]].ndim:
        return None
    return len(tensors[names[-1]])


def detach_head(full: nn.Module, modules: Sequence[str], model: nn.Module, images: Tensor) -> Head | None:
    """The head of a model, if it is a function of the embedding; both models hold the same weights.

    images: (B, 3, H, W), on which head(model(images)) is compared with full(images).
    """
    full, model = full.eval(), model.eval()
    if not modules or not {*modules} <= dict(full.named_modules()).keys():
        return None  # a head that is no module
    with torch.inference_mode():
        try:
            expected, embeddings = full(images), model(images)
        except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError, IndexError):
            return None  # the model does not take such images: its builder says so
        for parts in _candidates(full, modules):
            head = Head(parts, expected.shape[-1]).eval().requires_grad_(False)
            if _gives(head, embeddings, expected):
                return head
    return None


def _candidates(full: nn.Module, modules: Sequence[str]) -> Iterator[list[nn.Module]]:
    """The modules themselves; then, where pooling stands before the classifier, what is inside of them."""
    parts = [full.get_submodule(name) for name in modules]
    yield parts
    yield [_innermost(part) for part in parts]


def _innermost(module: nn.Module) -> nn.Module:
    while len(inside := [child for child in module.children() if child.state_dict()]) == 1:
        module = inside[0]
    return module


def _gives(head: Head, embeddings: Tensor, expected: Tensor) -> bool:
    try:
        logits = head(embeddings)
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError):
        return False
    if logits.shape != expected.shape:
        return False
    finite = expected[torch.isfinite(expected)]  # weights that are not finite give logits that are not
    tolerance = 1e-4 * max(float(finite.abs().max()) if len(finite) else 0.0, 1e-6)
    return torch.allclose(logits, expected, rtol=1e-4, atol=tolerance, equal_nan=True)

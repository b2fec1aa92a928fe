"""The classifier that is taken off gives the logits of the whole model, whatever it is made of."""

from __future__ import annotations

import pytest
import timm
import torch

from imagenet_nk.backbones.head import detach_head, head_modules, head_size

MODELS = {
    "linear": ("test_resnet", {}),
    "batch norm before it": ("shvit_s1", {}),
    "pairs with batch norm": ("levit_128s", {}),
    "pairs in one module": ("repvit_m0_9", {}),
    "batch norm, dropout": ("efficientvit_m0", {}),
    "convolution": ("dpn48b", {}),
    "after its own layers": ("mobilenetv3_small_050", {}),
}


@pytest.mark.parametrize("kind", MODELS)
def test_head_of_the_embedding_gives_the_logits_of_the_model(kind):
    name, options = MODELS[kind]
    torch.manual_seed(2)
    full = timm.create_model(name, num_classes=7, **options).eval()
    model = timm.create_model(name, num_classes=0, **options).eval()
    weights = full.state_dict()
    model.load_state_dict(weights, strict=False)
    size = 224 if name.startswith(("levit", "efficientvit")) else 96
    modules = head_modules(model, full)
    head = detach_head(full, modules, model, torch.rand(1, 3, size, size))
    assert head is not None
    assert head.out_features == 7 == head_size(full, modules, weights)
    images = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(head(model(images)), full(images), rtol=1e-5, atol=1e-5)


def test_heads_over_two_tokens_cannot_be_taken_off_their_mean():
    full, model = (timm.create_model("deit_tiny_distilled_patch16_224", num_classes=n, depth=1) for n in (7, 0))
    torch.nn.init.normal_(full.head.weight)
    model.load_state_dict(full.state_dict(), strict=False)
    modules = head_modules(model, full)
    assert modules == ["head", "head_dist"]
    assert detach_head(full, modules, model, torch.rand(1, 3, 224, 224)) is None


def test_file_without_a_head_has_no_size():
    full, model = timm.create_model("test_resnet"), timm.create_model("test_resnet", num_classes=0)
    assert head_size(full, head_modules(model, full), model.state_dict()) is None

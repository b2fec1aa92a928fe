"""Checkpoints of every wrapping give the model's own tensors; what does not fit is named."""

from __future__ import annotations

import pytest
import timm
import torch

from imagenet_nk.backbones.checkpoint import flatten
from imagenet_nk.backbones.head import head_modules
from imagenet_nk.backbones.matching import match
from imagenet_nk.errors import BackboneError
from small_models import TINY

torch.manual_seed(0)
FULL = timm.create_model(TINY, num_classes=7)
STATE = FULL.state_dict()
MODEL = timm.create_model(TINY, num_classes=0)
HEAD = [f"{name}." for name in head_modules(MODEL, FULL)]
OLD = {name: tensor + 1 for name, tensor in STATE.items()}


def below(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}


def found(content, full=FULL, model=MODEL):
    return match(dict(flatten(content)), model, full, HEAD)


FORMS = {
    "plain": STATE,
    "without head": {name: tensor for name, tensor in STATE.items() if not name.startswith("fc.")},
    "counters": {name: tensor for name, tensor in STATE.items() if "num_batches" not in name},
    "ddp": {"epoch": 3, "state_dict": below("module.")},
    "compiled": {"model": below("_orig_mod.module.")},
    "nested": {"model_state_dict": below("module.model.backbone.encoder.net.")},
    "average": {"state_dict": OLD, "state_dict_ema": STATE},
    "average too": {"net": below("module.", OLD), "ema_state_dict": below("module.")},
    "dino": {"student": below("module.backbone.", OLD), "teacher": below("backbone.") | {"head.mlp": torch.ones(1)}},
    "moco": below("module.encoder_q.") | below("module.encoder_k.", OLD) | {"module.queue": torch.ones(4)},
    "lightning": {"state_dict": below("my_own_name.model.") | {"loss.weight": torch.ones(3)}},
    "optimizer": {"weights": STATE, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "swa": below("module.") | {"n_averaged": torch.tensor(3)},
    "projection head": STATE | {"fc.0.weight": torch.ones(2, 2)},
}


@pytest.mark.parametrize("form", FORMS)
def test_model_is_found_under_any_prefix(form):
    result = found(FORMS[form])
    assert result.faults == 0, result.describe()
    for name in MODEL.state_dict():
        if "num_batches" not in name:
            assert torch.equal(result.tensors[name], STATE[name])


def test_what_does_not_fit_is_named():
    assert "1 missing (conv1.0.weight" in found({k: v for k, v in STATE.items() if k != "conv1.0.weight"}).describe()
    assert "left over (layer9.weight)" in found(STATE | {"layer9.weight": torch.ones(1)}).describe()
    assert "of another shape (conv1.0.weight (1, 2)" in found(STATE | {"conv1.0.weight": torch.ones(1, 2)}).describe()


def test_a_file_with_two_models_of_equal_right_is_refused():
    with pytest.raises(BackboneError, match=r"holds the model twice, as 'a\.' and 'b\.'"):
        found(below("a.") | below("b.", OLD))
    assert found(below("a.") | below("b.")).faults == 0


def test_names_of_the_original_authors_are_renamed_by_timm():
    vit, bare = timm.create_model("test_vit", img_size=64), timm.create_model("test_vit", img_size=64, num_classes=0)
    clip = {f"visual.trunk.{name}": tensor for name, tensor in vit.state_dict().items()}
    assert found(clip | {"logit_scale": torch.ones(())}, vit, bare).tensors.keys() >= bare.state_dict().keys()
    cnn, bare = timm.create_model("convnext_atto"), timm.create_model("convnext_atto", num_classes=0)
    theirs = {"stem.0": "downsample_layers.0.0", "stem.1": "downsample_layers.0.1", "head.norm": "norm"}
    original = cnn.state_dict()
    for ours, name in theirs.items():
        original = {
            key.replace(f"{ours}.", f"{name}.") if key.startswith(ours) else key: original[key] for key in original
        }
    result = match({"model." + k: v for k, v in original.items()}, bare, cnn, ["head.fc."])
    assert "downsample_layers.0.0.weight" in original
    assert result.faults == 0, result.describe()

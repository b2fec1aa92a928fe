"""Building backbones: names, weights, heads, and the lines with which settings are refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
import safetensors.torch
import timm
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from imagenet_nk.backbones import model, weights
from imagenet_nk.config import BackboneConfig
from imagenet_nk.errors import BackboneError
from small_models import TINY


def config(**changes):
    return dataclasses.replace(BackboneConfig(name=TINY, pretrained=False, device="cpu"), **changes)


def says(function, *arguments) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(BackboneError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_random_weights_follow_the_seed():
    first, repeated, other = (model.build(config(), seed).sha256 for seed in (1, 1, 2))
    assert first == repeated != other


def test_unknown_name_is_answered_with_similar_ones():
    assert "resnet50" in says(model.build, config(name="resnet5O"))
    assert "resnet18" in says(model.build, config(name="resnet_18"))
    assert "a1_in1k" in says(model.build, config(name="resnet18.nope"))


def test_model_without_published_weights_is_named():
    assert "no published weights" in says(model.build, config(name="darknet17", pretrained=True))


def test_checkpoint_without_its_head_gives_no_head(tmp_path):
    headless = timm.create_model(TINY, num_classes=0)
    torch.save(headless.state_dict(), tmp_path / "w.pt")
    built = model.build(config(checkpoint=str(tmp_path / "w.pt")))
    assert built.head is None
    assert built.sha256 == model.state_dict_sha256(headless)


def test_checkpoint_of_another_model_names_the_keys(tmp_path):
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "w.pt")
    message = says(model.build, config(checkpoint=str(tmp_path / "w.pt")))
    assert "missing (conv1" in message
    assert "left over (cls_token" in message
    assert "backbone.name must be the model that was trained" in message


def test_unreachable_hub_is_one_line_that_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setattr(weights.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(weights.constants, "HF_HUB_CACHE", str(tmp_path))
    message = says(model.build, config(pretrained=True))
    assert "backbone.pretrained=false" in message
    assert "backbone.checkpoint=FILE" in message


def test_settings_that_the_model_does_not_take_are_one_line():
    assert "does not take backbone.pool=bogus" in says(model.build, config(pool="bogus"))
    message = says(model.build, config(layer=99))
    assert "has no layer 99" in message
    assert "pixels" not in message
    assert "not a vector" in says(model.build, config(pool=""))


def test_pool_layer_and_size_follow_the_configuration():
    plain = model.build(config())
    assert plain.input_size == (160, 160)
    assert model.build(config(img_size=96)).input_size == (96, 96)
    assert model.build(config(name="test_vit", img_size=96)).model(torch.rand(1, 3, 96, 96)).shape == (1, 64)
    double = model.build(config(pool="catavgmax"))
    assert double.dim == 2 * plain.dim
    early = model.build(config(layer=1))
    x = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        wanted = plain.model.forward_intermediates(x, indices=[1], intermediates_only=True)[0].mean((2, 3))
        torch.testing.assert_close(early.model(x), wanted)
    assert len({built.cache_key for built in (plain, double, early)}) == 3


def test_tensors_that_no_file_gave_are_refused(tmp_path):
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pt")
    for pool, tensor in (("avg", "fc_norm.weight"), ("map", "attn_pool.latent")):
        message = says(model.build, config(name="test_vit", pool=pool, checkpoint=str(tmp_path / "w.pt")))
        assert tensor in message
        assert f"backbone.pool={pool} the pooling that it was trained with" in message


def test_old_names_and_folders_are_models_too(tmp_path):
    assert model.current_name("tf_efficientnet_b0_ns") == "tf_efficientnet_b0.ns_jft_in1k"
    assert model.current_name("hf_hub:timm/resnet18") == "hf-hub:timm/resnet18"
    classifier = timm.create_model(TINY, num_classes=5).eval()
    (tmp_path / "config.json").write_text(json.dumps({"architecture": TINY, "num_classes": 5, "pretrained_cfg": {}}))
    assert "holds no weights file" in says(model.build, config(name=f"local-dir:{tmp_path}", pretrained=True))
    safetensors.torch.save_file(classifier.state_dict(), tmp_path / "model.safetensors")
    built = model.build(config(name=f"local-dir:{tmp_path}", pretrained=True))
    assert (built.weights, built.head.out_features) == ("file:model.safetensors", 5)
    assert "is not a folder of a timm model" in says(model.build, config(name=f"local-dir:{tmp_path}/no"))
    assert config(name="timm/resnet18").name == config(name="hf_hub:timm/resnet18").name == "resnet18"


def test_errors_of_the_hub_are_told_apart():
    assert weights._reason(RuntimeError("Error(s) in loading state_dict for X"), "h", "u", "").startswith(
        "the published"
    )
    assert "not cached" in weights._reason(LocalEntryNotFoundError("x"), "h", "u", "h does not answer")
    assert "remove them from" in weights._reason(SafetensorError("x"), "h", "u", "")
    assert "hf auth login" in weights._reason(HFValidationError("x"), "h", "u", "")


@pytest.mark.parametrize("name", [TINY, "test_vit", "test_convnext", "test_efficientnet"])
def test_embedding_is_the_input_of_the_head(name, tmp_path):
    torch.manual_seed(3)
    classifier = timm.create_model(name).eval()
    safetensors.torch.save_file(classifier.state_dict(), tmp_path / "w.safetensors")
    built = model.build(config(name=name, checkpoint=str(tmp_path / "w.safetensors")))
    x = torch.rand(2, 3, *built.input_size)
    with torch.inference_mode():
        torch.testing.assert_close(built.head(built.model(x)), classifier(x))


def test_building_a_model_keeps_the_random_state_of_the_caller(tiny):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = model.build(tiny, 3).sha256
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.build(tiny, 3).sha256 == first != model.build(tiny, 4).sha256

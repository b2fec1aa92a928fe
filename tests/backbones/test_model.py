"""Building backbones: names, weights files, what they say when they cannot be had."""

from __future__ import annotations

import dataclasses

import pytest
import safetensors.torch
import timm
import torch

from imagenet_nk.backbones import devices, weights
from imagenet_nk.backbones import model as backbone
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
    first, again, other = (backbone.build(config(), seed).sha256 for seed in (1, 1, 2))
    assert first == again != other


def test_an_unknown_name_is_answered_with_close_ones():
    assert "resnet50" in says(backbone.build, config(name="resnet5O"))
    assert "resnet18" in says(backbone.build, config(name="resnet_18"))
    assert "a1_in1k" in says(backbone.build, config(name="resnet18.nope"))


def test_a_model_without_published_weights_is_named():
    assert "no published weights" in says(backbone.build, config(name="darknet17", pretrained=True))


@pytest.fixture(params=["safetensors", "torch", "nested"])
def weights_file(request, tmp_path):
    torch.manual_seed(5)
    model = timm.create_model(TINY, num_classes=7)
    path = tmp_path / "weights.bin"
    if request.param == "safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    elif request.param == "torch":
        torch.save(model.state_dict(), path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
    return path, model.eval()


def test_a_checkpoint_with_its_head(weights_file):
    path, model = weights_file
    built = backbone.build(config(checkpoint=str(path)))
    x = torch.rand(2, 3, *built.input_size)
    with torch.inference_mode():
        embedding = built.model(x)
        torch.testing.assert_close(embedding, model.forward_head(model.forward_features(x), pre_logits=True))
        torch.testing.assert_close(built.head(embedding), model(x))


def test_a_checkpoint_without_its_head(tmp_path):
    model = timm.create_model(TINY, num_classes=0)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    built = backbone.build(config(checkpoint=str(tmp_path / "w.pt")))
    assert built.head is None
    assert built.sha256 == backbone.state_dict_sha256(model)


def test_a_checkpoint_of_another_model_names_the_keys(tmp_path):
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "w.pt")
    said = says(backbone.build, config(checkpoint=str(tmp_path / "w.pt")))
    assert "conv1" in said
    assert "more" in said


class Trap:
    def __reduce__(self):
        return print, ("pickled code ran",)


@pytest.mark.parametrize(("content", "word"), [(Trap(), "pickled code"), ({"a": 1}, "no named tensors")])
def test_what_is_no_plain_weights_file_is_refused(content, word, tmp_path, capsys):
    torch.save(content, tmp_path / "w.pt")
    assert word in says(backbone.build, config(checkpoint=str(tmp_path / "w.pt")))
    assert capsys.readouterr().out == ""


def test_a_broken_or_missing_checkpoint_is_one_line(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04 nothing of the kind")
    says(backbone.build, config(checkpoint=str(tmp_path / "w.pt")))
    assert "there is no file" in says(backbone.build, config(checkpoint=str(tmp_path / "gone.pt")))


def test_a_hub_out_of_reach_is_one_line_that_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setattr(weights.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(weights.constants, "HF_HUB_CACHE", str(tmp_path))
    said = says(backbone.build, config(pretrained=True))
    assert "backbone.pretrained=false" in said
    assert "backbone.checkpoint=FILE" in said


def test_a_device_that_is_not_there_is_one_line():
    if not torch.cuda.is_available():
        assert "device=cuda" in says(devices.resolve_devices, "cuda")
    assert "is not a device" in says(devices.resolve_devices, "gpu7")


def test_settings_that_the_model_does_not_take_are_one_line():
    assert "does not take backbone.pool=bogus" in says(backbone.build, config(pool="bogus"))
    said = says(backbone.build, config(layer=99))
    assert "has no layer 99" in said
    assert "pixels" not in said
    assert "no flat embedding" in says(backbone.build, config(pool=""))


def test_pool_layer_and_size_are_the_models_own_or_those_asked_for():
    plain = backbone.build(config())
    assert plain.input_size == (160, 160)
    assert backbone.build(config(img_size=96)).input_size == (96, 96)
    assert backbone.build(config(name="test_vit", img_size=96)).model(torch.rand(1, 3, 96, 96)).shape == (1, 64)
    double = backbone.build(config(pool="catavgmax"))
    assert double.dim == 2 * plain.dim
    early = backbone.build(config(layer=1))
    x = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        wanted = plain.model.forward_intermediates(x, indices=[1], intermediates_only=True)[0].mean((2, 3))
        torch.testing.assert_close(early.model(x), wanted)
    assert len({built.cache_key for built in (plain, double, early)}) == 3


@pytest.mark.parametrize("name", [TINY, "test_vit", "test_convnext", "test_efficientnet"])
def test_the_embedding_is_what_the_head_was_given(name, tmp_path):
    torch.manual_seed(3)
    whole = timm.create_model(name).eval()
    safetensors.torch.save_file(whole.state_dict(), tmp_path / "w.safetensors")
    built = backbone.build(config(name=name, checkpoint=str(tmp_path / "w.safetensors")))
    x = torch.rand(2, 3, *built.input_size)
    with torch.inference_mode():
        torch.testing.assert_close(built.head(built.model(x)), whole(x))


def test_building_a_model_leaves_the_random_numbers_of_the_caller_alone(tiny):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = backbone.build(tiny, 3).sha256
    assert torch.equal(torch.random.get_rng_state(), before)
    assert backbone.build(tiny, 3).sha256 == first != backbone.build(tiny, 4).sha256

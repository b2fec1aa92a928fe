from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from imagenet_nk import config
from imagenet_nk.config import Config
from imagenet_nk.errors import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"
CHOICES = sorted(
    (folder.name, file.stem) for folder in CONF.iterdir() if folder.name != "hydra" for file in folder.glob("*.yaml")
)
NEEDS = {  # keys without a default
    ("source", "full"): ["source.root=/data"],
    ("source", "manifest"): ["source.path=/data/manifest.csv"],
    ("labels", "file"): ["labels.path=/data/labels.txt"],
    ("sampling", "list"): ["sampling.path=/data/names.txt"],
    ("classes", "subtree"): ["classes.root_wnid=n02084071"],
    ("backbone", "timm"): ["backbone.name=resnet26"],
}


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def checked(*overrides: str) -> Config:
    cfg = compose("imagenet", list(overrides))
    config.refuse_unknown(cfg)
    result = OmegaConf.to_object(cfg)
    assert isinstance(result, Config)
    return result


def test_there_are_choices_to_test() -> None:
    assert len(CHOICES) > 30
    assert {group for group, _ in CHOICES} == {
        "backbone", "classes", "engine", "export", "labels", "sampling", "source", "split", "tracker",
    }  # fmt: skip


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_composes_and_is_typed(group: str, name: str) -> None:
    where = "source@fallback" if (group, name) == ("source", "none") else group
    chosen = compose("imagenet", [f"{where}={name}", *NEEDS.get((group, name), [])])
    part = chosen[where.rpartition("@")[2]]
    assert OmegaConf.get_type(part) is not dict, "the yaml names no schema"
    config.refuse_unknown(chosen)
    OmegaConf.to_object(chosen)
    if group in ("source", "sampling", "split", "tracker", "engine"):
        get_class(part._target_)


@pytest.mark.parametrize("choice", sorted(NEEDS))
def test_what_has_no_default_is_asked_for(choice: tuple[str, str]) -> None:
    key = NEEDS[choice][0].partition("=")[0]
    with pytest.raises(Exception, match=re.escape(key)):
        checked("=".join(choice))


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice[0] == "backbone"])
def test_a_backbone_file_is_named_after_its_model(group: str, name: str) -> None:
    assert compose("imagenet", [f"{group}={name}", *NEEDS.get((group, name), [])]).backbone.name.startswith(
        name if name != "timm" else "resnet26"
    )


def test_the_defaults_are_those_of_the_design() -> None:
    run = checked()
    assert (run.nk, run.seed, run.plan, run.require_complete) == (10, 0, False, True)
    assert run.stages == ["collect", "lists", "centers", "evaluate", "report"]
    assert (run.dataset.dir, run.lists.separator) == ("dataset/imagenet", " ")
    assert (run.backbone.name, run.labels.order, run.split._target_) == (
        "resnet50", "sorted", "imagenet_nk.sampling.draw_order.EvalOnly",
    )  # fmt: skip


def test_the_demo_needs_no_network_and_no_more_than_its_name() -> None:
    run = checked("source=demo")
    assert (run.source.per_class, run.classes.limit) == (36, 20)
    assert (run.dataset.dir, run.backbone.pretrained) == ("dataset/demo", False)
    assert checked("source=demo", "classes.limit=3", "dataset.dir=x").classes.limit == 3


def test_null_means_all() -> None:
    assert checked("nk=null").nk is None


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("nk=0", "nk must be at least 1, or null for all that the source has, got 0"),
        ("nk=-3", "got -3"),
        ("stages=[foo]", "no stage 'foo'; there are: collect, lists"),
        ("stages=[]", "stages is empty; choose from [collect,"),
        ("source=full", "source=full needs the folder of the images: source.root="),
        ("source.list=[]", "source.list must be a path or an http"),
        ("source.list=7", "source.list must be a path or an http"),
        ("labels=file", "labels=file needs labels.path=FILE"),
        ("classes.limit=0", "classes.limit must be at least 1 or null"),
        ("classes.wnids=[crane]", "'crane' is no WNID"),
        ("backbone.batch_size=0", "backbone.batch_size must be at least 1"),
        ("backbone.threads=-1", "backbone.threads must be at least 0, got -1"),
        ("http.concurrency=0", "http.concurrency must be at least 1"),
        ("http.deadline=0", "http.deadline must be more than 0 seconds"),
        ("http.retries=-1", "http.retries must be at least 0"),
        ("http.url_templates=[]", "http.url_templates must name at least one URL template"),
        (
            "http.url_templates=['{uri}']",
            "http.url_templates: '{uri}' may hold {url}, {https}, {flickr}, as they",
        ),
        ("http.url_templates=['{url}','{url}{0}']", "'{url}{0}' may hold {url}"),
        ("http.url_templates=['{url!r}']", "'{url!r}' may hold {url}"),
        ("http.url_templates=['{url:>9}']", "'{url:>9}' may hold {url}"),
        ("http.url_templates=['{url.x}']", "'{url.x}' may hold {url}"),
        ("http.url_templates=['{}']", "'{}' may hold {url}"),
        ("http.url_templates=['{']", "http.url_templates: '{' cannot be read: "),
        ("http.url_templates=['http://a.test/x.jpg']", "is one address for all images; put {url} where theirs belongs"),
        (
            "http.url_templates=['web.archive.org/web/2011id_/{url}']",
            "makes 'web.archive.org/web/2011id_/http://farm1",
        ),
        ("http.user_agent='me {mail}'", "http.user_agent may hold {contact} alone in braces, got 'me {mail}'"),
        ("http.user_agent='me {'", "http.user_agent may hold {contact} alone"),
        ("http.contact='jürgen@example.org'", "must be plain ASCII, as a header is, got"),
        ("inspect.placeholder_repeats=1", "inspect.placeholder_repeats must be at least 2"),
        ("inspect.placeholder_urls=['(']", "is no regular expression"),
        ('lists.separator=";"', "lists.separator must be ' ' or ',', got ';'"),
        ("+extra=1", "there is no key 'extra' to add"),
        ("+http.extra=1", "there is no key 'http.extra' to add"),
        ("++backbone.extra=1", "there is no key 'backbone.extra' to add"),
    ],
)
def test_a_bad_value_is_one_line_that_names_its_key(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        checked(override)
    assert "\n" not in str(caught.value)


def test_config_imports_no_more_than_omegaconf() -> None:
    text = Path(config.__file__).read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= {"__future__", "re", "dataclasses", "enum", "typing", "hydra", "omegaconf", "imagenet_nk"}


def test_refuse_unknown_lets_plain_dictionaries_be() -> None:
    config.refuse_unknown(DictConfig({"any": {"thing": 1}}))


def test_hydra_does_not_copy_the_store_for_each_group_that_help_lists() -> None:
    store = ConfigStore.instance()
    assert copy.deepcopy([store])[0] is store

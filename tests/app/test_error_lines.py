from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from imagenet_nk import config
from imagenet_nk.app.error_lines import describe_user_error
from imagenet_nk.errors import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def said(*overrides: str) -> str:
    try:
        cfg = compose("imagenet", list(overrides))
        OmegaConf.to_object(cfg)
        instantiate(cfg.split)
    except Exception as error:
        line = describe_user_error(error)
        if line is None:
            raise
        return line
    return "nothing"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("nkk=5", "there is no key 'nkk'; did you mean nk?"),
        ("source.lst=x", "there is no key 'source.lst'; did you mean source.list?"),
        (
            "source=full source.split=val",
            "no key 'source.split' here: it goes with source=hub; source has root, part, materialize, download",
        ),
        ("source.path=m.csv", "no key 'source.path' here: it goes with source=manifest; source has list"),
        ("fallback.list=a.txt", "it goes with source@fallback=urls; fallback has train, val, devkit, synset"),
        ("source=none source.train=a.tar", "it goes with source=archive; source has no keys"),
        ("sampling.path=l.txt", "it goes with sampling=list; sampling has no keys"),
        ("classes.root_wnid=n02084071", "it goes with classes=subtree; classes has table, wnids, limit"),
        ("source.seed=3", "there is no key 'source.seed'; did you mean seed?"),
        ("http.split=3", "there is no key 'http.split'; --cfg job shows all keys"),
        ("sourc=urls", "there is no key 'sourc'; did you mean source?"),
        ("concurrency=5", "there is no key 'concurrency'; did you mean http.concurrency?"),
        ("http.max_byte=5", "there is no key 'http.max_byte'; did you mean http.max_bytes?"),
        ("hydra.run.dirr=x", "there is no key 'hydra.run.dirr'; did you mean hydra.run.dir?"),
        ("zzz=1", "there is no key 'zzz'; --cfg job shows all keys, --help the groups"),
        ("source@fallbck=none", "there is no group 'source@fallbck'; did you mean source or source@fallback?"),
        ("labels=sort", "there is no labels=sort; choose one of clsloc, file, sorted"),
        ("classes=zzz source=none", "there is no classes=zzz; choose one of imagenet12k, imagenet1k,"),
        (
            "backbone=resnet51",
            "resnet51; did you mean resnet50 or resnet18 or resnet101?; any other timm model: backbone=timm ba",
        ),
        ("nk=ten", "nk takes a whole number or null, got 'ten'"),
        ("plan=maybe", "plan takes true or false, got 'maybe'"),
        ("retry=foo", "retry: Invalid value 'foo', expected one of [none, transient, failed]"),
        ("seed=null", "seed cannot be null"),
        ("stages=lists", "stages takes a list: stages=[lists]"),
        ("http=fast", "http holds several settings; name one, http.NAME=..., or see --cfg job"),
        ("nk=[", "cannot read nk=[: a bracket is not closed"),
        ("lists.separator=,", """two pairs of quotes: 'lists.separator=","'"""),
        ("nk", "cannot read the argument 'nk'; settings are typed as key=value, such as nk=5"),
        (
            "backbone=a,b",
            "is several values: -m runs them one after the other, [a,b] is a list, and one value with a comma is",
        ),
        ("backbone=timm", "backbone.name must be given: backbone.name=..."),
        ("seed=${nope}", "seed: Interpolation key 'nope' not found"),
        ("split.eval_per_class=2", "split.eval_per_class goes with split=holdout; type split=holdout as well"),
        ("split=holdout split.eval_per_class=0", "split.eval_per_class must be at least 1, got 0"),
        ("split=holdout split.eval_per_class=null", "split.eval_per_class must be at least 1, got None"),
        ("~nkk", "Could not delete from config. 'nkk' does not exist."),
        ("split=holdout split.eval_per_class=3", "nothing"),
        ("http.host_rates={127.0.0.1:3,flickr.com:0.5}", "nothing"),
        ("http.host_rates={'127.0.0.1':3}", "keys within braces take no quotes: 'http.host_rates={127.0.0.1:3}'"),
        (
            "http.host_rates={a.com:-1}",
            "http.host_rates, a.com, must be more than 0 requests a second, got -1",
        ),
        (
            "http.host_rates.a.com=2",
            "http.host_rates takes names with dots within braces: 'http.host_rates={a.REST:NUMBER}'",
        ),
        ("http.deadline.a=2", "http.deadline takes one value, and has no keys of its own"),
        ("nk={a:2}", "nk takes one value, and has no keys of its own"),
        ("http.host_rates={*:5}", "nothing"),
        ("http.retries=-1", "http.retries must be at least 0, got -1"),
        (
            "inspect.near_duplicate_bits=64",
            "inspect.near_duplicate_bits must be 0 to 63 of the 64 bits, or null, got 64",
        ),
    ],
)
def test_user_error_is_one_line_that_says_what_to_type(overrides: str, line: str) -> None:
    assert line in said(*overrides.split())
    assert "\n" not in said(*overrides.split())


def test_advice_for_a_quoted_separator_works() -> None:
    assert said('lists.separator=","') == "nothing"


def test_launcher_that_is_not_installed_is_named_with_its_extra() -> None:
    error = MissingConfigException("In 'hydra/config': Could not find 'hydra/launcher/joblib'\n\nAvailable:\n\tbasic\n")
    assert describe_user_error(error) == "hydra/launcher=joblib is not installed: pip install 'imagenet-nk[cluster]'"


def test_other_errors_are_not_user_errors() -> None:
    assert describe_user_error(ValueError("a fault")) is None
    assert describe_user_error(KeyError("x")) is None


def test_user_error_is_recognised_as_the_cause_of_another() -> None:
    error = RuntimeError("outer")
    error.__cause__ = ConfigError("what is\n wrong")
    assert describe_user_error(error) == "what is; wrong"

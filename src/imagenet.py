"""The entry point: compose the configuration, build the parts, run the stages."""

import imagenet_nk.starting  # noqa: F401 - first: Ctrl-C is calm from here on

# isort: split
import hydra
from omegaconf import DictConfig

from imagenet_nk import cli, config

config.register()


@hydra.main(version_base="1.3", config_path=cli.config_folder(), config_name="imagenet")
def main(cfg: DictConfig) -> int:
    """One job; returns its exit code."""
    from imagenet_nk import pipeline  # after composition: --help and a config error import no stage

    return pipeline.run(cfg)


def run() -> None:
    """The process, as the console script and `python src/imagenet.py` start it."""
    cli.run(main)


if __name__ == "__main__":
    run()

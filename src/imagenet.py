"""The entry point: compose the configuration, build the parts, run the stages."""

from __future__ import annotations

import imagenet_nk.app.startup  # noqa: F401 - first: Ctrl-C is calm from here on

# isort: split
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run() -> None:
    """The process, as the console script and `python src/imagenet.py` start it.

    What it needs is imported here: this file is loaded once more by every process that it starts.
    """
    import hydra

    from imagenet_nk import config
    from imagenet_nk.app import cli

    config.register()

    @hydra.main(version_base="1.3", config_path=cli.config_folder(), config_name="imagenet")
    def main(cfg: DictConfig) -> int:
        """One job; returns its exit code."""
        from imagenet_nk.app import pipeline  # after composition: --help and a config error import no stage

        return pipeline.run(cfg)

    cli.run(main)


if __name__ == "__main__":
    run()

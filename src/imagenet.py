"""The entry point: compose the configuration, build the parts, run the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagenet_nk.app import startup

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run() -> None:
    """Run the program; the console script and `python src/imagenet.py` start here.

    Imports are in here because every worker process imports this file again.
    """
    startup.exit_on_interrupt()
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

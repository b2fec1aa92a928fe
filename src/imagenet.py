"""The entry point: compose the configuration, prepare a job, run its stages."""

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
        from imagenet_nk.app.job_setup import prepare  # not needed for --help and errors in the configuration

        with prepare(cfg) as setup:
            from imagenet_nk.app import stages  # half a second, in which worker processes load what they need

            return stages.run(setup)

    cli.run(main)


if __name__ == "__main__":
    run()

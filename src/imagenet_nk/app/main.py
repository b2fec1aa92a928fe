"""The entry point: compose the configuration, prepare a job, run its stages.

The console script, `python -m imagenet_nk` and `python src/imagenet.py` start here. Imports are inside of `run` because
worker processes import the module that started the program again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imagenet_nk.version import __version__

if TYPE_CHECKING:
    from omegaconf import DictConfig

_NEEDS_UNIX = "imagenet-nk runs on Linux and macOS; on Windows type wsl and run it in there\n"


def run() -> None:
    """Run the program and end the process."""
    if sys.platform == "win32":
        sys.stderr.write(_NEEDS_UNIX)
        sys.exit(1)
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"imagenet-nk {__version__}\n")
        return
    from imagenet_nk.app import startup

    startup.exit_on_interrupt()
    import hydra

    from imagenet_nk import config
    from imagenet_nk.app import arguments, cli

    config.register()
    arguments.register_program_name()

    @hydra.main(version_base="1.3", config_path=cli.config_folder(), config_name="imagenet")
    def main(cfg: DictConfig) -> int:
        """One job; returns its exit code."""
        from imagenet_nk.app.job_setup import prepare  # not needed for --help and errors in the configuration

        with prepare(cfg) as setup:
            from imagenet_nk.app import stages  # half a second, in which worker processes load what they need

            return stages.run(setup)

    cli.run(main)

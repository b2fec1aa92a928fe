"""The process around Hydra: one line for a mistake in the command, a calm end on Ctrl-C."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from imagenet_nk.errors import ImageNetNkError

INTERRUPTED = 130


def config_folder(script: Path) -> str:
    """conf/ beside the script's folder in a clone; inside the package once installed from a wheel."""
    clone = script.resolve().parent.parent / "conf"
    return str(clone if (clone / "imagenet.yaml").is_file() else Path(__file__).parent / "conf")


def run(main: Callable[[], object]) -> None:
    """Run a Hydra main and end the process: an error in the command is one line on stderr and exit code 1."""
    if "HYDRA_FULL_ERROR" in os.environ:
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through to the lines below
    try:
        main()
    except (HydraException, OmegaConfBaseException, ImageNetNkError) as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        print("stopped; what was kept so far is whole, and the same command goes on from there", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)


def one_line(error: Exception) -> str:
    """What is wrong and what to type instead, out of the several lines and causes of a composition error."""
    texts = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    whole = "\n".join(texts)
    if missing := re.search(r"Could not find '([\w/@]+?)/([^'/]+)'", whole):
        return _no_such_choice(missing[1], missing[2], whole)
    if unknown := re.search(r"Key '([^']+)' (?:is )?not in", whole):
        full = re.search(r"full_key: (\S+)", whole)
        return f"there is no key {full[1] if full else unknown[1]!r}; --cfg job shows all keys, --help the groups"
    if wrong := re.search(r"(Value .*|Invalid value .*|Incompatible value .*)\n\s*full_key: (\S+)", whole):
        return f"{wrong[2]}: {wrong[1]}"
    return "; ".join(line.strip() for line in texts[0].splitlines() if line.strip())


def _no_such_choice(group: str, choice: str, message: str) -> str:
    options = re.findall(r"^\t(\S+)$", message, re.MULTILINE)
    close = difflib.get_close_matches(choice, options, n=3) or options
    hint = f"; any other timm model: backbone=timm backbone.name={choice}" if group == "backbone" else ""
    return f"there is no {group}={choice}; did you mean {', '.join(close)}?{hint}"

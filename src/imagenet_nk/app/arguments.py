"""The arguments as they were typed: options of the command line, which are Hydra's, and settings as key=value."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from imagenet_nk.errors import ConfigError

_GROUPS = frozenset(
    "source source@fallback sampling classes labels split backbone engine tracker export".split()  # noqa: SIM905
)


def register_program_name() -> None:
    """Let ${program_name:} in the help text be the command that was typed."""
    OmegaConf.register_new_resolver("program_name", program_name, replace=True)


def program_name() -> str:
    """The command that started this process: imagenet-nk, python -m imagenet_nk or python PATH/imagenet.py."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return "python -m imagenet_nk"
    return f"python {sys.argv[0]}" if script.suffix == ".py" else script.name


def options_first(arguments: list[str]) -> list[str]:
    """The arguments with options before settings, as Hydra needs them. Raises ConfigError for an unknown option."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    parsed, rest = parser.parse_known_args(arguments)
    if unknown := [argument for argument in rest if argument.startswith("-")]:
        raise ConfigError(_no_such_option(unknown[0], arguments, parser))
    options = list(arguments)
    settings = [*parsed.overrides, *rest]
    for setting in settings:
        group = setting.partition("=")[0]
        if setting in (f"{group}=null", f"{group}=") and group in _GROUPS:
            raise ConfigError(f"{setting} leaves {group} without a choice; --help lists them: {group}=CHOICE")
        if setting.startswith("~"):
            group = setting.lstrip("~").partition("=")[0]
            raise ConfigError(f"{setting} takes away what every run needs; choose another value instead: {group}=VALUE")
    for setting in settings:
        options.remove(setting)
    return [*options, *settings]


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --help shows how settings are typed, --hydra-help the options")


def _no_such_option(typed: str, arguments: list[str], parser: argparse.ArgumentParser) -> str:
    name, equals, value = typed.lstrip("-").partition("=")
    known = [option for action in parser._actions for option in action.option_strings]
    if close := difflib.get_close_matches(typed, known, n=1, cutoff=0.8):
        return f"there is no option {typed}; did you mean {close[0]}?"
    follower = arguments[arguments.index(typed) + 1 :][:1]
    if not equals and follower and "=" not in follower[0] and not follower[0].startswith("-"):
        value = follower[0]
    return f"there is no option {typed}; settings are typed without dashes: {name}={value or 'VALUE'}"

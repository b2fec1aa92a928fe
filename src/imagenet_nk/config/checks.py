"""What the schemas check values with."""

from __future__ import annotations

import re

from imagenet_nk.errors import ConfigError

WNID = re.compile(r"n[0-9]{8}\Z")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError(message) unless the condition holds."""
    if not condition:
        raise ConfigError(message)

"""The errors that a user can fix: one line each that says what is wrong and what to type instead."""

from __future__ import annotations

from collections.abc import Sequence


class ImageNetNkError(Exception):
    """Root of the project's errors. Its text is one line, shown without a traceback; the process ends with code 1."""


class ConfigError(ImageNetNkError):
    """An invalid setting or combination of settings."""


def require(condition: bool, message: str) -> None:
    """Raise ConfigError(message) unless the condition holds."""
    if not condition:
        raise ConfigError(message)


class LabelError(ImageNetNkError):
    """A label file that contradicts itself, or a class that the label order does not have."""


class SourceError(ImageNetNkError):
    """A source that cannot be opened or read; faults of single candidates are rejections, not errors."""


class ContradictionError(SourceError):
    """A source whose answers contradict each other, so that one of them is wrong."""


class DatasetError(ImageNetNkError):
    """The dataset folder cannot be used: unwritable, full, or made by a run with other settings."""


class ListError(ImageNetNkError):
    """A list file that cannot be read, with the number of its first bad line."""


class BackboneError(ImageNetNkError):
    """A backbone that cannot be built: unknown name, unreachable weights, a checkpoint that does not fit."""


class CentersError(ImageNetNkError):
    """Centers that cannot be computed or read: a class without an image, a file of another form."""


class EngineError(ImageNetNkError):
    """An engine that cannot be used (library missing, cluster unreachable), or workers that die repeatedly."""


class EmptyClassError(CentersError):
    """Classes that got no embedding: a row of zeros is no center."""

    def __init__(self, classes: Sequence[object]) -> None:
        super().__init__(
            f"{len(classes)} classes have no image: {', '.join(map(str, classes[:5]))}; "
            "collect them, or leave them out of the list"
        )
        self.classes = tuple(classes)

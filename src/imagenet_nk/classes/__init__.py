"""The classes of a run: which ones, and which number each has in the list files."""

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.loading import load

__all__ = ["LabelMap", "load"]

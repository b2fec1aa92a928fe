"""The classes of a run: WNID, label and name, and the label files that people have.

Other packages import:

- LabelMap
- label_map: LabelMap
- loading: clsloc_wnids, load
"""

from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.loading import load

__all__ = ["LabelMap", "load"]

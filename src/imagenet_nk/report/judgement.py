"""What the page may say of single images: the doubtful ones, and which could not be judged. Silence is no praise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imagenet_nk.report.analysis import Analysis
from imagenet_nk.report.facts import Facts
from imagenet_nk.report.said import plural

NO_EMBEDDING = "without an embedding beside the data set"
_ALONE = "alone in their class, so that its center cannot be taken without them (nk=2 or more)"
_NO_OTHER = "of the only class that has a center, so that there is no other to be nearer to"
_NO_CENTER = "of classes without a center"
_DOUBTFUL = (
    "Likely wrong: their cosine distance to another class's center is less than to the mean of the other images of "
    "their own. The clearest come first."
)


def unjudged(facts: Facts, analysis: Analysis) -> dict[str, int]:
    """Images that were not weighed between their class and another, by the reason; those without any are left out."""
    found, atlas, centers = analysis.images, analysis.atlas, facts.centers
    if found is None or atlas is None or centers is None:
        return {}
    rows = facts.images["row"].to_numpy()
    single = {wnid for wnid, count in zip(centers.wnids, centers.counts.tolist(), strict=True) if count == 1}
    no_own = np.isnan(found.own)
    no_center = ~np.isin(rows, atlas.rows)
    alone = no_own & facts.images["wnid"].isin(single).to_numpy()
    counts = {
        NO_EMBEDDING: int((no_own & ~no_center & ~alone).sum()),
        _ALONE: int(alone.sum()),
        _NO_OTHER: int((~no_own & np.isnan(found.other)).sum()),
        _NO_CENTER: int(no_center.sum()),
    }
    return {reason: count for reason, count in counts.items() if count}


def words(facts: Facts, analysis: Analysis, galleries: Mapping[str, Sequence[int]]) -> dict[str, object]:
    """For the page's template."""
    found = analysis.images
    judged = 0 if found is None else int((~np.isnan(found.margin)).sum())
    said = [_verdict(judged, len(galleries["wrong"]))]
    if reasons := [f"{plural(count, 'image')} {why}" for why, count in unjudged(facts, analysis).items()]:
        said.append(f"Not judged: {'; '.join(reasons)}.")
    return {
        "has_distances": found is not None,
        "wrong_said": " ".join(said),
        "wrong_count": len(galleries["wrong"]),
        "far_count": len(galleries["far"]),
    }


def _verdict(judged: int, doubtful: int) -> str:
    if doubtful:
        return _DOUBTFUL
    if not judged:
        return "No image could be judged."
    return f"None of the {plural(judged, 'image')} that could be judged: each lies nearest to its own class."

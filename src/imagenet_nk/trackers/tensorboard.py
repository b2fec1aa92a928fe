"""`tracker=tensorboard`: scalars, the configuration as text, and the centers in the embedding projector."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.centers.file import NAME as CENTERS
from imagenet_nk.centers.file import load_centers
from imagenet_nk.trackers.base import RunRecord, require


class Tensorboard:
    """Writes event files that `tensorboard --logdir DIR` shows."""

    def __init__(self, dir: str | None) -> None:  # noqa: A002 - the key of the configuration
        """dir: where runs are gathered, a folder each; None = `tensorboard` in each output folder.

        Raises ConfigError without the package.
        """
        require("tensorboard", "tensorboard")
        self._dir = dir

    def log(self, run: RunRecord) -> None:
        """Write one folder of events."""
        from torch.utils.tensorboard import SummaryWriter

        name = "-".join(run.output.resolve().parts[-2:])
        writer = SummaryWriter(str(Path(self._dir) / name if self._dir else run.output / "tensorboard"))
        try:
            for key, value in sorted(run.figures().items()):
                writer.add_scalar(key, value)
            rows = "\n".join(f"    {key}: {value}" for key, value in run.parameters().items())
            writer.add_text("configuration", rows)
            if (page := run.output / "report" / "index.html").is_file():
                writer.add_text("report", page.resolve().as_uri())
            if (run.output / CENTERS).is_file():
                _project(writer, run.output)
        finally:
            writer.close()


def _project(writer: object, output: Path) -> None:
    centers = load_centers(output)
    rows = [list(map(str, row)) for row in zip(centers.names, centers.wnids, centers.labels.tolist(), strict=True)]
    backbone = centers.metadata.get("backbone", "centers")
    header = ["class", "wnid", "label"]
    writer.add_embedding(centers.centers, rows, tag=backbone, metadata_header=header)  # type: ignore[attr-defined]

"""`export=webdataset`: tar shards val-000000.tar with <key>.jpg, <key>.cls and <key>.json of each image."""

from __future__ import annotations

from pathlib import Path

from imagenet_nk.export.contract import SPLIT_FOLDERS, ExportData, require_library


class WebDataset:
    """Shards as the webdataset library writes and reads them. Their images are in the order of the lists."""

    def __init__(self, images_per_shard: int = 1000) -> None:
        require_library("webdataset", "webdataset")
        self.images_per_shard = images_per_shard

    def write(self, data: ExportData, folder: Path) -> None:
        """Write into an empty folder. `.cls` is the label, `.json` has image id, WNID and size in pixels."""
        import webdataset

        for split, images in data.splits().items():
            pattern = str(folder / f"{SPLIT_FOLDERS[split]}-%06d.tar").replace("%06d", "\0").replace("%", "%%")
            with webdataset.ShardWriter(
                pattern.replace("\0", "%06d"), maxcount=self.images_per_shard, verbose=0
            ) as shards:
                for number, image in enumerate(images):
                    details = {
                        "image_id": image.image_id,
                        "wnid": image.wnid,
                        "width": image.width,
                        "height": image.height,
                    }
                    suffix = image.path.suffix.removeprefix(".") or "jpg"
                    # A key is a name up to its first dot: ids of users' own files may have one, a number has none.
                    key = f"{image.wnid}_{number:08d}"
                    shards.write({"__key__": key, suffix: image.path.read_bytes(), "cls": image.label, "json": details})

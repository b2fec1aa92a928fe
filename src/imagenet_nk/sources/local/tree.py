"""What lies in a folder: folders of classes, files, and how to say it in one line."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from imagenet_nk.config.sources import Part
from imagenet_nk.errors import SourceError
from imagenet_nk.formats.hidden import is_hidden
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.image_ids import WNID
from imagenet_nk.sources.local.grouping import is_other_part
from imagenet_nk.storage.locators import path_to_text
from imagenet_nk.wording import first_few, plural

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".zip")
_DEPTH, _MOST_FOLDERS = 10, 20_000


@dataclass
class Tree:
    """The content of a folder, down to the folders of classes; without hidden files and those of other parts."""

    root: Path
    class_folders: list[tuple[str, str]] = field(default_factory=list)  # (folder around it, WNID)
    files: dict[str, str] = field(default_factory=dict)  # path within the root to address; regular files only
    folders: list[str] = field(default_factory=list)  # paths within the root

    def named(self, suffixes: tuple[str, ...]) -> list[str]:
        """The paths of files that end so."""
        return sorted(path for path in self.files if path.lower().endswith(suffixes))

    def description(self) -> str:
        """What is there, in one line."""
        if not self.files and not self.folders:
            return "it is empty"
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no extension" for path in self.files)
        depth = max((path.count("/") + 1 for path in self.folders), default=0)
        folders = f"{plural(len(self.folders), 'folder')} ({first_few(self.folders, 3)}; {depth} deep)" if depth else ""
        files = f"{plural(len(self.files), 'file')} ({first_few([f'{n} {kind}' for kind, n in kinds.most_common(3)])})"
        return f"it holds {' and '.join(filter(None, (folders, files if kinds else '')))}"


def read_tree(root: Path, part: Part) -> Tree:
    """Raises SourceError if the root cannot be listed, or is far too large to be a data set."""
    tree, left = Tree(root), [""]
    while left:
        _read_folder(tree, left.pop(), left, part)
        if len(tree.folders) > _MOST_FOLDERS:
            raise SourceError(f"source.root={root} has more than {_MOST_FOLDERS} folders; name that of the images")
    tree.folders.sort()
    tree.class_folders.sort()
    return tree


def _read_folder(tree: Tree, folder: str, left: list[str], part: Part) -> None:
    try:
        with os.scandir(tree.root / folder) as found:
            for item in found:
                path = f"{folder}/{item.name}".lstrip("/")
                if is_hidden(item.name):
                    continue
                if item.is_file():
                    tree.files[path] = path_to_text(os.path.abspath(item.path))  # noqa: PTH100
                elif item.is_dir():
                    tree.folders.append(path)
                    if WNID.match(item.name):
                        tree.class_folders.append((folder, item.name))
                    elif not is_other_part(item.name, part) and path.count("/") < _DEPTH:
                        left.append(path)
    except OSError as error:
        if not folder:
            raise SourceError(f"{tree.root} cannot be listed: {error.strerror}") from error


def advice(tree: Tree, part: Part) -> str:
    """The nearest thing to type for a folder that has no known layout."""
    root = tree.root
    if found := [path for path in tree.files if path.endswith((".arrow", ".parquet"))]:
        if "manifest.parquet" in found:
            return f"type source=manifest source.path={root}/manifest.parquet"
        return f"type source=hub source.dataset={root} for its {Path(found[0]).suffix} files"
    if found := tree.named(ARCHIVES):
        return f"type source.root={root}/{found[0]} for that archive"
    if tree.named(IMAGE_SUFFIXES):
        beside = "; or put the table of their classes beside them" if part is Part.val else ""
        return f"nothing says the class of its images: name their folders by WNID or by the words of ImageNet{beside}"
    return "name the folder, or the tar or zip, of the images"

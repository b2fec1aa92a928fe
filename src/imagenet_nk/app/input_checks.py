"""What can be said against a configuration before anything is imported, opened or downloaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

from imagenet_nk.config import ArchiveConfig, Config, FullConfig, HubConfig, MlflowConfig, UrlsConfig
from imagenet_nk.errors import BackboneError, ConfigError, DatasetError, ListError, require
from imagenet_nk.storage import files

_GROUPS = ("sampling", "classes", "labels", "split", "backbone", "engine", "tracker", "export", "source", "fallback")
_LFS = b"version https://git-lfs"
_NEEDS_LISTS = {"centers", "evaluate"}


def refuse_untyped(cfg: DictConfig) -> None:
    """Raise ConfigError for a user's own yaml of a group that does not extend the schema of that group."""
    for group in _GROUPS:
        at = "source@fallback" if group == "fallback" else group
        require(
            isinstance(cfg[group], DictConfig), f"{group}={cfg[group]} is no choice of this group; type {at}=CHOICE"
        )
        if OmegaConf.get_type(cfg[group]) is dict:
            at = "source" if group == "fallback" else group
            raise ConfigError(
                f"the yaml chosen for {group} does not say what it extends: begin it with the line "
                f"'defaults: [/schema/{at}@_here_: NAME]', as the files of conf/{at}/ do"
            )


def refuse_none_texts(tree: object, prefix: str = "") -> None:
    """Raise ConfigError for a value that is the text None, which Python's users type for null."""
    items = tree.items() if isinstance(tree, dict) else ()
    for key, value in items:
        require(value != "None", f"{prefix}{key}=None is the text 'None'; type {prefix}{key}=null")
        refuse_none_texts(value, f"{prefix}{key}.")


def check_inputs(config: Config) -> None:
    """Raise ImageNetNkError for files that are missing or cannot be what they are given for."""
    for key, value in _paths(config):
        path = Path(value).expanduser()
        if "://" not in value and not path.exists():
            raise ConfigError(f"{key}={value}: there is no such file or folder here; name one that exists")
    if isinstance(config.source, FullConfig):
        for root in _roots(config.source):
            _check_root(root, config.dataset.dir)
    if _NEEDS_LISTS & set(config.stages):
        if config.backbone.checkpoint is not None:
            check_checkpoint(config.backbone.checkpoint)
        _check_lists(config)
    for key, folder in _folders_to_write(config):
        _check_folder(key, folder)
    if isinstance(config.tracker, MlflowConfig):
        _check_server(config.tracker.uri)


def _paths(config: Config) -> Iterator[tuple[str, str]]:
    """The paths among the settings, by key."""
    yield from _given("sampling.path", getattr(config.sampling, "path", None))
    yield from _given("labels.path", config.labels.path)
    yield from _given("classes.hierarchy", getattr(config.classes, "hierarchy", None))
    yield from _given("report.run", config.report.run)
    if "evaluate" in config.stages:
        for key in ("list", "ood"):
            value = getattr(config.evaluate, key, None)
            inside = value and files.resolve(value).is_relative_to(files.resolve(config.dataset.dir))
            yield from () if inside else _given(f"evaluate.{key}", value)
    if "collect" in config.stages:
        yield from _source_paths(config.source)


def _source_paths(source: Any) -> Iterator[tuple[str, str]]:
    if isinstance(source, UrlsConfig) and isinstance(source.list, str):
        yield from _given("source.list", source.list)
    if isinstance(source, ArchiveConfig):
        for key in ("train", "val", "devkit"):
            yield from _given(f"source.{key}", getattr(source, key))
    if isinstance(source, HubConfig) and source.dataset.startswith((".", "/", "~")):
        yield "source.dataset", source.dataset
    if isinstance(source, FullConfig) and not source.download:
        for root in _roots(source):
            yield from _given("source.root", root)
    yield from _given("source.path", getattr(source, "path", None))


def _folders_to_write(config: Config) -> Iterator[tuple[str, str]]:
    yield "dataset.dir", config.dataset.dir
    yield from _given("dataset.state_dir", config.dataset.state_dir)
    yield from _given("tracker.dir", getattr(config.tracker, "dir", None))
    yield from _given("export.dir", config.export.dir)


def _check_folder(key: str, text: str) -> None:
    """Raise DatasetError for a folder that neither exists nor can be made."""
    if "://" in text:
        return
    path = Path(text).absolute()
    nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise DatasetError(f"{key}={text}: {nearest} is a file where a folder must be; type {key}=ANOTHER")
    if not os.access(nearest, os.W_OK | os.X_OK) or nearest == Path("/proc"):
        raise DatasetError(f"{key}={text}: {nearest} cannot be written; type {key}=ANOTHER")


def _given(key: str, value: str | None) -> Iterator[tuple[str, str]]:
    if value and "{" not in value:
        yield key, value


def _roots(source: FullConfig) -> list[str]:
    return [source.root] if isinstance(source.root, str) else list(source.root)


def _check_root(source_root: str, dataset: str) -> None:
    """Raise ConfigError if the data set would be made in or around the folder that its images come from."""
    root, folder = Path(source_root).expanduser().resolve(), files.resolve(dataset)
    if files.is_remote(folder):
        return
    folder = folder.resolve()
    require(
        not root.is_relative_to(folder) or root.is_relative_to(folder / "images"),
        f"dataset.dir={dataset} is source.root or a folder around it; type a new folder, dataset.dir=ANOTHER",
    )
    inside = root.is_dir() and folder.is_relative_to(root) and folder.relative_to(root).parts[0].startswith("n0")
    require(not inside, f"dataset.dir={dataset} is a class folder of source.root; type dataset.dir=ANOTHER")


def check_checkpoint(text: str) -> None:
    """Raise BackboneError for a file that cannot hold weights, by its first bytes."""
    if "://" in text or text.startswith(("hf_hub:", "hf-hub:")):
        raise BackboneError(
            f"backbone.checkpoint={text} is no file: download it and type backbone.checkpoint=FILE, or type "
            "backbone=timm backbone.name=MODEL for published weights"
        )
    path = Path(text)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise BackboneError(f"backbone.checkpoint={text} {what}; name the file of the weights")
    if problem := _wrong_content(path):
        raise BackboneError(f"backbone.checkpoint={text} {problem}")


def _wrong_content(path: Path) -> str:
    """Why a file holds no weights; "" if it may."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty; fetch it again"
    if head.startswith(_LFS):
        return "is a Git LFS pointer, not the weights; fetch them with git lfs pull"
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size
    is_torch = head.startswith((b"PK", b"\x80")) or head[257:262] == b"ustar"
    if not is_safetensors and not is_torch:
        return "is no weights file; save one with torch.save(model.state_dict(), FILE) or as FILE.safetensors"
    return ""


def _check_lists(config: Config) -> None:
    """Raise ListError if a stage needs lists that neither exist nor will be written."""
    folder = files.resolve(config.dataset.dir)
    if {"collect", "lists"} & set(config.stages) or any(
        files.is_file(folder / name) for name in ("eval.txt", "train.txt")
    ):
        return
    stages = ",".join(["collect", "lists", *(stage for stage in config.stages if stage != "collect")])
    raise ListError(
        f"{config.dataset.dir} holds neither eval.txt nor train.txt; type stages=[{stages}], or dataset.dir=FOLDER"
    )


def _check_server(uri: str) -> None:
    """Raise ConfigError if nothing accepts connections at a tracking server, DatasetError for a file as a folder."""
    address = urlsplit(uri)
    if not address.scheme.startswith("http"):
        if "://" not in uri and Path(uri).is_file():
            raise DatasetError(f"tracker.uri={uri} is a file; type a folder or the address of a tracking server")
        return
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), timeout=1.5).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"tracker.uri={uri} does not answer ({getattr(error, 'strerror', None) or error}); start the server, or "
            "type tracker=none"
        ) from error

"""The tensors of a weights file. A file is never allowed to run code, and one that is none is refused in one line."""

from __future__ import annotations

import argparse
import json
import pickle
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import first_few, one_line, plural

_LFS_POINTER = b"version https://git-lfs"
_MAX_DEPTH = 8  # of dictionaries in a checkpoint
_MAX_HEADER = 100_000_000  # bytes: the limit of safetensors


def checkpoint_path(text: str) -> Path:
    """The regular file that `backbone.checkpoint` names. Raises BackboneError for anything else."""
    if "://" in text:
        raise _refused(text, "is an address; download the file and give its path")
    try:
        path = Path(text).expanduser()
        mode = path.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise _refused(text, "does not exist" if is_missing else f"cannot be opened ({one_line(error)})") from error
    if stat.S_ISDIR(mode):
        inside = next((name for name in _in_folder(path) if (path / name).is_file()), None)
        raise _refused(text, f"is a folder; give the file in it{f', such as {path / inside}' if inside else ''}")
    if not stat.S_ISREG(mode):
        raise _refused(text, "is not a regular file")
    return path


def weights_in(folder: Path) -> Path:
    """The weights file of a folder, as Hugging Face and timm name them. Raises BackboneError if there is none."""
    found = next((folder / name for name in _in_folder(folder) if (folder / name).exists()), None)
    if found is None:
        raise BackboneError(f"{folder} holds no weights file, such as model.safetensors or pytorch_model.bin")
    return checkpoint_path(str(found))


def _in_folder(folder: Path) -> Iterator[str]:
    for stem in ("model.safetensors", "pytorch_model.bin"):
        yield from (stem, f"{stem}.index.json")
    for pattern in ("*.safetensors", "*.pth", "*.pt", "*.pth.tar", "*.bin"):
        yield from sorted(path.name for path in folder.glob(pattern))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a weights file by its dotted name, those of nested dictionaries included.

    *.safetensors, what torch.save writes, or the index (*.index.json) of either in several files. The content decides,
    not the name. Raises BackboneError.
    """
    path = checkpoint_path(str(path))
    read = _reader(path)
    try:
        content = read(path)
    except BackboneError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, _unpickling_hint(path, error)) from error
    except Exception as error:
        raise _refused(path, f"is cut short or damaged, or no weights file ({one_line(error)[:120]})") from error
    tensors = dict(flatten(content))
    if not tensors:
        raise _refused(path, "holds no named tensors; give a file with a model's state_dict")
    return tensors


def _refused(path: object, reason: str) -> BackboneError:
    return BackboneError(f"backbone.checkpoint: {path} {reason}")


def _reader(path: Path) -> Callable[[Path], object]:
    """The function that reads files which begin as this one does."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise _refused(path, f"cannot be read ({one_line(error)})") from error
    if not start:
        raise _refused(path, "is empty")
    if start.startswith(_LFS_POINTER):
        raise _refused(path, "is a Git LFS pointer, not the weights; type git lfs pull in its repository")
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return _load_pickled
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _MAX_HEADER:
        return safetensors.torch.load_file
    if path.suffix == ".json":
        return _load_sharded
    what = "a web page" if start.lstrip()[:1] == b"<" else "not a weights file (safetensors, or written by torch.save)"
    raise _refused(path, f"is {what}")


def _load_pickled(path: Path) -> object:
    with torch.serialization.safe_globals(_harmless_types()):
        return torch.load(path, map_location="cpu", weights_only=True)


def _harmless_types() -> list[Any]:
    """What training scripts leave beside the weights: an argparse namespace, and NumPy's numbers."""
    scalar = np.float64(0).__reduce__()[0]
    codes = np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"
    numbers = {type(np.dtype(code)) for code in codes}
    return [argparse.Namespace, np.dtype, scalar, (scalar, "numpy.core.multiarray.scalar"), *numbers]


def _unpickling_hint(path: Path, error: Exception) -> str:
    """What a file is that holds more than tensors, and the line of Python that converts it."""
    try:
        others = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # noqa: BLE001 - old files cannot be asked, and damaged ones raise almost anything
        others = []
    if not others and not any(word in str(error) for word in ("Unsupported global", "Unsupported class", "Can only")):
        return f"is cut short or damaged, or no weights file ({one_line(error)[:120]})"
    allowed = {"argparse.Namespace", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
    named = first_few([name for name in others if name not in allowed], 3)
    source, target = str(path), str(path.with_suffix(".tensors.pt"))
    code = (
        f"import torch; s = lambda v: v.state_dict() if hasattr(v, 'state_dict') else v; t = torch.is_tensor; "
        f"c = s(torch.load({source!r}, 'cpu', weights_only=False)); torch.save({{k: s(v) for k, v in c.items() "
        f"if t(v) or any(map(t, getattr(s(v), 'values', list)()))}}, {target!r})"
    )
    return (
        f"holds pickled code beside its tensors{f' ({named})' if named else ''}, which is not run; if you trust its "
        f"author, convert it to {target} with: python -c {shlex.quote(code)}"
    )


def _load_sharded(path: Path) -> object:
    """The tensors of all files that an index names; they lie beside it."""
    try:
        shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _refused(path, "is not the index of a weights file: it has no weight_map") from error
    if missing := [name for name in shards if not isinstance(name, str) or not (path.parent / name).is_file()]:
        raise _refused(path, f"names {plural(len(missing), 'file')} that are not beside it: {first_few(missing, 3)}")
    tensors: dict[str, Tensor] = {}
    for name in shards:
        if name.endswith(".json"):
            raise _refused(path, f"names {name}, which is no weights file")
        tensors |= read_tensors(path.parent / name)
    return tensors


def flatten(content: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Each tensor in nested dictionaries with its dotted name."""
    if isinstance(content, Tensor) and prefix:
        yield prefix, content.detach()
    elif isinstance(content, Mapping) and depth < _MAX_DEPTH:
        for name, value in content.items():
            yield from flatten(value, f"{prefix}.{name}" if prefix else str(name), depth + 1)

"""Subtrees of ImageNet's hierarchy, out of structure_released.xml.

The file nests `<synset wnid="n02084071" words="dog, ..." gloss="...">` elements below a root that is no synset
(`fall11`). It is WordNet's directed graph written as a tree: a synset with two parents occurs twice, with all that is
below it. It is read in one pass that builds no tree: memory is that of the chosen synsets. The file is not trusted:
document types, entities and external references are refused, and so are lengths that no real copy has.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from imagenet_nk.classes.table import ClassTable
from imagenet_nk.errors import LabelError
from imagenet_nk.formats.magic import kind_of
from imagenet_nk.image_ids import WNID
from imagenet_nk.storage.files import open_regular
from imagenet_nk.wording import did_you_mean

MAX_BYTES = 64 * 2**20  # the released file has 8.9 MB
MAX_DEPTH = 200  # elements; the noun hierarchy of WordNet is far less deep
MAX_SYNSETS = 2_000_000  # occurrences, repetitions included
_CHUNK = 2**20  # the parser looks at an unfinished tag again with each chunk: few chunks keep a hostile one cheap


def read_subtree(path: Path, under: str) -> ClassTable:
    """The synset `under` and all below it, each once, sorted, with words and glosses.

    Raises LabelError if the file is no such structure, is cut short, or does not have the synset.
    """
    subtree = _SubtreeParser(under)
    parser = DefusedXMLParser(target=subtree, forbid_dtd=True)
    try:
        with open_regular(path) as file:
            _feed(parser, file, path)
    except OSError as error:
        raise LabelError(f"classes.hierarchy: {path} cannot be read ({error.strerror or error})") from error
    except ParseError as error:
        raise LabelError(f"classes.hierarchy: {path} is no whole XML file ({error}); fetch it again") from error
    except DefusedXmlException as error:
        reason = f"{type(error).__name__}: a structure file has no document type and no entities"
        raise LabelError(f"classes.hierarchy: {path} is refused ({reason})") from error
    except (ValueError, LookupError) as error:  # encodings that the parser does not know
        raise LabelError(f"classes.hierarchy: {path} is no XML in a known encoding ({error})") from error
    if not subtree.words:
        raise LabelError(
            f"classes.root_wnid: {under} is none of the {len(subtree.seen)} synsets of {path}"
            f"{did_you_mean(under, subtree.seen)}"
        )
    return ClassTable(f"the subtree of {under}", tuple(sorted(subtree.words)), subtree.words, subtree.glosses)


def _feed(parser: DefusedXMLParser, file: BinaryIO, path: Path) -> None:
    size = 0
    while chunk := file.read(_CHUNK):
        if not size and (kind := kind_of(chunk)) not in ("", "UTF-16 text", "no text"):
            mend = "gunzip it first" if kind == "gzip'ed" else "name a copy of structure_released.xml"
            raise LabelError(f"classes.hierarchy: {path} is {kind}, not a structure file; {mend}")
        size += len(chunk)
        if size > MAX_BYTES:
            raise LabelError(f"classes.hierarchy: {path} is no structure file: more than {MAX_BYTES // 2**20} MB")
        parser.feed(chunk)
    parser.close()


class _SubtreeParser:
    """Parser target: collects the synsets at and below one, wherever it occurs."""

    def __init__(self, under: str) -> None:
        self.words: dict[str, str] = {}
        self.glosses: dict[str, str] = {}
        self.seen: set[str] = set()
        self._under = under
        self._depth = self._occurrences = 0
        self._inside = 0  # depth of the outermost `under` that is open; 0 = none

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LabelError(f"classes.hierarchy: elements stand {self._depth} deep; no structure file is so deep")
        if tag == "synset":
            self._synset(attributes.get("wnid", ""), attributes)

    def _synset(self, wnid: str, attributes: dict[str, str]) -> None:
        self._occurrences += 1
        if self._occurrences > MAX_SYNSETS:
            raise LabelError(f"classes.hierarchy: more than {MAX_SYNSETS} synsets; this is no structure file")
        if wnid == self._under and not self._inside:
            self._inside = self._depth
        if not WNID.match(wnid):
            return
        self.seen.add(wnid)
        if self._inside and wnid not in self.words:
            self.words[wnid] = " ".join(attributes.get("words", "").split())
            self.glosses[wnid] = " ".join(attributes.get("gloss", "").split())

    def end(self, tag: str) -> None:  # noqa: ARG002
        if self._depth == self._inside:
            self._inside = 0
        self._depth -= 1

    def close(self) -> None:
        """Do nothing: the parser requires the method."""

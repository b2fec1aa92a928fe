"""The hierarchy file: subtrees of a graph written as a tree, and what a hostile file gets."""

from __future__ import annotations

import gzip
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.classes.hierarchy import read_subtree
from imagenet_nk.errors import LabelError

HEAD = "<ImageNetStructure><releaseData>fall2011</releaseData>"
TAIL = "</ImageNetStructure>"
# parent -> children, children have higher numbers: a graph in which a synset may have several parents
GRAPHS = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        *[st.sets(st.integers(node + 1, n), max_size=3) if node < n else st.just(set[int]()) for node in range(n + 1)]
    )
)


def wnid(node: int) -> str:
    return f"n{node:08d}"


def element(node: int, graph: tuple[set[int], ...]) -> str:
    words, gloss = quoteattr(f"word {node}, it's"), quoteattr(f'gloss "{node}" <&>')  # either quote, by content
    below = "".join(element(child, graph) for child in sorted(graph[node]))
    return f"<synset wnid='{wnid(node)}' words={words} gloss={gloss}>{below}</synset>"


def reachable(node: int, graph: tuple[set[int], ...]) -> set[str]:
    return {wnid(node)}.union(*(reachable(child, graph) for child in graph[node]))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("structure") / "structure.xml"


@given(graph=GRAPHS)
@settings(max_examples=60, deadline=None)
def test_subtree_is_all_that_can_be_reached_each_once(graph: tuple[set[int], ...], file: Path) -> None:
    tops = set(range(len(graph))) - set().union(*graph)
    file.write_text(HEAD + "".join(element(top, graph) for top in sorted(tops)) + TAIL)
    for node in range(len(graph)):
        table = read_subtree(file, wnid(node))
        assert table.wnids == tuple(sorted(reachable(node, graph)))
        assert table.words[wnid(node)] == f"word {node}, it's"
        assert table.glosses[wnid(node)] == f'gloss "{node}" <&>'


DOG = '<synset wnid="n02084071" words="dog" gloss="g"/>'
BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no whole XML file"),
        (f"{HEAD}{DOG}".encode(), "no whole XML file"),
        (f"{HEAD}{DOG}{TAIL}"[:-30].encode(), "no whole XML file"),
        (b"\x00\x01\x02", "no whole XML file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page, not a structure file"),
        (gzip.compress(b"<x/>", mtime=0), "is gzip'ed, not a structure file; gunzip it first"),
        (b"PK\3\4 and so on", "is a zip archive, not a structure file; name a copy of structure_released.xml"),
        (f"{BOMB}<x>&b;</x>".encode(), "refused .*no document type and no entities"),
        (f"{EXTERNAL}<x>&a;</x>".encode(), "refused"),
        (b'<!DOCTYPE x SYSTEM "http://host.invalid/x.dtd"><x/>', "refused"),
        (b'<?xml version="1.0" encoding="no-such"?><x/>', "unknown encoding|known encoding"),
        (b'<?xml version="1.0" encoding="shift_jis"?><x/>', "known encoding"),
        (f"{HEAD}{DOG.replace('>', '&nbsp;>')}{TAIL}".encode(), "no whole XML file"),
        (f"{HEAD}<synset/>{TAIL}".encode(), "none of the 0 synsets"),
        (f"{HEAD}{DOG.replace('71', '72')}{TAIL}".encode(), "n02084071 is none of the 1 .* did you mean n02084072"),
        (b"<a>" * 300, "stand 201 deep"),
        (f"{HEAD}<synset wnid='n02084071\n' words='x' gloss=''/>{TAIL}".encode(), "none of the 0"),
    ],
)
def test_invalid_hierarchy_is_refused_in_one_line(data: bytes, message: str, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(LabelError, match=message) as caught:
        read_subtree(file, "n02084071")
    assert len(str(caught.value).splitlines()) == 1


def test_hierarchy_beyond_its_limits_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(f"{HEAD}{DOG * 4}{TAIL}")
    assert len(read_subtree(file, "n02084071").wnids) == 1
    monkeypatch.setattr("imagenet_nk.classes.hierarchy.MAX_SYNSETS", 3)
    with pytest.raises(LabelError, match="more than 3 synsets"):
        read_subtree(file, "n02084071")
    monkeypatch.setattr("imagenet_nk.classes.hierarchy.MAX_BYTES", 20)
    with pytest.raises(LabelError, match="no structure file"):
        read_subtree(file, "n02084071")


def test_synset_nested_in_itself_loses_nothing_after_it(file: Path) -> None:
    other = DOG.replace("71", "72")
    file.write_text(f"{HEAD}{DOG.replace('/>', '>')}{DOG}{other}</synset>{TAIL}")
    assert read_subtree(file, "n02084071").wnids == ("n02084071", "n02084072")


def test_missing_hierarchy_file_is_a_label_error(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        read_subtree(tmp_path / "none.xml", "n02084071")


SCRAPS = st.sampled_from(
    [HEAD, TAIL, DOG, BOMB, EXTERNAL, "<synset wnid='n02084071'", ">", "</synset>", "&b;", "<![CDATA["]
)


@given(data=st.binary(max_size=80) | st.lists(SCRAPS, max_size=8).map(lambda parts: "".join(parts).encode()))
@settings(max_examples=250, deadline=None)
def test_any_bytes_are_a_subtree_or_one_line(data: bytes, file: Path) -> None:
    file.write_bytes(data)
    found = outcome(file)
    assert found == ("n02084071",) or (isinstance(found, str) and len(found.splitlines()) == 1)


def outcome(file: Path) -> tuple[str, ...] | str:
    try:
        return read_subtree(file, "n02084071").wnids
    except LabelError as error:
        return str(error)

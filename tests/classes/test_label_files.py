"""Label files: forms told apart by content, contradictions refused with their line, and no other exception ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_nk.classes.label_files import parse_numbers, read_numbers, read_wnids
from imagenet_nk.classes.table import ClassTable, read_table
from imagenet_nk.errors import LabelError

A, B, C, D = "n00000001", "n00000002", "n00000003", "n00000004"
WORDS = {A: "tench, Tinca tinca", B: "crane", C: "jack-o'-lantern", D: "crane"}
FOUR = ClassTable("four", (A, B, C, D), WORDS)
THREE = ClassTable("three", (A, B, C), WORDS)
THOUSAND = read_table("imagenet-1k")


def numbers(text: str, table: ClassTable = FOUR) -> dict[str, int]:
    return parse_numbers(text, table, "f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{B} 1 x_y\n{A} 2 z\n", {B: 1, A: 2}),
        (f"{B}\t0\n{A}\t1", {B: 0, A: 1}),
        (f"{A} 2 z\n{B} 1 x y\n", {A: 2, B: 1}),
        (f"{C}\n{A}\n", {C: 0, A: 1}),
        (f"# mine\n\n{C} 3d glasses\n  \n{A} # tench\n", {C: 0, A: 1}),
        ("{0: 'tench, Tinca tinca', 1: 'crane', 2: \"jack-o'-lantern\", 3: 'crane'}", {A: 0, B: 1, C: 2, D: 3}),
        ("{0: 'jack-o\\'-lantern',\n 1: 'tench',\n}\n", {C: 0, A: 1}),
        ("{1: 'tench', 2: 'crane'}", {A: 1, B: 2}),
        (json.dumps({"0": [C, "x"], "1": [A, "y"]}), {C: 0, A: 1}),
        (json.dumps({"0": D, "1": B}, indent=1), {D: 0, B: 1}),
        (f"{{0: ('{D}', 'crane'), 1: 'jack-o\\u0027-lantern'}}", {D: 0, C: 1}),
    ],
)
def test_every_form_of_label_file_is_read(text: str, expected: dict[str, int]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("\n# only a comment\n", "names no class"),
        ("{}", "names no class"),
        ("tench\n", "line 1: must start with a WNID .*: 'tench'"),
        (f"{A}\nn0000000\n", "line 2: must start with a WNID"),
        (f"{A}\n{B}\n{A}\n", f"line 3: {A} stands on line 1 already: '{A}'"),
        (f"{A} 1\n{A} 2\n", "line 2: n00000001 stands on line 1"),
        (f"{A} 1\n{B} 1 crane\n", "line 2: number 1 stands on line 1 already: 'n00000002 1 crane'"),
        (f"{A} 1\n{B} 3\n", "line 2: number 2 is missing before 3"),
        (f"{A} 7\n{B} 8\n", "line 1: the lowest number is 7"),
        (f"{A} 1\n{B}\n", "line 2: must be `wnid number` like"),
        (f"{A}\n{B} 1\n", "line 2: must be `wnid` like"),
        (f"{A}\nn99999999\n", "line 2: n99999999 is no class of four"),
        ("{0: 'tench',\n 1: 'goldfish'}", "line 2: no class of four has this name: \"1: 'goldfish'\""),
        ("{0: 'tench',\n 0: 'crane'}", "line 2: number 0 stands on line 1"),
        ("{0: 'tench',\n 2: 'crane'}", "line 2: number 1 is missing"),
        (
            "{0: 'crane',\n 1: 'tench',\n 2: 'crane'}",
            r"line 3: index 0 \(line 1\) has the same name; .* not in sorted order from line 1",
        ),
        ("{0: 'jack-o\\'-lantern',\n 1: 'crane'}", "line 2: the name stands for n00000002 and n00000004; "),
        ("{0: 'tench',\n 1: }", "line 2: is no index dictionary"),
        ("{0: 'tench',\n 1: 'cra", r"line 2: is no index dictionary \(unterminated string"),
        ("{0: 'tench',\n\n", "line 1: is no index dictionary .*never closed"),
        ("{0: 'tench'\n 1: 'crane'}", "line 1: is no index dictionary"),
        ("{0: 'tench'}\n\nprint()", "line 3: is no index dictionary .*: 'print"),
        ("\n{0: 'tench'} | {}", "f is no index dictionary such as"),
        ("{0: 'tench\0'}", "is no index dictionary .*null"),
        pytest.param("{0:" + "[" * 300 + "]" * 300 + "}", "is no index dictionary", id="nested"),
        *(pytest.param("{0:" + "-" * n + "1}", "is no (entry|index dictionary)", id=f"{n}") for n in (500, 99_999)),
        ("{0: 'tench', True: 'crane'}", "line 1: is no entry"),
        ("{0: __import__('os').system('true')}", "line 1: is no entry"),
        ("{0: 'tench', **{}}", "line 1: is no entry"),
        pytest.param("{" + " " * 2**21 + "}", "f is no index dictionary: it has more than 2 MB", id="large"),
        (f"{{0: ['{A}', 'x'],\n 1: ['{A}', 'y']}}", f"line 2: {A} stands on line 1"),
    ],
)
def test_invalid_label_file_is_refused_with_the_line(text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message) as caught:
        numbers(text)
    assert "\n" not in str(caught.value)


def test_swapped_neighbours_with_a_common_word_are_not_sorted_order() -> None:
    suits = ClassTable("suits", (A, B), {A: "maillot", B: "maillot, tank suit"})
    assert parse_numbers("{0: 'maillot', 1: 'maillot, tank suit'}", suits, "f") == {A: 0, B: 1}
    assert parse_numbers("{0: 'maillot, tank suit', 1: 'maillot'}", suits, "f") == {B: 0, A: 1}


@given(st.permutations(THOUSAND.wnids).map(lambda order: order[:60]), st.sampled_from([0, 1]))
@settings(max_examples=20, deadline=None)
def test_round_trip_of_each_form(order: list[str], base: int) -> None:
    expected = {wnid: label for label, wnid in enumerate(order, start=base)}
    lines = [f"{wnid} {label} {THOUSAND.words[wnid].replace(' ', '_')}" for wnid, label in expected.items()]
    assert numbers("\r\n".join(lines).replace("\r\n", "\n"), THOUSAND) == expected
    pairs = json.dumps({str(label): [wnid, THOUSAND.words[wnid]] for wnid, label in expected.items()})
    assert numbers(pairs, THOUSAND) == expected
    if base == 0:
        assert numbers("\n".join(order), THOUSAND) == expected


@given(st.permutations([wnid for wnid in THOUSAND.wnids if THOUSAND.words[wnid] != "crane"]).map(lambda o: o[:60]))
@settings(max_examples=20, deadline=None)
def test_names_in_any_order_find_their_classes(order: list[str]) -> None:
    dictionary = {index: THOUSAND.words[wnid] for index, wnid in enumerate(order)}
    assert numbers(repr(dictionary), THOUSAND) == {wnid: index for index, wnid in enumerate(order)}


MARKS = ["{", "}", ": ", ",", "'", '"', "\\", "\\u12", "[", ")", "\n", " ", "#", "\x00", "\u2028", "é", "\ud800"]
WHOLES = ["0", "1", "9" * 30, A, B, "n9", "crane", "tench", "0: 'tench',", "1: 'crane'", f"{A} 1\n", f"{B} 2 x\n"]
SCRAPS = st.sampled_from([*MARKS, *WHOLES])


def outcome(read: Callable[[], object]) -> object:
    """What comes back, or the text of the one error that may come instead."""
    try:
        return read()
    except LabelError as error:
        return str(error)


@given(st.lists(SCRAPS, max_size=30).map("".join) | st.lists(SCRAPS, max_size=20).map(lambda p: "{" + "".join(p) + "}"))
@settings(max_examples=400, deadline=None)
def test_any_text_is_an_order_or_one_line(text: str) -> None:
    found = outcome(lambda: numbers(text))
    if isinstance(found, dict):
        assert found.keys() <= set(FOUR.wnids)
        assert sorted(found.values()) in (list(range(len(found))), list(range(1, len(found) + 1)))
    else:
        assert len(str(found).splitlines()) == 1


class TestFiles:
    @given(data=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"{0: 'tench', " + tail))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes_are_an_order_or_one_line(self, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        file = tmp_path_factory.getbasetemp() / "any.txt"
        file.write_bytes(data)
        for found in (outcome(lambda: read_numbers(file, FOUR)), outcome(lambda: read_wnids(file))):
            assert isinstance(found, dict | tuple) or len(str(found).splitlines()) == 1

    def test_line_endings_and_byte_order_mark_are_accepted(self, tmp_path: Path) -> None:
        file = tmp_path / "map.txt"
        file.write_bytes(f"\ufeff{A} 1 x\r\n{B} 2 y".encode())
        assert read_numbers(file, FOUR) == {A: 1, B: 2}
        file.write_bytes(f"{A}\r{B}\r".encode())
        assert read_wnids(file) == (A, B)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (f"{A} 1 x\n{B} 2 caf\xe9\n".encode("latin-1"), "line 2: not UTF-8 text; save the file as UTF-8"),
            (f"{A}\n{B}\n".encode("utf-16"), "line 1: not UTF-8"),
            (b"", "names no class"),
        ],
    )
    def test_refused(self, data: bytes, message: str, tmp_path: Path) -> None:
        file = tmp_path / "bad.txt"
        file.write_bytes(data)
        with pytest.raises(LabelError, match=message):
            read_numbers(file, FOUR)

    def test_missing_folder_and_oversized_files_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(LabelError, match="No such file"):
            read_numbers(tmp_path / "none.txt", FOUR)
        with pytest.raises(LabelError, match="Is a directory"):
            read_numbers(tmp_path, FOUR)
        monkeypatch.setattr("imagenet_nk.classes.label_files.MAX_BYTES", 10)
        file = tmp_path / "big.txt"
        file.write_text(f"{A}\n{B}\n")
        with pytest.raises(LabelError, match="no label file"):
            read_numbers(file, FOUR)

"""load(): class sets, orders, subsets, subtrees; and the real label files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from imagenet_nk import config
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.classes.loading import load
from imagenet_nk.classes.table import read_table
from imagenet_nk.config import ClassesConfig, LabelsConfig, SubtreeConfig
from imagenet_nk.errors import LabelError, SourceError

ALL = ClassesConfig(table="imagenet-1k")
SORTED, CLSLOC = LabelsConfig("sorted"), LabelsConfig("clsloc")
TABLE = read_table("imagenet-1k").wnids
XML = """<ImageNetStructure><synset wnid="fall11" words="root" gloss="">
<synset wnid="n02084071" words="dog, domestic dog" gloss="a member">
  <synset wnid='n02085936' words='Maltese dog' gloss='a breed "of" toys'/><synset wnid="n99999999" words="x" gloss=""/>
</synset><synset wnid="n02120997" words="feline" gloss=""/></synset></ImageNetStructure>"""


def sorted_map(**choice: object) -> LabelMap:
    return load(ClassesConfig(table="imagenet-1k", **choice), SORTED)  # type: ignore[arg-type]


class TestOrders:
    def test_sorted_counts_up_in_sorted_wnid_order(self) -> None:
        classes = load(ALL, SORTED)
        assert classes.wnids == TABLE == tuple(sorted(TABLE))
        assert classes.labels == tuple(range(1000))
        assert (classes.label("n01440764"), classes.wnid(999), classes.name("n01440764")) == (0, "n15075141", "tench")

    def test_classes_with_the_same_name_have_different_labels(self) -> None:
        classes = load(ALL, SORTED)
        cranes = [
            classes.label(wnid) for wnid, name in zip(classes.wnids, classes.names, strict=True) if name == "crane"
        ]
        assert cranes == [134, 517]

    def test_devkit_order_is_one_to_a_thousand_over_the_same_classes(self) -> None:
        classes = load(ALL, CLSLOC)
        assert classes.labels == tuple(range(1, 1001))
        assert sorted(classes.wnids) == list(TABLE)
        assert classes.wnids[:3] == ("n02119789", "n02100735", "n02110185")

    def test_devkit_number_less_one_is_nowhere_the_sorted_label(self) -> None:
        by_devkit, by_sorting = load(ALL, CLSLOC), load(ALL, SORTED)
        assert [wnid for wnid in TABLE if by_devkit.label(wnid) - 1 == by_sorting.label(wnid)] == []
        assert [wnid for wnid in TABLE if by_devkit.label(wnid) == by_sorting.label(wnid)] == ["n02088238"]

    @pytest.mark.parametrize("labels", [SORTED, CLSLOC], ids=["sorted", "clsloc"])
    def test_label_and_wnid_are_inverse(self, labels: LabelsConfig) -> None:
        classes = load(ALL, labels)
        assert [classes.label(classes.wnid(label)) for label in classes.labels] == list(classes.labels)

    def test_devkit_numbers_only_the_thousand(self) -> None:
        with pytest.raises(LabelError, match="not imagenet-12k; type labels=sorted"):
            load(ClassesConfig(table="imagenet-12k"), CLSLOC)

    def test_unknown_label_order_is_refused(self) -> None:
        with pytest.raises(LabelError, match="sorted, clsloc or file"):
            load(ALL, LabelsConfig("alphabetical"))


class TestSets:
    @pytest.mark.parametrize(
        ("table", "count", "labels"),
        [
            ("imagenet-a", 200, (6, 11, 13)),
            ("imagenet-r", 200, (1, 2, 4)),
            ("mini-imagenet", 100, (12, 15, 51)),
            ("imagenet-12k", 11821, (0, 1, 2)),
            ("imagenet-21k", 21843, (0, 1, 2)),
            ("imagenet-22k", 21841, (0, 1, 2)),
        ],
    )
    def test_class_sets_have_their_size_and_first_labels(self, table: str, count: int, labels: tuple[int, ...]) -> None:
        classes = load(ClassesConfig(table=table), SORTED)
        assert (len(classes), classes.labels[:3]) == (count, labels)
        assert all(classes.words)
        assert all(classes.glosses)

    def test_subset_keeps_the_labels_of_the_1000(self) -> None:
        whole = load(ALL, SORTED)
        part = load(ClassesConfig(table="imagenet-a"), SORTED)
        assert part.labels == tuple(whole.label(wnid) for wnid in part.wnids)

    def test_dense_renumbers_and_remembers(self) -> None:
        whole = load(ALL, SORTED)
        dense = load(ClassesConfig(table="imagenet-r"), LabelsConfig("sorted", dense=True))
        assert dense.labels == tuple(range(200))
        assert all(whole.wnid(old) == wnid and words for _, wnid, words, old in dense.rows())
        assert "0..199" in dense.order

    def test_unknown_table_error_names_the_known_tables(self) -> None:
        with pytest.raises(LabelError, match=r"no class table 'imagenet-2k'; there are: imagenet-1k, .*imagenet-r"):
            load(ClassesConfig(table="imagenet-2k"), SORTED)


CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.parametrize("choice", sorted(file.stem for file in (CONF / "classes").glob("*.yaml")))
def test_each_choice_of_the_group_composes_and_loads(choice: str, tmp_path: Path) -> None:
    (tmp_path / "structure.xml").write_text(XML)
    config.register()
    overrides = [f"classes={choice}", "classes.limit=2", "labels.dense=true"]
    if choice == "subtree":
        overrides += ["classes.root_wnid=n02084071", f"classes.hierarchy={tmp_path / 'structure.xml'}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = OmegaConf.to_object(compose("imagenet", overrides))
    classes = load(options.classes, options.labels)  # type: ignore[union-attr]
    assert classes.labels == (0, 1)


class TestSubsets:
    @given(wnids=st.lists(st.sampled_from(TABLE), min_size=1, max_size=30, unique=True), limit=st.integers(1, 40))
    @settings(max_examples=25, deadline=None)
    def test_selected_classes_keep_their_labels(self, wnids: list[str], limit: int) -> None:
        for labels in (SORTED, CLSLOC):
            whole = load(ALL, labels)
            classes = load(ClassesConfig(table="imagenet-1k", wnids=wnids, limit=limit), labels)
            expected = sorted((whole.label(wnid), wnid) for wnid in wnids)[:limit]
            assert list(zip(classes.labels, classes.wnids, strict=True)) == expected

    def test_wnids_come_from_a_file_or_a_single_value(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.txt"
        file.write_text("# two of mine\nn01443537\n\nn01440764 tench\n")
        assert sorted_map(wnids=str(file)).labels == (0, 1)
        assert sorted_map(wnids="n01443537").labels == (1,)

    @pytest.mark.parametrize(
        ("wnids", "message"),
        [
            (["n01440765"], "did you mean n01440764"),
            (["n01440764", "n01440764"], "n01440764 twice"),
            ([], "names no class"),
            ("no/such/file", "cannot be read"),
        ],
    )
    def test_refused(self, wnids: object, message: str) -> None:
        with pytest.raises(LabelError, match=message):
            sorted_map(wnids=wnids)


class TestSubtree:
    @pytest.fixture
    def structure(self, tmp_path: Path) -> str:
        file = tmp_path / "structure.xml"
        file.write_text(XML)
        return str(file)

    def test_all_synsets_below_are_numbered_in_sorted_order(self, structure: str) -> None:
        classes = load(SubtreeConfig(root_wnid="n02084071", hierarchy=structure), SORTED)
        assert classes.wnids == ("n02084071", "n02085936", "n99999999")
        assert classes.labels == (0, 1, 2)
        assert classes.words[0] == "dog, domestic dog"
        assert classes.glosses[1] == 'a breed "of" toys'

    def test_within_a_table_labels_are_those_of_the_table(self, structure: str) -> None:
        classes = load(SubtreeConfig(table="imagenet-1k", root_wnid="n02084071", hierarchy=structure), SORTED)
        assert (classes.wnids, classes.labels) == (("n02085936",), (153,))
        assert load(SubtreeConfig(table="imagenet-1k", root_wnid="n02084071", hierarchy=structure), CLSLOC).labels == (
            load(ALL, CLSLOC).label("n02085936"),
        )

    def test_subtree_without_classes_of_the_table_is_refused(self, structure: str) -> None:
        with pytest.raises(LabelError, match=r"no class of imagenet-1k; type classes.table=null"):
            load(SubtreeConfig(table="imagenet-1k", root_wnid="n02120997", hierarchy=structure), SORTED)

    def test_failed_download_of_the_hierarchy_says_what_to_type(self) -> None:
        def fetch(address: str) -> Path:
            raise SourceError(f"{address}: answers 404 Not Found")

        choice = SubtreeConfig(root_wnid="n02084071", hierarchy="https://a.example/x.xml")
        with pytest.raises(LabelError, match=r"answers 404 Not Found; or name a copy .*: classes\.hierarchy=FILE"):
            load(choice, SORTED, fetch)

    def test_hierarchy_url_is_downloaded_by_fetch(self, structure: str) -> None:
        asked: list[str] = []

        def fetch(address: str) -> Path:
            asked.append(address)
            return Path(structure)

        choice = SubtreeConfig(root_wnid="n02084071", hierarchy="https://host.invalid/s.xml")
        assert len(load(choice, SORTED, fetch)) == 3
        assert asked == ["https://host.invalid/s.xml"]
        with pytest.raises(LabelError, match=r"download it and type classes.hierarchy=FILE"):
            load(choice, SORTED)


class TestFileOrder:
    def test_label_file_without_chosen_classes_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.txt"
        file.write_text("n01443537\nn01440764\n")
        labels = LabelsConfig("file", str(file))
        with pytest.raises(LabelError, match=r"998 of the 1000 .* classes.wnids=.*mine.txt"):
            load(ALL, labels)
        chosen = load(ClassesConfig(table="imagenet-1k", wnids=str(file)), labels)
        assert (chosen.wnids, chosen.labels) == (("n01443537", "n01440764"), (0, 1))


@pytest.mark.real
class TestRealFiles:
    def test_devkit_order_is_that_of_map_clsloc(self, shared: Path) -> None:
        from_file = load(ALL, LabelsConfig("file", str(shared / "data/labels/map_clsloc.txt")))
        packaged = load(ALL, CLSLOC)
        assert (from_file.wnids, from_file.labels) == (packaged.wnids, packaged.labels)

    def test_index_dictionary_is_the_sorted_order(self, shared: Path) -> None:
        from_file = load(ALL, LabelsConfig("file", str(shared / "data/labels/imagenet1000_clsidx_to_labels.txt")))
        assert (from_file.wnids, from_file.labels) == (TABLE, tuple(range(1000)))

    def test_swapped_lines_of_the_real_dictionary_are_detected(self, shared: Path, tmp_path: Path) -> None:
        text = (shared / "data/labels/imagenet1000_clsidx_to_labels.txt").read_text()
        file = tmp_path / "swapped.txt"
        file.write_text(
            text.replace(": 'maillot',", ": 'SWAP',", 1).replace(": 'maillot, tank suit',", ": 'maillot',", 1)
        )
        file.write_text(file.read_text().replace("SWAP", "maillot, tank suit"))
        with pytest.raises(LabelError, match=r"line 518: .*index 134 \(line 135\) .*from line 639 on: \"?'?517"):
            load(ALL, LabelsConfig("file", str(file)))

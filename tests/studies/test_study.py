"""Study files: what they say, and how mistakes in them are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.archs.base import build_network
from basicsr.studies.study import load_study
from basicsr.utils.errors import OptionError
from basicsr.utils.fetchable import FETCHABLE

STUDIES = Path(__file__).resolve().parents[2] / "options/studies"
SMALL = "name: mine\ngroup: Small\ntrain: train.yml\ntest: test.yml\n"


def mistakes_in(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "study.yml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        load_study(path)
    assert caught.value.source == str(path) and caught.value.exit_code == 2
    return caught.value.mistakes


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yml")), ids=lambda path: path.stem)
def test_shipped_studies_name_option_files_that_are_there(path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # as if these had been fetched
    for name in FETCHABLE:
        weights = tmp_path / f"sam-deblur/weights/{name}.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
    study = load_study(path)
    for name, row in study.rows.items():
        if row.network is not None:
            build_network(row.network)
        trained_with = [row.train or study.train] if row.is_trained else []
        for file in (*trained_with, *study.test_files(row)):
            assert (path.parent / file.replace("{group}", study.group).replace("{row}", name)).is_file()


def test_the_rows_of_the_paper():
    study = load_study(STUDIES / "paper_rows.yml")
    assert study.labels == {
        "NAFNet": "w/o SAM", "MaskNAFNet": "CAT", "SegNAFNet-MAP": "MAP", "SegNAFNet": "Ours",
    }  # fmt: skip
    assert study.metrics == ("psnr", "ssim", "mcr") and study.reference == "input"
    assert study.same == ("iterations", "crops", "side")
    assert study.minutes is None and study.cost == (256, 256)


def test_the_ablation_changes_the_share_of_dropped_regions_alone():
    study = load_study(STUDIES / "ablation_mask_dropout.yml")
    for row in study.rows.values():
        assert row.set == row.test_set == [f"network_g.mask_dropout={row.label}"]
    assert [float(label) for label in study.labels.values()] == [0, 0.25, 0.5, 0.75]


def test_a_study_inherits_as_option_files_do(tmp_path):
    (tmp_path / "under.yml").write_text(SMALL + "rows:\n  A: {label: a}\n  B: {}\nseeds: [0, 1]\n")
    path = tmp_path / "over.yml"
    path.write_text("base: under.yml\nrows:\n  A: null\n  C: {set: [train.total_iter=5]}\nmetrics: [lpips]\n")
    study = load_study(path)
    assert study.labels == {"B": "B", "C": "C"} and study.rows["C"].set == ["train.total_iter=5"]
    assert (study.seeds, study.metrics) == ((0, 1), ("lpips",))


def test_all_mistakes_are_told_at_once(tmp_path):
    text = "group: a/b\nseeds: [-1]\nsame: [iterations, size]\nreference: gt\n"
    text += "rows:\n  A:\n    labl: x\n    set: 3\n"
    found = mistakes_in(tmp_path, text)
    keys = ["name", "group", "rows.A.set", "rows.A.labl", "seeds", "same", "reference"]
    assert [line.partition(": ")[0] for line in found] == keys
    assert "Did you mean 'label'?" in found[3]


def test_mistakes_that_show_when_keys_are_seen_together(tmp_path):
    text = "name: mine\ngroup: Small\ntrain: train.yml\nseeds: [1, 1]\nmetrics: []\nrows:\n  A: {label: x}\n"
    assert mistakes_in(tmp_path, text + "  B: {label: x, test: b.yml}\n") == [
        "seeds: one is given twice (got [1, 1])",
        "metrics: expected at least one",
        "rows.A.label: two rows have this label (got 'x')",
        "rows.A.test: required, as the study has no `test`",
        "rows.B.label: two rows have this label (got 'x')",
    ]
    (empty,) = mistakes_in(tmp_path, SMALL + "rows:\n  A:\n  B:\n")
    assert empty.startswith("rows: expected at least one") and "`NAME: {}`" in empty


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("set", "name=mine"),
        ("set", "manual_seed=3"),
        ("test_set", "name=mine"),
        ("test_set", "path.pretrain_network_g=NAFNet"),
        ("test_set", "network_g.weights=NAFNet"),
    ],
)
def test_what_the_study_sets_itself_is_refused_wherever_it_is_given(tmp_path, key, override):
    lines = mistakes_in(tmp_path, f"{SMALL}{key}: [{override}]\nrows:\n  A: {{{key}: [{override}]}}\n")
    assert [line.partition(": ")[0] for line in lines] == [f"rows.A.{key}", key]
    assert all("is set by this command; leave it out" in line for line in lines)


def test_a_row_is_trained_or_has_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").write_bytes(b"")
    text = "name: mine\ngroup: Small\ntest: [a.yml, b.yml]\nminutes: 0.5\ncost: null\nrows:\n"
    (tmp_path / "study.yml").write_text(
        f"{text}  A: {{weights: NAFNet}}\n  B: {{weights: mine.pth, test: c.yml}}\n"
    )
    study = load_study(tmp_path / "study.yml")
    assert [study.test_files(row) for row in study.rows.values()] == [["a.yml", "b.yml"], ["c.yml"]]
    assert (study.minutes, study.cost) == (0.5, None)
    wrong = text + "  A: {weights: NAFNt}\n  C: {test: 3}\n"
    wrong += "  B: {weights: NAFNet, train: a.yml, network: {type: NAFNet}, set: [x=1]}\n"
    found = mistakes_in(tmp_path, wrong)
    assert [line.partition(": ")[0] for line in found] == ["rows.A.weights", "rows.C.test"]
    assert "Known: MAXIM-1S, NAFNet, SegNAFNet (bundled)" in found[0]
    found = mistakes_in(tmp_path, wrong.replace("NAFNt", "NAFNet").replace("test: 3", "test: null"))
    keys = ["rows.C.train", "rows.B.train", "rows.B.network", "rows.B.set"]
    assert [line.partition(": ")[0] for line in found] == keys


def test_a_row_whose_network_has_no_weights_is_only_tested(tmp_path):
    text = f"{SMALL}rows:\n  A: {{network: {{type: UnsharpMask}}}}\n"
    (tmp_path / "study.yml").write_text(text.replace("train: ", "# train: "))
    row = load_study(tmp_path / "study.yml").rows["A"]
    assert not row.is_trained and row.weights is None
    (found,) = mistakes_in(tmp_path, f"{SMALL}rows:\n  A: {{network: {{type: UnsharpMask}}, set: [x=1]}}\n")
    assert found.startswith("rows.A.set: UnsharpMask has no weights to train; leave it out")


@pytest.mark.parametrize("line", ["minutes: 0", "cost: [256]", "cost: [0, 256]", "cost: false"])
def test_minutes_and_cost_are_checked(tmp_path, line):
    (found,) = mistakes_in(tmp_path, f"{SMALL}rows:\n  A: {{}}\n{line}\n")
    assert found.startswith(f"{line.partition(':')[0]}: ")


def test_paths_of_test_files_are_expanded_in_a_list_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("MINE", "folder")
    path = tmp_path / "study.yml"
    path.write_text(SMALL + "rows:\n  A: {test: $MINE/a.yml}\n  B: {test: [$MINE/a.yml, $MINE/b.yml]}\n")
    study = load_study(path)
    assert study.rows["A"].test == "folder/a.yml" and study.rows["B"].test == ["folder/a.yml", "folder/b.yml"]

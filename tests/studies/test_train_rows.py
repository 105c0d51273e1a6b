"""The whole comparison, as it is typed: two rows of width 4, two seeds, two iterations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from basicsr.config.load import load_config
from basicsr.reporting.page import read_page
from basicsr.studies.compare import compare_rows
from basicsr.studies.job import read_job
from basicsr.studies.probe import read_probe
from basicsr.utils.errors import OptionError, UserError

ROOT = Path(__file__).resolve().parents[2]
TINY = ["num_gpu=0", "network_g.width=4", "network_g.enc_blk_nums=[1]", "network_g.dec_blk_nums=[1]"]
TRAINING = [
    "datasets.train.gt_size=16",
    "datasets.train.batch_size_per_gpu=2",
    "datasets.train.num_worker_per_gpu=0",
    "train.total_iter=2",
    "train.warmup_iter=-1",
    "train.ema_decay=0",
    "val.val_freq=null",
]
OVERRIDES = ["-o", "rows", "--test_set", *TINY, "--set", *TINY, *TRAINING]


@pytest.fixture
def workplace(paired_set, tmp_path, monkeypatch) -> Path:
    """A folder with the option files and a tiny set in the place of the Small sets, as current folder."""
    shutil.copytree(ROOT / "options", tmp_path / "options")
    for split in ("train", "val_synthetic", "val_reds", "synthetic", "gopro", "reds"):
        shutil.copytree(paired_set, tmp_path / "datasets/Small" / split)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/train_rows.py"), *words],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=280, check=False,
    )  # fmt: skip


def metrics(row: str, seed: int) -> dict:
    return json.loads(Path(f"results/Small-{row}-seed{seed}/metrics.json").read_text())


def written(*folders: str) -> dict[Path, int]:
    """When each file was written."""
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_two_rows_with_two_seeds(workplace):
    words = ["--rows", "NAFNet", "SegNAFNet", "--seeds", "0", "1", *OVERRIDES]
    done = command("--jobs", "2", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads(Path("rows/table.json").read_text())
    assert table["seeds"] == [0, 1] and table["budget"] == {"iterations": 2, "crops": 2, "side": 16}
    assert list(table["input"]) == ["Small-synthetic", "Small-GoPro", "Small-REDS"]
    for before in table["input"].values():
        assert before["psnr"] == pytest.approx(10 * np.log10(255**2 / 9)), "the inputs are 3 gray values off"
        assert 0.9 < before["ssim"] < 1
    for row, sets in table["rows"].items():
        tests = [metrics(row, seed) for seed in (0, 1)]
        for name, values in sets.items():
            for metric, value in values.items():
                assert value["values"] == [test[name]["mean"][metric] for test in tests]
            assert values["psnr"]["values"][0] != values["psnr"]["values"][1], "a seed is another training"
    text = Path("rows/table.md").read_text()
    assert text in done.stdout
    assert [line.split(" | ")[0] for line in text.splitlines()[2:5]] == ["| input", "| w/o SAM", "| Ours"]

    page = read_page(Path("rows/report.html"))
    assert [run["name"] for run in page["runs"]] == ["Small-NAFNet-seed0", "Small-SegNAFNet-seed0"]
    image = page["sets"][0]["images"][0]
    assert image["input"].keys() == {"psnr", "ssim", "mcr"}
    assert all(Path("rows", result["full"]).is_file() for result in image["results"])
    assert not Path("results/Small-NAFNet-seed1/visualization").exists(), "only the page needs pictures"

    before = written("experiments", "results", "rows/logs")
    again = command(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("trained already") == again.stdout.count("tested already") == 4
    assert written("experiments", "results", "rows/logs") == before
    assert Path("rows/table.md").read_text() == text


@pytest.mark.slow
def test_after_a_failure_it_goes_on_where_it_stopped(workplace):
    words = ["--rows", "NAFNet", "--seeds", "0", *OVERRIDES]
    photo = Path("datasets/Small/reds/input/photo_0.png")
    kept = photo.read_bytes()
    photo.write_text("no image")
    broken = command(*words)
    assert broken.returncode == 1
    log = "rows/logs/Small-NAFNet-seed0.log"
    assert broken.stderr == f"error: Small-NAFNet-seed0: test.py ended with exit code 1; see {log}\n"
    assert "photo_0.png: not an image" in Path(log).read_text()
    assert not Path("rows/table.md").exists()

    with pytest.raises(UserError, match=r"Small-NAFNet-seed0: started with train.total_iter 2, now 3"):
        compare_rows(read_job([*words, "train.total_iter=3"]))

    photo.write_bytes(kept)
    trained = written("experiments")
    mended = command(*words)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "trained already" in mended.stdout and "it needs at least two rows" in mended.stdout
    assert written("experiments") == trained
    assert list(json.loads(Path("rows/table.json").read_text())["rows"]) == ["NAFNet"]


def test_mistakes_are_found_before_anything_is_trained(workplace):
    for flag, override in (
        ("--set", "name=mine"),
        ("--set", "manual_seed=3"),
        ("--test_set", "path.pretrain_network_g=NAFNet"),
    ):
        with pytest.raises(OptionError, match=rf"{flag}: .* is set by this command; leave it out"):
            compare_rows(read_job([flag, override]))
    with pytest.raises(OptionError, match=r"val.metric: "):
        compare_rows(read_job(["--test_set", "val.metric=3"]))
    path = Path("options/train/Small/SegNAFNet.yml")
    path.write_text(path.read_text() + "\ntrain:\n  total_iter: 9\n")
    with pytest.raises(
        UserError, match=r"SegNAFNet-seed0 has 9 iterations of .* Small-NAFNet-seed0 has 7,000 "
    ):
        compare_rows(read_job([]))
    assert not Path("experiments").exists() and not Path("results").exists()


def test_mistakes_of_all_rows_are_told_at_once(workplace):
    with pytest.raises(OptionError) as caught:
        words = ["--set", "network_g.mask_drpout=0", "--test_set", "val.metric=3"]
        compare_rows(read_job(["--rows", "NAFNet", "SegNAFNet", *words]))
    assert caught.value.source == "options/studies/paper_rows.yml"
    assert [": ".join(line.split(": ")[:3]) for line in caught.value.mistakes] == [
        f"rows.{row}: options/{place}"
        for row in ("NAFNet", "SegNAFNet")
        for place in (f"test/Small/{row}.yml: val.metric", f"train/Small/{row}.yml: network_g.mask_drpout")
    ]
    with pytest.raises(OptionError, match=r"--rows: .* no row 'NAFNt'. Did you mean 'NAFNet'\?"):
        compare_rows(read_job(["--rows", "NAFNt"]))


def test_a_metric_that_no_test_has_is_found_before_anything_is_trained(workplace):
    study = Path("options/studies/mine.yml")
    study.write_text("base: paper_rows.yml\nmetrics: [psnr, sim]\n")
    with pytest.raises(
        OptionError, match=r"metrics: no test has 'sim' in val.metrics. Did you mean 'ssim'\?"
    ):
        compare_rows(read_job(["--study", str(study)]))
    assert not Path("experiments").exists()


def test_overrides_of_a_row_are_its_own(workplace):
    study = Path("options/studies/mine.yml")
    rows = "rows:\n  NAFNet: {set: [datasets.train.gt_size=96]}\n"
    study.write_text(f"base: paper_rows.yml\n{rows}")
    with pytest.raises(
        UserError, match=r"Small-MaskNAFNet-seed0 has .* 128x128 .* Small-NAFNet-seed0 has .* 96x96"
    ):
        compare_rows(read_job(["--study", str(study)]))


def test_crops_of_a_transform_count_as_those_of_gt_size(workplace):
    study = Path("options/studies/mine.yml")
    own = "datasets.train.use_flip=false, datasets.train.use_rot=false, datasets.train.gt_size=null"
    crop = '"datasets.train.transforms=[{type: RandomFlip}, {type: RandomCrop, size: 96}]"'
    study.write_text(f"base: paper_rows.yml\nrows:\n  NAFNet: {{set: [{own}, {crop}]}}\n")
    with pytest.raises(
        UserError, match=r"Small-MaskNAFNet-seed0 has .* 128x128 .* Small-NAFNet-seed0 has .* 96x96"
    ):
        compare_rows(read_job(["--study", str(study)]))


@pytest.mark.slow
def test_an_ablation_with_overrides_on_one_option_file(workplace):
    study = Path("options/studies/mine.yml")
    study.write_text("""
base: ablation_mask_dropout.yml
seeds: [3]
same: [iterations, crops]
cost: null
rows:
  dropout-0: {set: [network_g.mask_dropout=0, datasets.train.gt_size=16]}
  dropout-0.25: null
  dropout-0.5: {set: [network_g.mask_dropout=0.5, datasets.train.gt_size=8]}
  dropout-0.75: null
""")
    words = [word for word in OVERRIDES if not word.startswith("datasets.train.gt_size")]
    done = command("--study", str(study), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = Path("rows/table.md").read_text().splitlines()
    assert lines[0].startswith("| PSNR / SSIM / MCR | Small-synthetic | ")
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| input", "| 0", "| 0.5"]
    sides = "0 of 2 iterations of 2 crops of 16x16 pixels, 0.5 of 2 iterations of 2 crops of 8x8 pixels"
    assert lines[-1] == f"One training (seed 3), {sides}; PSNR in dB."
    for share in (0, 0.5):
        config = load_config(f"experiments/Small-dropout-{share}-seed3/config.yml")
        assert config.network_g.options["mask_dropout"] == share and config.manual_seed == 3
    assert len(read_page(Path("rows/report.html"))["runs"]) == 2


@pytest.mark.slow
def test_rows_of_equal_time_beside_weights_on_several_test_files(workplace):
    small = "{type: NAFNet, width: 4, enc_blk_nums: [1], middle_blk_num: 0, dec_blk_nums: [1]}"
    study = Path("options/studies/mine.yml")
    study.write_text(f"""
name: mine
group: Small
train: ../train/{{group}}/{{row}}.yml
test: [first.yml, second.yml]
seeds: [0, 1]
minutes: 0.005
cost: [16, 32]
rows:
  NAFNet: {{network: {small}}}
  Published: {{weights: NAFNet, label: as it comes}}
  Classical: {{network: {{type: UnsharpMask}}}}
""")
    whole = load_config("options/test/Small/NAFNet.yml", ["path.pretrain_network_g=null"], "test")
    tests = {
        "first": "datasets: {test_2: null, test_3: null}",
        "second": "datasets: {test: null, test_2: null}",
    }
    for name, text in tests.items():
        Path(f"options/studies/{name}.yml").write_text(f"base: ../test/Small/NAFNet.yml\n{text}\n")
    training = [word for word in TRAINING if not word.startswith("train.total_iter")]
    words = ["--study", str(study), "-o", "rows", "--test_set", "num_gpu=0", "--set", "num_gpu=0", *training]
    done = command(*words)
    assert done.returncode == 0, done.stdout + done.stderr

    table = json.loads(Path("rows/table.json").read_text())
    sets = [whole.datasets[phase].name for phase in ("test", "test_3")]
    assert list(table["input"]) == list(table["rows"]["NAFNet"]) == list(table["rows"]["Published"]) == sets
    assert len(table["rows"]["NAFNet"][sets[0]]["psnr"]["values"]) == 2
    assert len(table["rows"]["Published"][sets[1]]["psnr"]["values"]) == 1
    assert len(table["rows"]["Classical"][sets[0]]["psnr"]["values"]) == 1
    assert table["costs"]["Classical"]["parameters"] == 0
    assert table["weights"] == {"Published": "NAFNet", "Classical": None} and table["minutes"] == 0.005
    assert table["costs"]["NAFNet"]["parameters"] < table["costs"]["Published"]["parameters"]
    assert (table["place"]["height"], table["place"]["width"]) == (16, 32)
    measured = read_probe(Path("rows/probes/NAFNet.json"))
    for seed in (0, 1):
        train = load_config(f"experiments/Small-NAFNet-seed{seed}/config.yml").train
        assert train.total_iter == train.scheduler.options["T_max"] == measured.iterations(0.005)
    assert table["budget"] == {"iterations": measured.iterations(0.005), "crops": 2, "side": 16}
    assert not list(Path("experiments").glob("*probe*")) and not list(Path("experiments").glob("*Published*"))
    assert sorted(path.name for path in Path("rows").glob("*.html")) == ["report.html", "report_2.html"]
    assert [run["name"] for run in read_page(Path("rows/report_2.html"))["runs"]] == [
        "Small-NAFNet-seed0-test2", "Small-Published-test2", "Small-Classical-test2",
    ]  # fmt: skip

    before = written("experiments", "results", "rows/logs", "rows/probes")
    text = Path("rows/table.md").read_text()
    again = command(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert written("experiments", "results", "rows/logs", "rows/probes") == before
    assert Path("rows/table.md").read_text() == text


def test_two_test_files_with_one_set_are_found_before_anything_is_trained(workplace):
    study = Path("options/studies/mine.yml")
    study.write_text(
        "base: paper_rows.yml\ntest: ['../test/{group}/{row}.yml', ../test/Small/NAFNet.yml]\n"
        "rows: {MaskNAFNet: null, SegNAFNet-MAP: null, SegNAFNet: null}\n"
    )
    with pytest.raises(OptionError) as caught:
        compare_rows(read_job(["--study", str(study)]))
    assert len(caught.value.mistakes) == 3
    assert all(line.startswith("rows.NAFNet.test: two data sets") for line in caught.value.mistakes)
    assert not Path("experiments").exists()

"""Whole runs, as a user types them: from an option file to weights, metrics and pictures."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from basicsr import infer
from basicsr.config.cli import Arguments
from basicsr.storage import DiskStorage, write_lmdb
from basicsr.test import test as run_test
from basicsr.train import train as run_train
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb

ROOT = Path(__file__).resolve().parents[1]
ROWS = ["NAFNet", "MaskNAFNet", "SegNAFNet-MAP", "SegNAFNet"]
TINY = ["num_gpu=0", "network_g.width=4", "network_g.enc_blk_nums=[1,1]", "network_g.dec_blk_nums=[1,1]"]
QUICK = [
    *TINY,
    "path.pretrain_network_g=null",
    "datasets.train.gt_size=16",
    "datasets.train.batch_size_per_gpu=2",
    "datasets.train.num_worker_per_gpu=1",
    "datasets.val.num_worker_per_gpu=0",
    "train.warmup_iter=-1",
    "logger.print_freq=1",
]


@pytest.fixture
def workplace(paired_set, tmp_path, monkeypatch) -> Path:
    """A folder with the option files and a tiny set in the place of the Demo set, as current folder."""
    shutil.copytree(ROOT / "options", tmp_path / "options")
    for split in ("train", "test"):
        shutil.copytree(paired_set, tmp_path / "datasets/Demo" / split)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(row: str, *overrides: str, auto_resume: bool = False) -> None:
    options = f"options/train/Demo/{row}.yml"
    run_train(Arguments(options, [*QUICK, *overrides], "none", auto_resume, debug=True))


def test(row: str, *overrides: str) -> dict:
    options = f"options/test/Demo/{row}.yml"
    trained = f"path.pretrain_network_g=experiments/Demo-{row}/models/net_g_latest.pth"
    run_test(Arguments(options, [*TINY, trained, *overrides], "none", False, debug=True))
    name = yaml.safe_load(Path(options).read_text())["name"]
    return json.loads(Path(f"results/{name}/metrics.json").read_text())


test.__test__ = False  # type: ignore[attr-defined]


def command(*words: str, processes: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
    launcher = ["--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    return finished(start(launcher, words, Path(), environment))


def on_two_machines(words: list[str], folders: list[Path]) -> list[subprocess.CompletedProcess[str]]:
    """The command as two machines run it, a process each; ``folders`` are their current folders."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}", "--local_addr=127.0.0.1"]
    launcher = ["--nnodes=2", "--nproc_per_node=1", *meeting]
    started = [start(launcher, words, folder, {}) for folder in folders]
    with ThreadPoolExecutor(len(started)) as both:
        return list(both.map(finished, started))


def start(launcher: list[str], words: Sequence[str], folder: Path, environment: dict) -> subprocess.Popen:
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    torchrun = ["-m", "torch.distributed.run", *launcher] if launcher else []
    return subprocess.Popen(
        [sys.executable, *torchrun, str(ROOT / "basicsr" / words[0]), *words[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | {"OMP_NUM_THREADS": "1"} | environment,
    )


def finished(started: subprocess.Popen) -> subprocess.CompletedProcess[str]:
    with started:
        try:
            output, complained = started.communicate(timeout=240)
        finally:
            started.terminate()  # torchrun then ends its processes too
    return subprocess.CompletedProcess(started.args, started.returncode, output, complained)


def weights(name: str, iteration: int | str) -> dict[str, torch.Tensor]:
    saved = torch.load(f"experiments/{name}/models/net_g_{iteration}.pth", weights_only=True)
    return {
        f"{entry}.{key}": tensor
        for entry in ("params", "params_ema")
        for key, tensor in saved.get(entry, {}).items()
    }


def assert_same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


@pytest.mark.parametrize("row", ROWS)
def test_each_row_trains_and_tests(workplace, row: str):
    train(row, "train.total_iter=3", "val.val_freq=2", "logger.save_checkpoint_freq=2")
    experiment = workplace / f"experiments/Demo-{row}"
    assert sorted(path.name for path in (experiment / "models").iterdir()) == [
        "net_g_2.pth",
        "net_g_3.pth",
        "net_g_latest.pth",
    ]
    assert sorted(path.name for path in (experiment / "training_states").iterdir()) == ["2.state", "3.state"]
    events = [json.loads(line) for line in (experiment / "events.jsonl").read_text().splitlines()]
    assert [(event["kind"], event["iter"]) for event in events] == [
        ("train", 1),
        ("train", 2),
        ("val", 2),
        ("train", 3),
        ("val", 3),
    ]
    assert {"loss", "l_pix", "lr", "step_seconds", "data_seconds", "eta_seconds"} <= events[0].keys()
    assert events[2]["dataset"] == "Demo-val" and {"psnr", "ssim"} <= events[2].keys()
    assert yaml.safe_load((experiment / "config.yml").read_text())["network_g"]["width"] == 4

    results = test(row)
    mean, images = results["Demo"]["mean"], results["Demo"]["images"]
    assert [image["key"] for image in images] == [f"photo_{number}" for number in range(6)]
    assert set(mean) == {"psnr", "ssim", "mcr", "input_psnr", "input_ssim"}
    assert mean["input_psnr"] == pytest.approx(10 * np.log10(255**2 / 9)), (
        "the inputs are 3 gray values too bright"
    )
    for metric, value in mean.items():
        assert value == pytest.approx(np.mean([image[metric] for image in images]))
    assert mean["psnr"] == pytest.approx(events[-1]["psnr"]), "testing repeats the last validation"
    rows = list(csv.DictReader(Path(f"results/Demo-{row}/metrics.csv").read_text().splitlines()))
    assert [(line["dataset"], line["key"], float(line["psnr"])) for line in rows] == [
        ("Demo", image["key"], image["psnr"]) for image in images
    ]
    for image in images:
        picture = read_rgb(workplace / f"results/Demo-{row}/visualization/Demo/{image['key']}.png")
        target = read_rgb(workplace / f"datasets/Demo/test/target/{image['key']}.png")
        mse = np.square(picture.astype(float) - target).mean()
        assert 10 * np.log10(255**2 / mse) == pytest.approx(image["psnr"], abs=1e-6)


RESUMED = ("train.ema_decay=0.9", "train.accumulate=2", "logger.save_checkpoint_freq=3", "val.val_freq=100")


def test_three_and_three_iterations_equal_six_bit_for_bit(workplace):
    """With mask dropout, averaging and accumulation, so that every source of state takes part."""
    train("SegNAFNet", *RESUMED, "name=straight", "train.total_iter=6")
    train("SegNAFNet", *RESUMED, "name=halves", "train.total_iter=3", "train.scheduler.T_max=120")
    train("SegNAFNet", *RESUMED, "name=halves", "train.total_iter=6", auto_resume=True)
    assert_same_weights(weights("straight", 3), weights("halves", 3))
    assert_same_weights(weights("straight", 6), weights("halves", 6))
    changed = weights("straight", 3)
    assert any(not torch.equal(changed[key], value) for key, value in weights("straight", 6).items())
    assert Path("experiments/halves/config_from_3.yml").is_file()
    before, after = (
        torch.load(f"experiments/{name}/training_states/6.state") for name in ("straight", "halves")
    )
    assert before["samples_done"] == after["samples_done"] == 24
    assert torch.equal(before["random"][0]["torch"], after["random"][0]["torch"])


def test_a_run_that_skips_what_it_cannot_read_can_be_cut_in_two_as_well(workplace, capsys):
    """And with another number of workers; at the end the file is listed, with what came before the cut."""
    damaged = workplace / "datasets/Demo/train/input/photo_2.png"
    damaged.write_bytes(b"no image")
    skip = (*RESUMED, "datasets.train.unreadable=skip")
    train("SegNAFNet", *skip, "name=straight", "train.total_iter=6")
    listed = capsys.readouterr().out.splitlines()[-20:]
    train("SegNAFNet", *skip, "name=halves", "train.total_iter=3", "train.scheduler.T_max=120")
    first = capsys.readouterr().out
    no_worker = "datasets.train.num_worker_per_gpu=0"
    train("SegNAFNet", *skip, no_worker, "name=halves", "train.total_iter=6", auto_resume=True)
    assert_same_weights(weights("straight", 6), weights("halves", 6))
    assert f"WARNING: datasets/Demo/train/input/{damaged.name}: not an image" in first
    (count,) = (line for line in listed if line.startswith(f"  datasets/Demo/train/input/{damaged.name}: "))
    assert count in capsys.readouterr().out.splitlines()
    with pytest.raises(UserError, match=r"^datasets/Demo/train/input/photo_2\.png: not an image"):
        train("SegNAFNet", *RESUMED, "name=stopped", "train.total_iter=6")


def test_deterministic_runs_have_equal_losses(workplace):
    losses = []
    try:
        for name in ("one", "two"):
            train(
                "SegNAFNet", "deterministic=true", "train.total_iter=4", f"name={name}", "val.val_freq=null"
            )
            lines = Path(f"experiments/{name}/events.jsonl").read_text().splitlines()
            losses.append([json.loads(line)["loss"] for line in lines])
    finally:
        torch.use_deterministic_algorithms(False)
    assert losses[0] == losses[1] and len(set(losses[0])) == 4


def test_a_damaged_checkpoint_is_put_aside_and_an_earlier_one_gone_on_from(workplace, capsys):
    """To the same end as if nothing had been."""
    how = ("logger.save_checkpoint_freq=2", "train.total_iter=6", "val.val_freq=null", "name=run")
    train("NAFNet", *how)
    whole = weights("run", 6)
    folder = Path("experiments/run")
    for place in ("training_states/6.state", "models/net_g_4.pth"):
        harmed = bytearray((folder / place).read_bytes())
        harmed[len(harmed) // 2 : len(harmed) // 2 + 64] = bytes(64)
        (folder / place).write_bytes(harmed)
    train("NAFNet", *how, auto_resume=True)
    output = capsys.readouterr().out
    assert "resuming from experiments/run/training_states/2.state" in output
    aside = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.damaged"))
    assert aside == ["models/net_g_4.pth.damaged", "training_states/6.state.damaged"]
    assert all(f"{folder / place.removesuffix('.damaged')}: damaged" in output for place in aside)
    assert_same_weights(whole, weights("run", 6))


def test_a_run_that_blew_up_goes_on_from_before_with_the_advice_that_it_gave(workplace, capsys):
    how = ("name=run", "logger.save_checkpoint_freq=2", "val.val_freq=null", "train.ema_decay=0.9")
    train("NAFNet", *how, "train.total_iter=4")
    before = weights("run", 4)
    wild = ("train.optim_g.lr=1e30", "train.scheduler.eta_min=0", "train.use_grad_clip=false")
    with pytest.raises(UserError, match=r"iteration 105: 100 steps in a row .*optim_g\.lr.*--auto_resume"):
        train("NAFNet", *how, *wild, "train.total_iter=120", auto_resume=True)
    assert_same_weights(before, weights("run", "latest"))
    capsys.readouterr()
    train("NAFNet", *how, "train.total_iter=8", auto_resume=True)
    output = capsys.readouterr().out
    assert (
        "out of its usual range from iteration 6 on: going back to experiments/run/training_states/4"
        in output
    )
    train("NAFNet", *how, "train.total_iter=8", "name=undisturbed")
    assert_same_weights(weights("undisturbed", 8), weights("run", 8))
    states = {path.name for path in Path("experiments/run/training_states").iterdir()}
    assert {"2.state", "4.state", "6.state", "8.state", "6.state.diverged"} <= states
    assert not Path("experiments/run/trouble.json").exists()


def test_auto_resume_prefers_what_this_experiment_has_reached(workplace):
    train("NAFNet", "train.total_iter=2", "name=first")
    start = "path.resume_state=experiments/first/training_states/2.state"
    train("NAFNet", "train.total_iter=4", "name=second", start, auto_resume=True)
    train("NAFNet", "train.total_iter=5", "name=second", start, auto_resume=True)
    events = [json.loads(line) for line in Path("experiments/second/events.jsonl").read_text().splitlines()]
    assert [event["iter"] for event in events if event["kind"] == "train"] == [3, 4, 5]
    assert sorted(path.name for path in Path("experiments").iterdir()) == ["first", "second"]


@pytest.mark.parametrize(
    "change", ["train.optim_g={type: SGD, lr: 0.1}", "path.resume_state=experiments/first/models/2.state"]
)
def test_a_state_of_other_options_is_one_line(workplace, change: str):
    train("NAFNet", "train.total_iter=2", "name=first")
    shutil.copy("experiments/first/models/net_g_2.pth", "experiments/first/models/2.state")
    shutil.copytree("experiments/first/models", "experiments/first/models/models")
    state = "path.resume_state=experiments/first/training_states/2.state"
    with pytest.raises(
        UserError, match=r"2.state: not a training state of (these options|this toolkit)"
    ) as error:
        train("NAFNet", "train.total_iter=3", "name=second", state, change)
    assert "\n" not in str(error.value)


def test_a_training_state_of_other_code_names_the_weights_to_start_from(workplace):
    train("NAFNet", "train.total_iter=2", "name=first")
    state = Path("experiments/first/training_states/2.state")
    published = {"epoch": 0, "iter": 2, "optimizers": [{"state": {}}], "schedulers": [{"last_epoch": 2}]}
    torch.save(published, state)
    with pytest.raises(
        UserError, match=r"2.state: .*other code.*epoch, iter, optimizers, schedulers"
    ) as error:
        train("NAFNet", "train.total_iter=3", "name=second", f"path.resume_state={state}")
    assert "\n" not in str(error.value) and not Path("experiments/second").exists()
    hint = str(error.value).partition("new experiment: ")[2].split()
    assert hint[0] == "path.pretrain_network_g=experiments/first/models/net_g_2.pth"
    train("NAFNet", "train.total_iter=1", "name=second", *hint)


@pytest.mark.parametrize("frequencies", [(2, 100), (3, 100), (3, 2)])
def test_a_validation_that_fails_takes_no_weights_with_it(workplace, monkeypatch, frequencies):
    """At the last iteration, and at one where no checkpoint is due."""
    every, saved = frequencies

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a broken picture")

    monkeypatch.setattr("basicsr.engine.hooks.evaluate", fail)
    with pytest.raises(RuntimeError, match="a broken picture"):
        how = (f"val.val_freq={every}", f"logger.save_checkpoint_freq={saved}")
        train("NAFNet", "train.total_iter=3", "name=kept", *how)
    models = {path.name for path in Path("experiments/kept/models").iterdir()}
    numbers = {2: set(), 3: {3}}[every] | ({2} if saved == 2 else set())
    assert models == {"net_g_latest.pth", *(f"net_g_{number}.pth" for number in numbers)}
    states = {path.name for path in Path("experiments/kept").glob("training_states/*")}
    assert states == {f"{number}.state" for number in numbers}
    kept = weights("kept", "latest")
    train("NAFNet", f"train.total_iter={every}", "name=undisturbed", "val.val_freq=null")
    assert_same_weights(kept, weights("undisturbed", every))


def test_a_network_for_gray_images_is_refused_before_the_run(workplace):
    for run in (train, test):
        with pytest.raises(OptionError, match=r"network_g: NAFNet takes 1 channel.*img_channel has to be 3"):
            run("NAFNet", "network_g.img_channel=1", "path.pretrain_network_g=null")
    assert not Path("experiments").exists() and not Path("results").exists()


def test_without_metrics_psnr_and_ssim_are_told(workplace, capsys):
    train("NAFNet", "train.total_iter=1", "val.metrics=null")
    assert re.search(r"validation Demo-val iter 1: psnr \d+\.\d+ ssim \d\.\d+\n", capsys.readouterr().out)
    assert {"psnr", "ssim"} == set(test("NAFNet", "val.metrics=null")["Demo"]["mean"])
    train("NAFNet", "train.total_iter=1", "name=none", "val.metrics={}")
    assert "validation Demo-val iter 1: no metrics" in capsys.readouterr().out


def test_a_data_set_and_a_metric_are_dropped_by_hand(workplace):
    train("NAFNet", "train.total_iter=1", "datasets.val=null")
    events = Path("experiments/Demo-NAFNet/events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in events]
    assert kinds == ["train"]
    assert "psnr" not in test("NAFNet", "val.metrics.psnr=null")["Demo"]["mean"]


def test_a_run_can_go_on_in_another_precision(workplace):
    train("NAFNet", "train.total_iter=1", "name=first")
    state = "path.resume_state=experiments/first/training_states/1.state"
    before = weights("first", 1)
    for precision in ("off", "bf16", "fp16"):
        train("NAFNet", "train.total_iter=2", f"name=in-{precision}", state, f"train.amp={precision}")
        after = weights(f"in-{precision}", 2)
        assert all(value.isfinite().all() for value in after.values())
        moved = any(not torch.equal(value, before[key]) for key, value in after.items())
        state_after = torch.load(f"experiments/in-{precision}/training_states/2.state")
        assert state_after["iteration"] == 2
        assert moved or (precision == "fp16" and state_after["skipped_steps"] == 1), (
            "its scale may be too large"
        )
    rounded = weights("in-bf16", 2)
    assert any(not torch.equal(value, rounded[key]) for key, value in weights("in-off", 2).items())


def test_an_experiment_is_never_overwritten_or_resumed_silently(workplace):
    train("NAFNet", "train.total_iter=1")
    before = {path: path.read_bytes() for path in Path("experiments").rglob("*") if path.is_file()}
    with pytest.raises(OptionError, match=r"experiments/Demo-NAFNet exists.*--auto_resume"):
        train("NAFNet", "train.total_iter=2")
    assert {path: path.read_bytes() for path in Path("experiments").rglob("*") if path.is_file()} == before


def test_a_start_that_fails_leaves_nothing_behind(workplace):
    """The user mends the data and types the same command again."""
    train("NAFNet", "train.total_iter=1", "name=weights")
    Path("datasets/Demo/test/input/photo_0.png").rename("photo_0.png")
    with pytest.raises(UserError, match="lacks 1"):
        train("NAFNet", "train.total_iter=1")
    with pytest.raises(UserError, match="lacks 1"):
        test("NAFNet", "path.pretrain_network_g=experiments/weights/models/net_g_1.pth")
    assert [path.name for path in Path("experiments").iterdir()] == ["weights"]
    assert not Path("results").exists()
    Path("photo_0.png").rename("datasets/Demo/test/input/photo_0.png")
    train("NAFNet", "train.total_iter=1")
    log = next(Path("experiments/Demo-NAFNet").glob("train_*.log")).read_text()
    assert log.count("parameters") == 1
    assert log.count("peak memory of this process on cpu: ") == 1


def test_a_state_can_be_resumed_under_another_name(workplace):
    train("NAFNet", "train.total_iter=2", "name=first")
    state = "path.resume_state=experiments/first/training_states/2.state"
    train("NAFNet", "train.total_iter=3", "name=second", state)
    assert Path("experiments/second/models/net_g_3.pth").is_file()
    assert sorted(path.name for path in Path("experiments/first/models").iterdir()) == [
        "net_g_2.pth",
        "net_g_latest.pth",
    ]


def test_auto_resume_without_a_state_starts_anew_and_keeps_what_was_there(workplace):
    broken = Path("experiments/Demo-NAFNet")
    broken.mkdir(parents=True)
    (broken / "events.jsonl").write_text("from before\n")
    train("NAFNet", "train.total_iter=1", auto_resume=True)
    archived = list(Path("experiments").glob("Demo-NAFNet_archived_*"))
    assert [(path / "events.jsonl").read_text() for path in archived] == ["from before\n"]
    assert (broken / "models/net_g_1.pth").is_file()


def test_earlier_results_are_kept(workplace):
    train("NAFNet", "train.total_iter=1")
    test("NAFNet")
    first = Path("results/Demo-NAFNet/metrics.json").read_bytes()
    test("NAFNet", "val.save_img=false")
    archived = list(Path("results").glob("Demo-NAFNet_archived_*"))
    assert [(path / "metrics.json").read_bytes() for path in archived] == [first]
    assert not Path("results/Demo-NAFNet/visualization").exists()


def test_windows_rounding_and_several_sets(workplace):
    train("SegNAFNet", "train.total_iter=2")
    whole = test("SegNAFNet")
    second = "{name: Second, type: PairedImageGroupMaskDataset, dataroot_gt: datasets/Demo/train/target, "
    second += "dataroot_lq: datasets/Demo/train/input, dataroot_mask: datasets/Demo/train/grouped_masks}"
    results = test("SegNAFNet", f"datasets.test_2={second}", "val.use_image=false", "val.suffix=mine")
    assert list(results) == ["Demo", "Second"]
    assert results["Demo"]["mean"]["psnr"] == results["Second"]["mean"]["psnr"]
    assert 0 < abs(results["Demo"]["mean"]["psnr"] - whole["Demo"]["mean"]["psnr"]) < 0.1, (
        "rounding costs a little"
    )
    assert Path("results/Demo-SegNAFNet/visualization/Second/photo_0_mine.png").is_file()
    for windows in (
        ["val.tile=24", "val.tile_overlap=8"],
        ["val.grids=true", "val.crop_size_h=24", "val.crop_size_w=32"],
    ):
        near = test("SegNAFNet", *windows)["Demo"]["mean"]["psnr"]
        assert near == pytest.approx(whole["Demo"]["mean"]["psnr"], abs=1.0)


def test_a_whole_run_on_lmdb(workplace):
    for kind in ("target", "input", "grouped_masks"):
        storage = DiskStorage(f"datasets/Demo/test/{kind}", (".png",))
        entries = [(key, storage.read(key), (40, 48, 3)) for key in sorted(storage.keys())]
        write_lmdb(f"datasets/{kind}.lmdb", entries)
    roots = {"gt": "target", "lq": "input", "mask": "grouped_masks"}
    lmdb = [
        f"datasets.{phase}.{key}={value}"
        for phase in ("train", "val", "test")
        for key, value in {
            "io_backend.type": "lmdb",
            **{f"dataroot_{field}": f"datasets/{kind}.lmdb" for field, kind in roots.items()},
        }.items()
    ]
    train("SegNAFNet", "train.total_iter=2", "name=files")
    train("SegNAFNet", "train.total_iter=2", "name=lmdb", *[item for item in lmdb if "test." not in item])
    assert_same_weights(weights("files", 2), weights("lmdb", 2))
    start = "path.pretrain_network_g=experiments/lmdb/models/net_g_2.pth"
    from_lmdb = test("SegNAFNet", start, *[item for item in lmdb if ".test." in item])
    assert from_lmdb == test("SegNAFNet", start)


def test_mean_and_std_do_not_change_what_metrics_see(workplace):
    train("NAFNet", "train.total_iter=1", "datasets.val.mean=[0.5,0.4,0.3]", "datasets.val.std=[0.5,0.5,0.5]")
    statistics = ("datasets.test.mean=[0.5,0.4,0.3]", "datasets.test.std=[0.5,0.5,0.5]")
    assert test("NAFNet", *statistics)["Demo"]["mean"]["input_psnr"] == pytest.approx(
        10 * np.log10(255**2 / 9)
    )


def test_mean_and_std_go_with_the_weights(workplace, capsys):
    """Trained with them, the network is tested and restores photos with them, and no option file says so."""
    statistics = ("mean=[0.5,0.4,0.3]", "std=[0.5,0.25,0.5]")
    train("NAFNet", "train.total_iter=1", *(f"datasets.train.{item}" for item in statistics))
    output = capsys.readouterr().out
    assert "datasets.val: mean 0.5 0.4 0.3, std 0.5 0.25 0.5, as the weights were trained" in output
    silent = test("NAFNet")
    pictures = sorted(Path("results/Demo-NAFNet/visualization/Demo").glob("*.png"))
    expected = {path.name: read_rgb(path) for path in pictures}
    assert len(expected) == 6
    trained = "experiments/Demo-NAFNet/models/net_g_latest.pth"
    words = ["--weights", trained, "--guard", "off", "--amp", "off"]
    infer.main(["-i", "datasets/Demo/test/input", "-o", "out", *words])
    assert all(np.array_equal(read_rgb(Path("out") / name), image) for name, image in expected.items())
    capsys.readouterr()
    assert test("NAFNet", *(f"datasets.test.{item}" for item in statistics)) == silent
    assert "WARNING" not in capsys.readouterr().out
    assert test("NAFNet", "datasets.test.mean=[0.5,0.5,0.5]") != silent
    output = capsys.readouterr().out
    assert "datasets.test: mean 0.5 0.5 0.5, std 1 1 1, but the weights were trained with mean 0.5" in output


def test_weights_trained_without_mean_and_std_say_so(workplace, capsys):
    train("NAFNet", "train.total_iter=1")
    test("NAFNet", "datasets.test.mean=[0.5,0.5,0.5]")
    assert "but the weights were trained with mean 0 0 0, std 1 1 1" in capsys.readouterr().out
    statistics = "datasets.train.std=[0.5,0,0.5]"
    with pytest.raises(OptionError, match=r"std \(0.5, 0.0, 0.5\) must be positive"):
        train("NAFNet", "train.total_iter=1", "name=other", statistics)


def test_rgb2bgr_false_writes_the_channels_in_reverse(workplace):
    train("NAFNet", "train.total_iter=1")
    right, reverse = test("NAFNet"), test("NAFNet", "val.rgb2bgr=false")
    pictures = [read_rgb(path) for path in sorted(Path("results").glob("*/visualization/Demo/photo_0.png"))]
    assert np.array_equal(pictures[0][..., ::-1], pictures[1])
    assert right["Demo"]["mean"]["psnr"] == pytest.approx(reverse["Demo"]["mean"]["psnr"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["grouped_masks=true"], r"grouped_masks is true, but PairedImageDataset delivers none"),
        (["network_g.type=SegNAFNet"], r"datasets.train.type: SegNAFNet needs 'labels'"),
        (["network_g.enc_blk_nums=[1]"], r"enc_blk_nums .* dec_blk_nums"),
        (["train.scheduler={type: CosineAnnealingRestartLR, periods: [5, 5]}"], r"train.scheduler: periods"),
    ],
)
def test_options_that_contradict_each_other_are_named(workplace, overrides: list[str], message: str):
    with pytest.raises(OptionError, match=message):
        train("NAFNet", *overrides)


def test_mixup_is_refused_for_label_maps(workplace):
    with pytest.raises(OptionError, match=r"train.mixup"):
        train("SegNAFNet", "train.mixup=true")


def test_fine_tuning_starts_from_given_weights(workplace):
    train("NAFNet", "train.total_iter=1", "name=first")
    start = "path.pretrain_network_g=experiments/first/models/net_g_1.pth"
    frozen = ("train.optim_g.lr=0", "train.scheduler.eta_min=0")
    train("NAFNet", "train.total_iter=1", "name=second", start, *frozen)
    assert_same_weights(weights("first", 1), weights("second", 1))


@pytest.mark.slow
@pytest.mark.dist
def test_three_processes_train_resume_and_test_like_one(workplace):
    def both(name: str, total: int, *more: str) -> None:
        overrides = [*QUICK, *RESUMED, f"name={name}", f"train.total_iter={total}"]
        words = [
            "train.py",
            "-opt",
            "options/train/Demo/SegNAFNet.yml",
            "--launcher",
            "pytorch",
            *more,
            "--set",
            *overrides,
        ]
        done = command(*words, processes=3)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stderr

    both("straight", 6)
    both("halves", 3)
    both("halves", 6, "--auto_resume")
    assert_same_weights(weights("straight", 6), weights("halves", 6))
    assert torch.load("experiments/straight/training_states/6.state")["samples_done"] == 72

    start = "path.pretrain_network_g=experiments/straight/models/net_g_6.pth"
    alone = test("SegNAFNet", start)
    overrides = [*TINY, start, "name=shared"]
    done = command("test.py", "-opt", "options/test/Demo/SegNAFNet.yml", "--set", *overrides, processes=3)
    assert done.returncode == 0, done.stdout + done.stderr
    together = json.loads(Path("results/shared/metrics.json").read_text())
    assert [image["key"] for image in together["Demo"]["images"]] == [
        f"photo_{number}" for number in range(6)
    ]
    for metric, value in alone["Demo"]["mean"].items():
        assert together["Demo"]["mean"][metric] == pytest.approx(value, abs=1e-6)


@pytest.mark.slow
@pytest.mark.dist
def test_two_machines_train_like_one_process(workplace):
    """They share the same samples, and rounding is all that differs: SGD does not magnify it."""
    total = ["datasets.train.batch_size_per_gpu=null", "datasets.train.batch_size_total=4"]
    same = [*total, "train.optim_g={type: SGD, lr: 1}", "train.total_iter=3", "train.accumulate=2"]
    options = ["train.py", "-opt", "options/train/Demo/NAFNet.yml", "--launcher", "pytorch"]
    train("NAFNet", *same, "name=alone")
    first, second = on_two_machines(
        [*options, "--set", *QUICK, *same, "name=together"], [workplace, workplace]
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (first.stdout + second.stdout).count("4 samples per step (2 process(es), 2 x 1 each)") == 1
    states = [torch.load(f"experiments/{name}/training_states/3.state") for name in ("alone", "together")]
    assert [state["samples_done"] for state in states] == [12, 12]
    alone, together = weights("alone", 3), weights("together", 3)
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.dist
def test_resuming_needs_the_experiment_on_every_machine(workplace, tmp_path):
    train("NAFNet", "train.total_iter=1")
    elsewhere = tmp_path / "elsewhere"
    for folder in ("options", "datasets"):
        shutil.copytree(workplace / folder, elsewhere / folder)
    options = ["train.py", "-opt", "options/train/Demo/NAFNet.yml", "--auto_resume", "--set", *QUICK]
    machines = on_two_machines(options, [workplace, elsewhere])
    assert [machine.returncode for machine in machines] == [1, 1], "those of torchrun"
    output = "".join(machine.stderr for machine in machines)  # once on each machine, and here both are one
    assert output.count("error: --auto_resume: not every process finds the same state") == 1
    assert not (elsewhere / "experiments").exists()


def test_commands_say_what_is_wrong_in_one_line_and_by_their_exit_code(workplace):
    """Two runs in processes of their own; all other mistakes are tested where they are found."""
    absent = "path.pretrain_network_g=experiments/Demo-NAFNet/models/net_g_latest.pth"
    done = command("test.py", "-opt", "options/test/Demo/NAFNet.yml", "--set", absent)
    assert done.returncode == 2
    assert "path.pretrain_network_g: no such file" in done.stderr
    assert "Traceback" not in done.stderr

    (workplace / "datasets/Demo/train/input/photo_2.png").write_text("no image")
    overrides = [*QUICK, "train.total_iter=9", "num_gpu=1"]
    done = command("train.py", "-opt", "options/train/Demo/NAFNet.yml", "--set", *overrides)
    assert done.returncode == 1
    output = done.stderr.splitlines()[-1]
    assert output.startswith(
        "error: datasets/Demo/train/input/photo_2.png: not an image of a type that is read"
    )
    assert "Traceback" not in done.stderr + done.stdout
    if not torch.cuda.is_available():
        assert done.stdout.count("running on CPU") == 1


def test_runs_without_a_working_torchvision(workplace):
    """A torchvision that does not match its torch raises on import; nothing here may need it."""
    (workplace / "broken/torchvision").mkdir(parents=True)
    (workplace / "broken/torchvision/__init__.py").write_text(
        "raise RuntimeError('operator nms does not exist')\n"
    )
    words = ["train.py", "-opt", "options/train/Demo/SegNAFNet.yml", "--set", *QUICK, "train.total_iter=1"]
    done = command(*words, "logger.use_tb_logger=true", PYTHONPATH=str(workplace / "broken"))
    assert done.returncode == 0, done.stderr
    assert list(Path("experiments/Demo-SegNAFNet/tb_logger").iterdir())


def test_an_output_folder_that_cannot_be_written_is_named(workplace):
    (workplace / "experiments").write_text("a file where the folder should be")
    done = command("train.py", "-opt", "options/train/Demo/NAFNet.yml", "--set", *QUICK)
    assert done.returncode == 1
    assert "experiments" in done.stderr and "Traceback" not in done.stderr
    assert (workplace / "experiments").read_text() == "a file where the folder should be"


def test_weights_of_another_network_are_one_line(workplace):
    train("NAFNet", "train.total_iter=1")
    start = "path.pretrain_network_g=experiments/Demo-NAFNet/models/net_g_latest.pth"
    with pytest.raises(
        UserError, match=r"net_g_latest.pth: its weights are not those of SegNAFNet: 4 missing"
    ):
        test("SegNAFNet", start)

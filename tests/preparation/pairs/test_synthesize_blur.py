"""Runs that blur photos: what they write, and that pairs depend on seed, name and number alone."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from basicsr.data.paired import PairedImageGroupMaskDataset
from basicsr.masks import read_label_map, write_label_map
from basicsr.preparation.pairs.moving_objects import Instances, choose, decode_objects, usable_map
from basicsr.preparation.pairs.synthesize_blur import SynthesisJob, read_pair_records, synthesize_blur
from basicsr.synthesis import PRESETS, Preset
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png

RULES = msgspec.structs.replace(
    PRESETS["realistic"],
    kernel_size=17,
    focal_length=200.0,
    object_extent=(2.0, 8.0),
    objects=(1, 3),
    min_object_area=100,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos with label maps, one of them in a subfolder."""
    generator = np.random.default_rng(0)
    for key in ("a", "b", "c/d"):
        noise = generator.integers(0, 256, (8, 9, 3)).astype(np.uint8)
        write_png(tmp_path / f"sharp/{key}.png", noise.repeat(8, 0).repeat(8, 1))
        labels = generator.integers(0, 5, (4, 3)).repeat(16, 0).repeat(24, 1)
        write_label_map(tmp_path / f"labels/{key}.png", labels)
    return tmp_path


def job(folder: Path, output: str = "out", **changes) -> SynthesisJob:
    options = {"labels": folder / "labels", "copies": 2, "workers": 1, **changes}
    return SynthesisJob(folder / "sharp", folder / output, options.pop("rules", RULES), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_four_workers_give_the_same_bytes_as_one(folder):
    synthesize_blur(job(folder, "alone"))
    synthesize_blur(job(folder, "spread", workers=4))
    alone = contents(folder / "alone")
    assert alone == contents(folder / "spread")
    assert len(alone) == 3 * 2 * 3 + 2, "three kinds of files of six pairs, manifest.json and params.jsonl"


def test_a_pair_depends_on_seed_name_and_number_alone(folder):
    synthesize_blur(job(folder, "all"))
    (folder / "sharp/a.png").unlink()
    synthesize_blur(job(folder, "fewer", copies=1))
    synthesize_blur(job(folder, "other", seed=1))
    everything, fewer, other = (contents(folder / name) for name in ("all", "fewer", "other"))
    assert fewer["input/b_0.png"] == everything["input/b_0.png"]
    assert fewer["input/c/d_0.png"] == everything["input/c/d_0.png"]
    assert other["input/b_0.png"] != everything["input/b_0.png"]
    assert everything["input/b_0.png"] != everything["input/b_1.png"]


def test_pairs_are_read_by_the_data_set_and_recorded(folder):
    counts = synthesize_blur(job(folder))
    assert (counts.made, counts.kept) == (6, 0)
    roots = {"gt": "target", "lq": "input", "mask": "grouped_masks"}
    dataset = PairedImageGroupMaskDataset(
        **{f"dataroot_{role}": str(folder / "out" / name) for role, name in roots.items()}
    )
    assert dataset.keys == ["a_0", "a_1", "b_0", "b_1", "c/d_0", "c/d_1"]
    sample = dataset[4]
    assert sample["gt"].shape == sample["lq"].shape == (3, 48, 56)
    labels = read_label_map(folder / "labels/c/d.png")
    assert np.array_equal(sample["labels"].numpy(), labels[8:-8, 8:-8])
    records = read_pair_records(folder / "out")
    assert set(records) == set(dataset.keys)
    draw = records["c/d_0"].draw
    moved = [motion.region for motion in draw.motions]
    assert moved[0] is None and set(moved[1:]) <= set(np.unique(labels)) and 2 <= len(moved) <= 4
    assert draw.jpeg is not None and draw.full_well is not None


def test_a_second_run_makes_only_what_is_missing_or_damaged(folder):
    synthesize_blur(job(folder))
    before = contents(folder / "out")
    (folder / "out/input/a_1.png").unlink()
    (folder / "out/target/b_0.png").write_bytes(b"cut")
    with (folder / "out/params.jsonl").open("ab") as file:
        file.write(b'{"name": "cut sh')
    counts = synthesize_blur(job(folder))
    assert (counts.made, counts.kept) == (2, 4)
    after = contents(folder / "out")
    del before["params.jsonl"], after["params.jsonl"]
    assert after == before
    assert synthesize_blur(job(folder, copies=3)).made == 3, "more copies go on"
    write_png(folder / "sharp/a.png", np.zeros((64, 72, 3), np.uint8))
    assert synthesize_blur(job(folder, copies=3)).made == 3, "the photo changed"


def test_changed_rules_are_refused_and_overwritten_on_request(folder):
    synthesize_blur(job(folder))
    other = msgspec.structs.replace(RULES, jpeg=None)
    with pytest.raises(UserError, match=r"made with other parameters \(rules.jpeg: \[85, 100\]"):
        synthesize_blur(job(folder, rules=other))
    with pytest.raises(UserError, match="seed: 0 -> 5"):
        synthesize_blur(job(folder, seed=5))
    before = contents(folder / "out")
    assert synthesize_blur(job(folder, rules=other, overwrite=True)).made == 6
    assert contents(folder / "out")["input/a_0.png"] != before["input/a_0.png"]
    (folder / "mine/input").mkdir(parents=True)
    (folder / "mine/input/a_0.png").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"mine/input/a_0.png: exists already"):
        synthesize_blur(job(folder, "mine"))


def test_masks_of_another_image_are_refused_by_size(folder):
    write_label_map(folder / "labels/b.png", np.ones((64, 71), np.int32))
    with pytest.raises(UserError) as error:
        synthesize_blur(job(folder))
    assert "1 of 3" in str(error.value)
    assert "labels/b.png: has 71x64 pixels" in str(error.value) and "b.png 72x64" in str(error.value)
    assert len(list((folder / "out/input").rglob("*.png"))) == 4, "the others are made"


def test_broken_and_small_photos_and_missing_masks_are_named(folder):
    write_png(folder / "sharp/a.png", np.zeros((16, 40, 3), np.uint8))
    (folder / "sharp/b.png").write_bytes(b"hello")
    with pytest.raises(UserError) as error:
        synthesize_blur(job(folder))
    assert "2 of 3" in str(error.value)
    assert "a.png: has 40x16 pixels, the kernels 17x17" in str(error.value)
    assert "b.png: not an image" in str(error.value)
    (folder / "labels/a.png").unlink()
    with pytest.raises(UserError, match="labels lacks 1 of .*sharp: a"):
        synthesize_blur(job(folder))


def test_without_regions_all_of_a_photo_moves_alike(folder):
    synthesize_blur(job(folder, labels=None))
    assert not (folder / "out/grouped_masks").exists()
    assert all(len(record.draw.motions) == 1 for record in read_pair_records(folder / "out").values())


def test_regions_can_be_found_by_the_graph_segmenter(folder):
    synthesize_blur(job(folder, labels=None, segment=True, copies=1))
    assert read_label_map(folder / "out/grouped_masks/a_0.png").shape == (48, 56)
    assert any(len(record.draw.motions) > 1 for record in read_pair_records(folder / "out").values())


def instances(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_detectron2_instances_keep_the_published_rules_of_score_and_area():
    masks = np.zeros((4, 80, 90), bool)
    masks[0, :70, :70] = masks[1, 5:75, 5:75] = masks[2, :80, :80] = masks[3, :5, :5] = True
    scores = np.array([0.95, 0.99, 0.5, 0.999])
    found = decode_objects(instances(pred_masks=masks, scores=scores, pred_classes=np.zeros(4)), "x.npz")
    assert isinstance(found, Instances)
    labels = usable_map(found, PRESETS["sbdd"])
    assert np.array_equal(labels > 0, masks[0] | masks[1]), "one is unsure, one is small"
    numbers, planes = choose(found, labels, PRESETS["sbdd"], np.random.default_rng(0))
    assert numbers == [1, 0] and np.array_equal(planes, masks[[1, 0]]), "they overlap, as published"
    rules: Preset = msgspec.structs.replace(PRESETS["realistic"], objects=(2, 2), max_object_share=1.0)
    _, exclusive = choose(found, labels, rules, np.random.default_rng(0))
    assert exclusive.any() and exclusive.sum(0).max() == 1
    with pytest.raises(UserError, match=r"x.npz: 4 instances need as many 'scores', found none"):
        decode_objects(instances(pred_masks=masks), "x.npz")
    stack = instances(masks=masks[:, None])
    assert not isinstance(decode_objects(stack, "x.npz"), Instances), "SAM-Deblur's stacks are no instances"
    with pytest.raises(UserError, match=r"x.npz: damaged .npz"):
        decode_objects(stack[:50], "x.npz")
    harmed = bytearray(instances(pred_masks=masks, scores=scores))
    harmed[harmed.index(b"scores.npy") + 200] ^= 1
    with pytest.raises(UserError, match=r"x.npz: damaged .npz file \(.*scores.npy"):
        decode_objects(bytes(harmed), "x.npz")


def test_the_command_runs_and_fails_with_code_1(folder, run_script):
    flags = [
        "--sharp", str(folder / "sharp"), "--out", str(folder / "out"), "--uniform", "--n", "1",
        "--workers", "1", "--exposure", "0.01", "0.02",
    ]  # fmt: skip
    for photo in (folder / "sharp").rglob("*.png"):
        write_png(photo, read_rgb(photo).repeat(2, 0).repeat(2, 1))
    command = partial(run_script, "data_preparation/synthesize_blur.py", *flags)
    done = command()
    assert done.returncode == 0, done.stderr
    assert "3 pairs made, 0 there already" in done.stderr + done.stdout
    assert read_rgb(folder / "out/input/a_0.png").shape == (64, 80, 3)
    (folder / "sharp/b.png").write_bytes(b"hello")
    again = command()
    assert again.returncode == 1
    assert "b.png: not an image" in again.stderr and "Traceback" not in again.stderr

"""Pairs filmed of photos: what they depend on, and that what is there is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from basicsr.masks import read_label_map, write_label_map
from basicsr.preparation.pairs.film_photos import FilmJob, film_photos
from basicsr.synthesis import ClipRules
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png


@pytest.fixture
def job(tmp_path: Path) -> FilmJob:
    for name in ("a", "b/c"):
        photo = np.random.default_rng(len(name)).integers(0, 256, (90, 100, 3)).astype(np.uint8)
        write_png(tmp_path / f"photos/{name}.png", photo)
    return FilmJob(tmp_path / "photos", tmp_path / "pairs", ClipRules(extent=(4, 8)), copies=2, workers=1)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_each_photo_gets_its_pairs_and_a_second_run_makes_what_is_missing(job):
    assert film_photos(job) == 4
    made = files(job.output)
    names = ("a_0", "a_1", "b/c_0", "b/c_1")
    assert set(made) == {f"{field}/{name}.png" for field in ("input", "target") for name in names}
    assert len(set(made.values())) == 8
    assert read_rgb(job.output / "input/a_0.png").shape == (26, 36, 3)
    (job.output / "target/b/c_1.png").unlink()
    assert film_photos(job) == 1
    assert film_photos(job) == 0
    assert files(job.output) == made


def test_a_pair_depends_on_its_photo_its_number_and_the_seed_alone(job, tmp_path):
    film_photos(job)
    (tmp_path / "photos/a.png").unlink()
    other = dataclasses.replace(job, output=tmp_path / "others", copies=3, workers=2)
    assert film_photos(other) == 3
    made, before = files(other.output), files(job.output)
    for name in ("input/b/c_1.png", "target/b/c_1.png"):
        assert made[name] == before[name]
    seeded = dataclasses.replace(job, output=tmp_path / "seeded", seed=1)
    film_photos(seeded)
    assert files(seeded.output)["input/b/c_1.png"] != before["input/b/c_1.png"]


def test_other_rules_stop_unless_all_is_made_again(job):
    film_photos(job)
    changed = dataclasses.replace(job, rules=ClipRules(extent=(1, 2)))
    with pytest.raises(UserError, match="made with other parameters .*--overwrite"):
        film_photos(changed)
    assert film_photos(dataclasses.replace(changed, overwrite=True)) == 4


def test_a_photo_that_is_too_small_is_named_at_the_end(job, tmp_path):
    write_png(tmp_path / "photos/small.png", np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(UserError, match=r"small\.png: a photo of 80x60 has nothing inside .*; leave it out"):
        film_photos(job)
    assert len(files(job.output)) == 8


def test_clips_are_the_frames_that_a_pair_would_be_made_of(job):
    film_photos(job)
    rules = ClipRules(extent=(4, 8), frames=(7, 7))
    clips = dataclasses.replace(job, output=job.output.parent / "clips", rules=rules, clips=True)
    pairs = dataclasses.replace(job, output=job.output.parent / "seven", rules=rules)
    assert film_photos(clips) == 4 and film_photos(clips) == 0 and film_photos(pairs) == 4
    frames = sorted((clips.output / "b/c_1").iterdir())
    assert [path.name for path in frames] == [f"{number:04d}.png" for number in range(1, 8)]
    assert np.array_equal(read_rgb(frames[3]), read_rgb(pairs.output / "target/b/c_1.png"))
    with pytest.raises(UserError, match="clips need one number of frames"):
        dataclasses.replace(clips, rules=ClipRules())


def test_a_label_map_is_cut_like_its_target(job, tmp_path):
    labels = {}
    for name in ("a", "b/c"):
        labels[name] = np.random.default_rng(len(name)).integers(0, 9, (90, 100)).astype(np.int32)
        write_label_map(tmp_path / f"labels/{name}.png", labels[name])
    labelled = dataclasses.replace(job, labels=tmp_path / "labels", output=tmp_path / "labelled")
    assert film_photos(labelled) == 4 and film_photos(labelled) == 0
    for name in ("a_0", "a_1", "b/c_1"):
        cut = read_label_map(labelled.output / f"grouped_masks/{name}.png")
        assert np.array_equal(cut, labels[name[:-2]][32:-32, 32:-32])
    film_photos(job)
    assert {name: data for name, data in files(labelled.output).items() if "masks" not in name} == files(
        job.output
    )
    write_label_map(tmp_path / "labels/a.png", labels["a"][:80])
    with pytest.raises(UserError, match=r"labels/a\.png: has 100x80 pixels, .*a\.png 100x90"):
        film_photos(dataclasses.replace(labelled, overwrite=True))
    with pytest.raises(UserError, match="clips have no label maps"):
        dataclasses.replace(labelled, rules=ClipRules(frames=(7, 7)), clips=True)

"""The command for RealBlur's protocol: pairing, columns, files, refusals."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

from basicsr.metrics import calculate_psnr
from basicsr.metrics.alignment import aligned_scores
from basicsr.protocols.aligned import evaluate_aligned
from basicsr.protocols.job import EvaluationJob
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png

KEYS = ("scene1/a", "scene1/b", "scene2/a")
COLUMNS = ("psnr_aligned", "ssim_aligned", "blurry_psnr_aligned", "blurry_ssim_aligned", "blurry_psnr")


@pytest.fixture
def job(tmp_path) -> EvaluationJob:
    """Three scenes of 64x80: sharp, restored two pixels away, blurry one pixel away; paired by path."""
    for number, key in enumerate(KEYS):
        scene = cv2.GaussianBlur(np.random.default_rng(number).uniform(0, 255, (80, 96, 3)), (0, 0), 2)
        scene = ((scene - scene.min()) / np.ptp(scene) * 220 + 10).round().astype(np.uint8)
        soft = cv2.GaussianBlur(scene, (0, 0), 1)
        images = {
            "sharp": scene[8:72, 8:88],
            "restored": soft[10:74, 8:88],
            "blurry": cv2.blur(soft, (7, 1))[8:72, 9:89],
        }
        for kind, image in images.items():
            write_png(tmp_path / kind / f"{key}.png", np.ascontiguousarray(image))
    folders = (tmp_path / kind for kind in ("blurry", "restored", "sharp"))
    return EvaluationJob(*folders, tmp_path / "out", workers=1)


def read(job: EvaluationJob, kind: str, key: str) -> np.ndarray:
    return read_rgb(getattr(job, kind) / f"{key}.png")


def test_rows_are_the_metrics_of_the_images_of_one_name(job):
    evaluation = evaluate_aligned(job)
    assert [row["key"] for row in evaluation.rows] == list(KEYS)
    for row in evaluation.rows:
        sharp = read(job, "sharp", row["key"])
        restored, blurry = (read(job, kind, row["key"]) for kind in ("restored", "blurry"))
        expected = (*aligned_scores(restored, sharp), *aligned_scores(blurry, sharp))
        assert [row[name] for name in COLUMNS[:4]] == pytest.approx(expected, abs=1e-4)
        assert row["blurry_psnr"] == pytest.approx(calculate_psnr(blurry, sharp), abs=1e-4)
        assert row["psnr_aligned"] > calculate_psnr(restored, sharp) + 3, "alignment matters here"
        assert row["psnr_aligned"] > row["blurry_psnr_aligned"] > row["blurry_psnr"]


def test_files(job):
    evaluation = evaluate_aligned(job)
    content = json.loads((job.output / "metrics.json").read_text())["aligned"]
    assert content["images"] == evaluation.rows
    for name in COLUMNS:
        assert content["mean"][name] == pytest.approx(np.mean([row[name] for row in evaluation.rows]))
    rows = list(csv.DictReader((job.output / "metrics.csv").open()))
    assert [row["key"] for row in rows] == list(KEYS)
    assert float(rows[1]["ssim_aligned"]) == evaluation.rows[1]["ssim_aligned"]
    for key in KEYS:
        picture = read_rgb(job.output / "visualization" / f"{key}.png")
        assert picture.shape[1] == 3 * 80 + 2 * 6 and picture.shape[0] > 64
        np.testing.assert_array_equal(picture[-64:, :80], read(job, "blurry", key))
        np.testing.assert_array_equal(picture[-64:, -80:], read(job, "sharp", key))


def test_processes_change_nothing(job, tmp_path):
    alone = evaluate_aligned(EvaluationJob(job.blurry, job.restored, job.sharp, job.output, False, workers=1))
    assert not (job.output / "visualization").exists()
    there = tmp_path / "two"
    two = evaluate_aligned(EvaluationJob(job.blurry, job.restored, job.sharp, there, False, workers=2))
    assert two == alone


def test_results_are_only_replaced_on_demand(job):
    evaluate_aligned(job)
    with pytest.raises(UserError, match="metrics.json: exists already; .* --overwrite"):
        evaluate_aligned(job)
    again = EvaluationJob(job.blurry, job.restored, job.sharp, job.output, overwrite=True, workers=1)
    assert len(evaluate_aligned(again).rows) == len(KEYS)


def test_16_bit_images_are_judged_in_their_depth(job):
    before = evaluate_aligned(job).rows[0]
    for kind in ("blurry", "restored", "sharp"):
        path = getattr(job, kind) / f"{KEYS[0]}.png"
        write_png(path, read_rgb(path).astype(np.uint16) * 257)
    again = EvaluationJob(job.blurry, job.restored, job.sharp, job.output, overwrite=True, workers=1)
    after = evaluate_aligned(again).rows[0]
    assert [after[name] for name in COLUMNS] == pytest.approx([before[name] for name in COLUMNS], abs=1e-5)


class TestRefused:
    @pytest.mark.parametrize("kind", ["restored", "blurry", "sharp"])
    def test_images_without_a_partner_are_named(self, job, kind):
        (getattr(job, kind) / "scene2" / "a.png").unlink()
        with pytest.raises(UserError, match=rf"do not pair by name: .*{kind} lacks 1 of .*: scene2/a"):
            evaluate_aligned(job)
        assert not job.output.exists()

    def test_sizes_that_differ_and_broken_files_are_named_and_no_mean_is_written(self, job):
        path = job.restored / "scene1" / "a.png"
        write_png(path, read_rgb(path)[1:])
        (job.blurry / "scene2" / "a.png").write_bytes(b"")
        with pytest.raises(UserError) as caught:
            evaluate_aligned(job)
        assert "2 of 3" in str(caught.value)
        assert "restored/scene1/a.png: has 80x63 pixels, the sharp one 80x64" in str(caught.value)
        assert "blurry/scene2/a.png: not an image" in str(caught.value)
        assert not (job.output / "metrics.json").exists()

    def test_images_smaller_than_the_window(self, tmp_path):
        for kind in ("blurry", "restored", "sharp"):
            image = np.random.default_rng(0).integers(0, 256, (10, 40, 3), dtype=np.uint8)
            write_png(tmp_path / kind / "a.png", image)
        folders = (tmp_path / kind for kind in ("blurry", "restored", "sharp"))
        with pytest.raises(UserError, match="sharp/a.png: aligned SSIM needs at least 11x11"):
            evaluate_aligned(EvaluationJob(*folders, tmp_path / "out", workers=1))


def test_the_command(job, run_script):
    folders = ["-b", job.blurry, "-r", job.restored, "-s", job.sharp, "-o", job.output]
    words = (*folders, "--workers", 1, "--no_pictures")
    first, second = (run_script("evaluate_aligned.py", *words) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "psnr_aligned" in first.stdout
    assert second.returncode == 1
    assert second.stderr.startswith("error: ") and "metrics.json: exists already" in second.stderr

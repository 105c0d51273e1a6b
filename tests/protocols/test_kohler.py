"""The command for the set of Köhler et al.: the best frame counts, and what ground truth is accepted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from basicsr.metrics import calculate_psnr
from basicsr.metrics.alignment import aligned_scores
from basicsr.protocols.job import EvaluationJob
from basicsr.protocols.kohler import evaluate_kohler
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png

BEST = 2


def frames_of(seed: int) -> np.ndarray:
    """(48, 56, 3, 4): one scene, softer or sharper from frame to frame; `BEST` is the sharpest."""
    scene = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (48, 56, 3)), (0, 0), 1.5)
    scene = (scene - scene.min()) / np.ptp(scene) * 220 + 10
    softened = [cv2.GaussianBlur(scene, (0, 0), sigma) for sigma in (2.0, 1.2, 0.1, 1.6)]
    return np.stack(softened, axis=-1).round().astype(np.uint8)


@pytest.fixture
def job(tmp_path) -> EvaluationJob:
    """Two images as they are published: ``Blurry1_1.png`` belongs to ``GroundTruth1_1.mat``."""
    for seed, name in enumerate(("1_1", "1_2")):
        frames = frames_of(seed)
        (tmp_path / "sharp").mkdir(exist_ok=True)
        savemat(tmp_path / "sharp" / f"GroundTruth{name}.mat", {"GroundTruth": frames})
        noise = np.random.default_rng(9).normal(0, 3, frames.shape[:3])
        restored = (frames[..., BEST] + noise).clip(0, 255).round().astype(np.uint8)
        write_png(tmp_path / "restored" / f"Blurry{name}.png", restored)
        write_png(tmp_path / "blurry" / f"Blurry{name}.png", cv2.blur(frames[..., BEST].copy(), (9, 3)))
    folders = (tmp_path / kind for kind in ("blurry", "restored", "sharp"))
    return EvaluationJob(*folders, tmp_path / "out", workers=1)


def test_the_best_frame_counts(job):
    evaluation = evaluate_kohler(job)
    for seed, row in enumerate(evaluation.rows):
        frames = frames_of(seed)
        restored, blurry = (read_rgb(folder / f"{row['key']}.png") for folder in (job.restored, job.blurry))
        scores = [aligned_scores(restored, np.ascontiguousarray(frames[..., n])) for n in range(4)]
        best = max(scores)
        assert scores.index(best) == BEST
        assert (row["psnr_aligned"], row["ssim_aligned"]) == pytest.approx(best, abs=1e-3)
        expected = calculate_psnr(blurry, np.ascontiguousarray(frames[..., BEST]))
        assert row["blurry_psnr"] == pytest.approx(expected, abs=1e-4)
        picture = read_rgb(job.output / "visualization" / f"{row['key']}.png")
        np.testing.assert_array_equal(picture[-48:, -56:], frames[..., BEST])


def test_frames_that_match_too_well_are_left_out(job):
    """The restored image is one of the frames: with that one it scores far above 60 dB."""
    frames = frames_of(0)
    write_png(job.restored / "Blurry1_1.png", np.ascontiguousarray(frames[..., 1]))
    row = evaluate_kohler(job).rows[0]
    others = [
        aligned_scores(np.ascontiguousarray(frames[..., 1]), np.ascontiguousarray(frames[..., n]))
        for n in (0, 2, 3)
    ]
    assert row["psnr_aligned"] == pytest.approx(max(others).psnr, abs=1e-3)
    assert row["psnr_aligned"] < 60


def test_ground_truth_of_the_same_name_is_found(job):
    for name in ("1_1", "1_2"):
        (job.sharp / f"GroundTruth{name}.mat").rename(job.sharp / f"Blurry{name}.mat")
    assert len(evaluate_kohler(job).rows) == 2


def test_images_of_another_size_are_resized(job):
    path = job.restored / "Blurry1_1.png"
    expected = evaluate_kohler(job).rows[0]["psnr_aligned"]
    write_png(path, cv2.resize(read_rgb(path), (112, 96), interpolation=cv2.INTER_NEAREST))
    row = evaluate_kohler(replace(job, overwrite=True)).rows[0]
    assert row["psnr_aligned"] == pytest.approx(expected, abs=1)


def test_floating_point_ground_truth_of_the_same_values_scores_the_same(job):
    expected = evaluate_kohler(job).rows
    for seed, name in enumerate(("1_1", "1_2")):
        savemat(job.sharp / f"GroundTruth{name}.mat", {"GroundTruth": frames_of(seed).astype(float)})
    assert evaluate_kohler(replace(job, overwrite=True)).rows == expected


class TestRefused:
    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"Other": np.zeros((4, 4))}, "expected the variable 'GroundTruth', found Other"),
            (
                {"GroundTruth": np.zeros((4, 4, 3))},
                r"expected frames \(H, W, 3, N\), found float64 \(4, 4, 3\)",
            ),
            ({"GroundTruth": np.full((48, 56, 3, 2), 0.5)}, "expected values in 0..255, the greatest is 0.5"),
        ],
    )
    def test_other_contents(self, job, variables, message):
        savemat(job.sharp / "GroundTruth1_2.mat", variables)
        with pytest.raises(UserError, match=rf"1 of 2 .*\n.*GroundTruth1_2.mat: {message}"):
            evaluate_kohler(job)
        assert not (job.output / "metrics.json").exists()

    def test_files_of_version_7_3(self, job):
        header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
        (job.sharp / "GroundTruth1_1.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n")
        with pytest.raises(UserError, match="GroundTruth1_1.mat: is of version 7.3 .*, '-v7'"):
            evaluate_kohler(job)

    def test_damaged_files(self, job):
        (job.sharp / "GroundTruth1_1.mat").write_bytes(b"not a file of MATLAB")
        with pytest.raises(UserError, match="GroundTruth1_1.mat: cannot be read as .mat"):
            evaluate_kohler(job)

    def test_images_without_ground_truth_or_result(self, job):
        (job.sharp / "GroundTruth1_2.mat").unlink()
        with pytest.raises(UserError, match="sharp lacks 1 of .*: GroundTruth1_2"):
            evaluate_kohler(job)
        (job.restored / "Blurry1_1.png").unlink()
        with pytest.raises(UserError, match="restored lacks 1 of .*: Blurry1_1"):
            evaluate_kohler(job)

    def test_a_result_that_is_the_ground_truth(self, job):
        frames = frames_of(0)[..., :1]
        savemat(job.sharp / "GroundTruth1_1.mat", {"GroundTruth": frames})
        write_png(job.restored / "Blurry1_1.png", np.ascontiguousarray(frames[..., 0]))
        with pytest.raises(UserError, match="Blurry1_1.png: matches every frame with 60 dB or more"):
            evaluate_kohler(job)


def test_the_command(job, run_script):
    folders = ["-b", job.blurry, "-r", job.restored, "-s", job.sharp, "-o", job.output]
    result = run_script("evaluate_kohler.py", *folders, "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert "psnr_aligned" in result.stdout

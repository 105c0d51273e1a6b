"""`Sam` against the package segment-anything itself, on networks that are small enough for a test."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from basicsr.masks import from_stack
from basicsr.segmenters.base import as_seen
from basicsr.segmenters.everything import Everything, Options
from basicsr.segmenters.painting import paint
from basicsr.segmenters.sam import OFFICIAL_FILES, Sam, SamDecoder
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import SEGMENTERS

package = pytest.importorskip("segment_anything")
modeling = pytest.importorskip("segment_anything.modeling")

SIDE = 256  # of the square that the networks here see; SAM's is 1024
PIXELS = {"pixel_mean": [123.675, 116.28, 103.53], "pixel_std": [58.395, 57.12, 57.375]}


def random_sam(seed: int):
    """SAM's architecture with random weights, narrow and shallow."""
    torch.manual_seed(seed)
    network = modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            img_size=SIDE, embed_dim=32, depth=2, num_heads=2, out_chans=32, use_rel_pos=True,
            window_size=7, global_attn_indexes=(1,), norm_layer=partial(nn.LayerNorm, eps=1e-6),
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=32, image_embedding_size=(SIDE // 16,) * 2, input_image_size=(SIDE,) * 2,
            mask_in_chans=16,
        ),
        mask_decoder=modeling.MaskDecoder(
            transformer_dim=32,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=2),
        ),
        **PIXELS,
    )  # fmt: skip
    # Spread the answers: as initialized, all points get nearly the same mask.
    for name, parameter in network.named_parameters():
        if any(part in name for part in ("hypernetworks", "point_embeddings", "iou_prediction")):
            parameter.data.mul_(3)
    network.mask_threshold = 0.8  # above most of the logits: masks that do not fill the photo
    return network.eval()


class KnownEncoder(nn.Module):
    img_size = SIDE

    def forward(self, image):
        return image


class KnownPrompts(nn.Module):
    mask_input_size = (SIDE // 4, SIDE // 4)

    def get_dense_pe(self):
        return torch.zeros(())

    def forward(self, points, boxes, masks):
        return points[0], torch.zeros(())


class KnownDecoder(nn.Module):
    """Answers a point with the region of its color, with that and its neighbors in hue, and with a blurred
    version of it; the logits fall off smoothly, the quality differs from region to region.
    """

    def forward(
        self,
        image_embeddings,
        image_pe,
        sparse_prompt_embeddings,
        dense_prompt_embeddings,
        multimask_output,
    ):
        small = nn.functional.avg_pool2d(image_embeddings, 4)
        place = sparse_prompt_embeddings[:, 0].long().clamp(max=SIDE - 1)
        color = image_embeddings[0][:, place[:, 1], place[:, 0]].T
        distance = (small - color[:, :, None, None]).norm(dim=1)
        part, whole = 6 - 30 * distance, 6 - 6 * distance
        blurred = nn.functional.avg_pool2d(part[:, None].clamp(-4, 4), 9, 1, 4)[:, 0]
        quality = 0.76 + 0.2 * color.sum(1, keepdim=True).sin()
        return torch.stack([part, whole, blurred], 1), quality + torch.tensor([0.02, 0.0, -0.02])


def known_sam():
    """SAM's interface around a known segmentation: the regions are the colors of the photo."""
    return modeling.Sam(KnownEncoder(), KnownPrompts(), KnownDecoder(), **PIXELS).eval()


def regions_photo(height: int, width: int, seed: int = 0):
    """A photo (H, W, 3) of flat, wavy regions with specks and holes, and its region of each pixel."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    rows = rows + 6 * np.sin(columns / 17)
    columns = columns + 6 * np.sin(rows / 13)
    index = (rows // (height / 4)).astype(int) * 5 + (columns // (width / 5)).astype(int)
    index -= index.min()
    for _ in range(30):
        y, x = generator.integers(0, height), generator.integers(0, width)
        index[y : y + 5, x : x + 5] = generator.integers(0, 20)
    return generator.integers(0, 256, (index.max() + 1, 3), dtype=np.uint8)[index], index


def library_masks(network, photo, options: Options, points_per_batch: int = 64) -> np.ndarray:
    generator = package.SamAutomaticMaskGenerator(
        network, points_per_batch=points_per_batch, **asdict(options)
    )
    records = generator.generate(photo)
    return np.stack([record["segmentation"] for record in records])


def assert_same(ours: np.ndarray, library: np.ndarray) -> None:
    """As many, in the same order, and each with an IoU of at least 0.99."""
    assert ours.dtype == np.bool_
    assert ours.shape == library.shape
    for mine, theirs in zip(ours, library, strict=True):
        assert (mine & theirs).sum() >= 0.99 * (mine | theirs).sum()


NETWORKS = {"random": lambda: random_sam(0), "known": known_sam}
LOOSE = {
    # A random network's logits are small and its quality means nothing.
    "random": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.6, "stability_score_offset": 0.01},
    "known": {"pred_iou_thresh": 0.66, "stability_score_thresh": 0.8},
}
VARIANTS = {
    "plain": {},
    "all accepted": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 0.95},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "small regions": {"min_mask_region_area": 60},
    "crops and small regions": {"crop_n_layers": 1, "min_mask_region_area": 60, "crop_nms_thresh": 0.6},
}


CASES = [(variant, 144, 256) for variant in VARIANTS] + [("plain", 301, 200), ("crops", 64, 64)]


@pytest.mark.parametrize(("variant", "height", "width"), CASES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_masks_and_their_order_are_those_of_the_library(kind, variant, height, width):
    network = NETWORKS[kind]()
    photo, _ = regions_photo(height, width)
    options = Options(**{"points_per_side": 8} | LOOSE[kind] | VARIANTS[variant])
    library = library_masks(network, photo, options)
    assert len(library) >= 5
    assert_same(Everything(SamDecoder(network), options).masks(photo).numpy(), library)


def test_the_filters_drop_the_same_masks():
    """Each filter does drop some, so the comparison above is not of everything with everything."""
    photo, _ = regions_photo(144, 256)
    network = known_sam()
    loose = {"points_per_side": 10, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    numbers = []
    for strict in ({}, {"pred_iou_thresh": 0.76}, {"stability_score_thresh": 0.9}, {"box_nms_thresh": 0.2}):
        options = Options(**loose | strict)
        library = library_masks(network, photo, options)
        assert_same(Everything(SamDecoder(network), options).masks(photo).numpy(), library)
        numbers.append(len(library))
    assert numbers[0] > max(numbers[1:])
    assert min(numbers) > 0


def test_known_regions_are_found():
    photo, index = regions_photo(180, 320)
    accept_all = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    options = Options(points_per_side=16, **accept_all)
    masks = Everything(SamDecoder(known_sam()), options).masks(photo).numpy()
    large = [index == region for region in np.unique(index) if (index == region).sum() > 1500]
    assert len(large) >= 15
    for region in large:
        # a small logit spans five pixels of the photo, which rounds outlines
        assert max((mask & region).sum() / (mask | region).sum() for mask in masks) > 0.6


def test_nothing_found_is_no_masks():
    options = Options(points_per_side=4, pred_iou_thresh=1.0)
    masks = Everything(SamDecoder(known_sam()), options).masks(regions_photo(40, 60)[0])
    assert masks.shape == (0, 40, 60)
    assert not paint(masks, "exact", "x").any()


def test_bf16_still_finds_the_known_regions():
    photo, _ = regions_photo(144, 256)
    options = Options(points_per_side=10, **LOOSE["known"])
    exact = Everything(SamDecoder(known_sam()), options).masks(photo).numpy()
    rounded = Everything(SamDecoder(known_sam(), "bf16"), options).masks(photo).numpy()
    overlaps = (exact[:, None] & rounded).sum((2, 3)) / (exact[:, None] | rounded).sum((2, 3))
    assert (overlaps.max(1) > 0.9).mean() > 0.9


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_encoder_finds_the_same_masks():
    photo, _ = regions_photo(144, 256)
    options = Options(points_per_side=8, **LOOSE["random"])
    plain = Everything(SamDecoder(random_sam(0)), options).masks(photo).numpy()
    compiled = Everything(SamDecoder(random_sam(0), compile=True), options).masks(photo).numpy()
    assert_same(compiled, plain)


@pytest.fixture
def small_sam(tmp_path, monkeypatch):
    """`Sam` on a checkpoint of the narrow network, registered where the package keeps its models."""
    monkeypatch.setitem(package.sam_model_registry, "vit_b", lambda: random_sam(1))
    monkeypatch.setitem(__import__("basicsr.segmenters.sam", fromlist=["x"])._WIDTHS, 32, "vit_b")
    path = tmp_path / "small.pth"
    torch.save(random_sam(0).state_dict(), path)
    options = {"points_per_side": 8, **LOOSE["random"]}
    return Sam(str(path), "vit_b", device="cpu", **options)


def test_weights_come_from_the_checkpoint_and_facts_tell_which(small_sam):
    photo, _ = regions_photo(90, 160)
    expected = library_masks(random_sam(0), photo, Options(points_per_side=8, **LOOSE["random"]))
    assert_same(small_sam.masks(photo), expected)
    facts = small_sam.facts()
    assert facts["model"] == "vit_b"
    assert facts["points_per_side"] == 8
    assert len(facts["weights_sha256"]) == 64
    assert facts == small_sam.facts()


def test_labels_follow_the_overlap_rule_and_channels_are_taken_as_they_come(small_sam):
    photo, _ = regions_photo(90, 160)
    masks = small_sam.masks(photo)
    for rule in ("exact", "smallest_on_top", "published"):
        assert np.array_equal(small_sam.labels(photo, rule), from_stack(masks, rule))
    swapped = small_sam.labels(as_seen(photo, "published"), "published")
    assert not np.array_equal(swapped, from_stack(masks, "published"))


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)  # as if it were not there
    (tmp_path / "sam.pth").touch()
    with pytest.raises(UserError, match=r"pip install sam-deblur\[sam\]$") as error:
        Sam(str(tmp_path / "sam.pth"))
    assert one_line(error).startswith("segmenter sam needs the package 'segment_anything'")


def test_a_missing_checkpoint_names_the_official_file(tmp_path):
    with pytest.raises(UserError) as error:
        Sam(str(tmp_path / "none.pth"), "vit_l")
    assert "none.pth: no such checkpoint" in one_line(error)
    assert OFFICIAL_FILES["vit_l"] in one_line(error)
    with pytest.raises(UserError, match="^checkpoint: not given") as error:
        SEGMENTERS.build("Sam", {"model": "vit_b"})
    assert OFFICIAL_FILES["vit_b"] in one_line(error)


def test_weights_of_another_size_are_named(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 768)}, path)
    with pytest.raises(UserError, match="holds weights of vit_b, not vit_h; take model=vit_b, or "):
        Sam(str(path), "vit_h")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"params": torch.zeros(3)}, "holds no weights of SAM"),
        ([1, 2], "holds no weights of SAM"),
        (partial(print), "cannot be read as weights"),
    ],
)
def test_other_files_are_refused(tmp_path, contents, message):
    path = tmp_path / "other.pth"
    torch.save(contents, path)
    with pytest.raises(UserError, match=message) as error:
        Sam(str(path))
    assert OFFICIAL_FILES["vit_h"] in one_line(error)


def test_incomplete_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(package.sam_model_registry, "vit_b", lambda: random_sam(0))
    path = tmp_path / "cut.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 768)}, path)
    with pytest.raises(UserError, match="damaged or changed weights of vit_b") as error:
        Sam(str(path), "vit_b")
    one_line(error)


def test_an_unknown_device_is_named(small_sam, tmp_path):
    with pytest.raises(UserError, match="^device: PyTorch cannot use 'toaster' here"):
        Sam(str(tmp_path / "small.pth"), "vit_b", device="toaster")


def test_options_are_checked_by_name_and_range():
    with pytest.raises(OptionError) as error:
        SEGMENTERS.build("Sam", {"checkpoint": 3, "model": "vit_x", "pred_iou_thresh": 2})
    found = {line.partition(":")[0] for line in error.value.mistakes}
    assert found == {"checkpoint", "model", "pred_iou_thresh"}

"""`Transformers` on SAM's and SAM 2's architectures with random weights, narrow and shallow, offline."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from basicsr.masks import from_stack, read_label_map
from basicsr.preparation.masks.create import create_masks
from basicsr.preparation.masks.files import MaskJob
from basicsr.segmenters.base import as_seen
from basicsr.segmenters.hf_sam import Transformers
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import write_png
from basicsr.utils.registry import SEGMENTERS

INSTALLED = importlib.util.find_spec("transformers") is not None
needs_transformers = pytest.mark.skipif(not INSTALLED, reason="transformers is not installed here")
SIDE = 64  # of the square that the networks here see
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
# a random network's logits are small and its quality means nothing
ACCEPT_ALL = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crop_nms_thresh": 1.0}


def sam_configuration(package: Any) -> Any:
    return package.SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": SIDE, "patch_size": 8, "window_size": 4, "global_attn_indexes": [0],
            "num_pos_feats": 8, "initializer_range": 0.5,
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 4
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip


def save_sam(package: Any, folder: Path) -> None:
    package.SamModel(sam_configuration(package)).save_pretrained(folder)
    package.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": SIDE // 2},
        mask_pad_size={"height": SIDE // 2, "width": SIDE // 2},
    ).save_pretrained(folder)


def save_sam2(package: Any, folder: Path) -> None:
    backbone = package.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4], window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )  # fmt: skip
    vision = package.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=16,
    )  # fmt: skip
    configuration = package.Sam2Config(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": 16, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16, "attention_downsample_rate": 1,
        },
    )  # fmt: skip
    package.Sam2Model(configuration).save_pretrained(folder)
    package.Sam2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, mask_size={"height": SIDE // 4, "width": SIDE // 4}
    ).save_pretrained(folder)


@pytest.fixture(params=[save_sam, save_sam2])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    request.param(package, tmp_path / "model")
    return tmp_path / "model"


def build(folder: Path, **options: Any) -> Any:
    typed = {"model": str(folder), "points_per_side": 4, "device": "cpu", **options}
    return SEGMENTERS.build("Transformers", typed)


def test_each_point_gets_three_masks_which_the_thresholds_and_suppression_reduce(folder: Path):
    masks = build(folder, **ACCEPT_ALL).masks(PHOTO)
    assert masks.dtype == np.bool_
    assert masks.shape == (3 * 4 * 4, 40, 60)
    assert masks.any() and not masks.all()
    fewer = build(folder, **ACCEPT_ALL | {"points_per_side": 2, "points_per_batch": 3}).masks(PHOTO)
    assert len(fewer) == 3 * 2 * 2
    assert 0 < len(build(folder, **ACCEPT_ALL | {"crop_nms_thresh": 0.5}).masks(PHOTO)) < len(masks)
    assert build(folder, **ACCEPT_ALL | {"pred_iou_thresh": 1.0}).masks(PHOTO).shape == (0, 40, 60)


def test_labels_join_the_masks_and_channels_are_taken_as_they_come(folder: Path):
    segmenter = build(folder, **ACCEPT_ALL)
    masks = segmenter.masks(PHOTO)
    for rule in ("exact", "smallest_on_top", "published"):
        assert np.array_equal(segmenter.labels(PHOTO, rule), from_stack(masks, rule))
    assert not np.array_equal(segmenter.masks(as_seen(PHOTO, "published")), masks)


def test_facts_tell_the_weights(folder: Path):
    facts = build(folder).facts()
    assert facts == build(folder).facts()
    assert {"model": str(folder), "points_per_crop": 4, "pred_iou_thresh": 0.88}.items() <= facts.items()
    segmenter = build(folder)
    with torch.no_grad():
        next(segmenter._pipeline.model.parameters()).add_(1)
    assert segmenter.facts()["weights_sha256"] != facts["weights_sha256"]


def test_a_folder_of_photos_gets_its_label_maps(folder: Path, tmp_path: Path):
    write_png(tmp_path / "photos" / "clip" / "a.png", PHOTO)
    job = MaskJob(tmp_path / "photos", tmp_path / "out", "smallest_on_top")
    assert create_masks(job, lambda: build(folder, **ACCEPT_ALL), "transformers").made == 1
    expected = build(folder, **ACCEPT_ALL).labels(PHOTO, "smallest_on_top")
    assert expected.max() > 1
    assert np.array_equal(read_label_map(tmp_path / "out" / "clip" / "a.png"), expected)
    assert create_masks(job, lambda: build(folder, **ACCEPT_ALL), "transformers").kept == 1


def drop_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def replace_the_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "Error no file named"),
        (lambda folder: os.truncate(folder / "model.safetensors", 500), "Error while deserializing"),
        (drop_a_weight, "1 weights are missing, mask_decoder.iou_token.weight first"),
        (lambda folder: (folder / "config.json").write_text("{"), "Expecting property name"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "Can't load image processor"),
        (replace_the_model, "Unrecognized configuration class"),
    ],
)
def test_a_folder_without_a_whole_model_is_named(folder: Path, damage: Callable[[Path], Any], message: str):
    damage(folder)
    with pytest.raises(UserError, match=message) as error:
        build(folder)
    assert str(error.value).startswith(f"{folder}: ")
    assert str(error.value).endswith("check the model")
    assert "\n" not in str(error.value)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # as if it were not there
    with pytest.raises(UserError, match=r"pip install sam-deblur\[transformers\]$") as error:
        Transformers("some/folder")
    assert str(error.value).startswith("segmenter transformers needs the package 'transformers'")
    assert "\n" not in str(error.value)


@needs_transformers
def test_a_missing_model_is_not_downloaded_unless_asked(tmp_path):
    with pytest.raises(UserError, match="not a model for mask generation .*download=true$") as error:
        Transformers(str(tmp_path / "none"))
    assert "\n" not in str(error.value)


def test_the_model_is_required_and_options_have_ranges():
    with pytest.raises(OptionError) as error:
        SEGMENTERS.build("Transformers", {"pred_iou_thresh": 2, "points_per_side": 0})
    places = {line.partition(":")[0] for line in error.value.mistakes}
    assert places == {"model", "pred_iou_thresh", "points_per_side"}

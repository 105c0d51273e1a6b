from __future__ import annotations

import importlib.util

import pytest

from basicsr.segmenters.hf_sam import Transformers
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import SEGMENTERS

INSTALLED = importlib.util.find_spec("transformers") is not None


@pytest.mark.skipif(INSTALLED, reason="transformers is installed here")
def test_a_missing_package_says_what_to_install():
    with pytest.raises(UserError, match=r"pip install sam-deblur\[transformers\]$") as error:
        Transformers("some/folder")
    assert str(error.value).startswith("segmenter transformers needs the package 'transformers'")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not INSTALLED, reason="transformers is not installed here")
def test_a_missing_model_is_not_downloaded_unless_asked(tmp_path):
    with pytest.raises(UserError, match="no model for mask generation here") as error:
        Transformers(str(tmp_path / "none"))
    assert "\n" not in str(error.value)


def test_the_model_is_required_and_options_have_ranges():
    with pytest.raises(OptionError) as error:
        SEGMENTERS.build("Transformers", {"pred_iou_thresh": 2, "points_per_side": 0})
    places = {line.partition(":")[0] for line in error.value.mistakes}
    assert places == {"model", "pred_iou_thresh", "points_per_side"}

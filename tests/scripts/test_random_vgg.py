"""Random weights of a VGG fit where the trained ones do, and keep the scale of features."""

from __future__ import annotations

import pytest
import torch

from basicsr.layers.pretrained import VggFeatures


def test_the_file_is_read_as_that_of_torchvision_and_a_seed_says_all_of_it(run_script, tmp_path):
    path, again, other = (tmp_path / f"weights/{name}.pth" for name in ("vgg", "again", "other"))
    for file, seed in ((path, 3), (again, 3), (other, 4)):
        words = ("--vgg_type", "vgg11", "--layer", "relu2_1", "--seed", seed)
        assert run_script("random_vgg.py", file, *words).returncode == 0
    vgg = VggFeatures(["relu1_1", "relu2_1"], "vgg11", str(path))
    one, two, three = (torch.load(file, weights_only=True) for file in (path, again, other))
    assert one.keys() == vgg.state_dict().keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not torch.equal(one["features.0.weight"], three["features.0.weight"])
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # A convolution with variance 2/n doubles the mean square, and a ReLU halves it. Over 64 kernels of 27
    # numbers that varies by sqrt(2/27/64), 3 %; five times that, and 3 % for the zeros around the image.
    assert float(vgg(image)["relu1_1"].square().mean()) == pytest.approx(1, abs=0.2)


def test_nothing_is_overwritten_and_a_layer_has_to_exist(run_script, tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")
    done = run_script("random_vgg.py", path)
    assert done.returncode == 1 and "exists already" in done.stderr and path.read_bytes() == b"mine"
    done = run_script("random_vgg.py", tmp_path / "new.pth", "--layer", "relu9_1")
    assert done.returncode == 1 and "vgg19 has no layer 'relu9_1'" in done.stderr
    assert not (tmp_path / "new.pth").exists()

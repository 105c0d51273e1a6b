"""What torch.compile makes is kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from basicsr.utils.compiled_code import keep_compiled_code

RUN = """
import torch
from torch._dynamo.utils import counters
from basicsr.utils.compiled_code import keep_compiled_code

keep_compiled_code()
net = torch.nn.Conv2d(3, 3, 3)
net.compile()
net(torch.rand(1, 3, 8, 8)).sum().backward()
print(counters["aot_autograd"]["autograd_cache_hit"] + counters["inductor"]["fxgraph_cache_hit"])
"""


def test_it_lies_in_the_cache_of_the_user_unless_the_environment_says_where(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere" and not list(tmp_path.iterdir())
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "sam-deblur/compiled")


def test_the_default_of_pytorch_is_no_choice_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())
    keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "sam-deblur/compiled")


def test_a_cache_that_cannot_be_made_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    keep_compiled_code()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_second_run_finds_what_the_first_has_compiled(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TORCHINDUCTOR_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    hits = [
        int(
            subprocess.run(
                [sys.executable, "-c", RUN], env=environment, stdout=subprocess.PIPE, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    assert hits[0] == 0 < hits[1]
    assert any((tmp_path / "sam-deblur/compiled").iterdir())

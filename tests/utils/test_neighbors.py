"""Another distribution with an import package of the same name is told."""

from __future__ import annotations

import pytest

from basicsr.utils.neighbors import neighbors, warn_of_neighbors


def install(folder, name: str, version: str, packages: str | None) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if packages is not None:
        (info / "top_level.txt").write_text(packages)


def test_nothing_is_said_where_there_is_none(tmp_path, monkeypatch, capsys):
    install(tmp_path, "sam-deblur", "9", "basicsr\n")
    install(tmp_path, "basicsrx", "9", "basicsrx\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert neighbors() == []
    warn_of_neighbors()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "packages"),
    [("basicsr", "basicsr\n"), ("basicsr", None), ("BasicSR-fixed", "scripts\nbasicsr\n")],
)
def test_one_line_names_it(tmp_path, monkeypatch, capsys, name, packages):
    install(tmp_path, name, "1.4.2", packages)
    monkeypatch.syspath_prepend(tmp_path)
    warn_of_neighbors()
    monkeypatch.setenv("LOCAL_RANK", "1")
    warn_of_neighbors()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {name} 1.4.2 is installed as well, with its own import package basicsr")

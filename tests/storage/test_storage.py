from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import lmdb
import pytest

from basicsr.storage import DiskStorage, LmdbStorage, open_storage, read_meta_info, write_lmdb
from basicsr.storage.meta_info import listed_name
from basicsr.utils.errors import UserError

ENTRIES = {"b": b"two", "a.v1": b"one", "scene/c (1)": b"three"}


def write_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "set.lmdb"
    write_lmdb(path, ((key, data, (4, 6, 3)) for key, data in ENTRIES.items()))
    return path


def test_disk_keys_are_sorted_relative_paths_without_suffix(tmp_path: Path):
    write_files(
        tmp_path,
        "z.png",
        "a.v1.PNG",
        "scene/10.jpg",
        "scene/2.jpg",
        "notes.txt",
        ".hidden.png",
        ".trash/x.png",
    )
    storage = DiskStorage(tmp_path, (".png", ".JPG"))
    assert storage.keys() == ["a.v1", "scene/10", "scene/2", "z"]
    assert storage.read("a.v1") == b"a.v1.PNG"
    assert storage.read("scene/2") == b"scene/2.jpg"
    assert storage.describe("scene/2") == str(tmp_path / "scene" / "2.jpg")


def test_disk_follows_links_and_ends(tmp_path: Path):
    write_files(tmp_path / "elsewhere", "x.png")
    write_files(tmp_path / "set", "a.png")
    (tmp_path / "set" / "scene").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    assert DiskStorage(tmp_path / "set", (".png",)).keys() == ["a", "scene/x"]


def test_two_links_to_one_folder_are_two_folders(tmp_path: Path):
    write_files(tmp_path / "elsewhere", "x.png")
    (tmp_path / "set").mkdir()
    for name in ("one", "two"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere")
    assert DiskStorage(tmp_path / "set", (".png",)).keys() == ["one/x", "two/x"]


NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_keys_have_one_unicode_form_whatever_the_file_system_made_of_them(tmp_path: Path):
    write_files(tmp_path / "linux", f"{NFC}.png")
    write_files(tmp_path / "mac", f"{NFD}/{NFD}.png")
    linux, mac = (DiskStorage(tmp_path / name, (".png",)) for name in ("linux", "mac"))
    assert linux.keys() == [NFC] and mac.keys() == [f"{NFC}/{NFC}"]
    assert linux.read(NFD) == linux.read(NFC) == f"{NFC}.png".encode()
    assert mac.read(f"{NFC}/{NFD}") == f"{NFD}/{NFD}.png".encode()
    assert mac.describe(f"{NFC}/{NFC}") == str(tmp_path / "mac" / NFD / f"{NFD}.png")


def test_two_names_that_only_look_the_same_are_told_apart(tmp_path: Path):
    write_files(tmp_path, f"{NFC}.png", f"{NFD}.png")
    with pytest.raises(UserError, match="share the key .* differ in their Unicode form alone; keep one"):
        DiskStorage(tmp_path, (".png",))


@pytest.mark.parametrize("form", [NFC, NFD])
def test_an_lmdb_is_read_whatever_the_form_of_its_keys(tmp_path: Path, form: str):
    write_lmdb(tmp_path / "set", [(form, b"data", (1, 1, 1))])
    for has_list in (True, False):
        storage = LmdbStorage(tmp_path / "set")
        assert storage.keys() == [NFC]
        assert storage.read(NFC) == storage.read(NFD) == b"data"
        if has_list:
            (tmp_path / "set" / "meta_info.txt").unlink()


def test_what_a_folder_has_besides_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_files(tmp_path, "a.png", "b.psd", "c.xcf", "d.xcf", "manifest.json")
    DiskStorage(tmp_path, (".png",))
    assert f"{tmp_path}: 3 files left out: .xcf (2), .psd (1)" in caplog.text


def test_two_files_with_one_key_are_both_named(tmp_path: Path):
    write_files(tmp_path, "s/a.jpg", "s/a.png")
    with pytest.raises(UserError, match=r"^\S*a\.jpg and \S*a\.png share the key 's/a'; keep one of them$"):
        DiskStorage(tmp_path, (".png", ".jpg"))
    assert DiskStorage(tmp_path, (".png",)).keys() == ["s/a"]


def test_disk_names_what_is_missing(tmp_path: Path, database: Path):
    with pytest.raises(UserError, match=r"none: no such folder; check the path$"):
        DiskStorage(tmp_path / "none", (".png",))
    write_files(tmp_path / "text", "a.txt")
    with pytest.raises(UserError, match=r"text: no \.jpg, \.png file in it; check the path$"):
        DiskStorage(tmp_path / "text", (".png", ".jpg"))
    with pytest.raises(UserError, match="it is an LMDB, choose the backend lmdb$"):
        DiskStorage(database, (".png",))


def test_disk_names_what_cannot_be_read(tmp_path: Path):
    write_files(tmp_path, "a.png")
    storage = DiskStorage(tmp_path, (".png",))
    with pytest.raises(UserError, match="no file for 'b'; check that"):
        storage.read("b")
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(No such file"):
        storage.read("a")


def test_lmdb_gives_back_what_was_written(database: Path):
    storage = LmdbStorage(database)
    assert storage.keys() == sorted(ENTRIES)
    assert {key: storage.read(key) for key in ENTRIES} == ENTRIES
    assert storage.describe("b") == f"{database}:b"


def test_lmdb_has_the_published_layout(database: Path):
    lines = ["b.png (4,6,3) 1", "a.v1.png (4,6,3) 1", "scene/c (1).png (4,6,3) 1"]
    assert (database / "meta_info.txt").read_text().splitlines() == lines
    with (
        lmdb.open(str(database), readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        assert dict(transaction.cursor()) == {key.encode(): data for key, data in ENTRIES.items()}
    assert list(database.parent.iterdir()) == [database]


def test_lmdb_without_its_list_gives_the_same_keys(database: Path):
    (database / "meta_info.txt").unlink()
    assert LmdbStorage(database).keys() == sorted(ENTRIES)


def test_lmdb_grows_beyond_its_first_size(tmp_path: Path):
    size = 3 << 20
    write_lmdb(tmp_path / "big", ((str(i), bytes([i]) * size, (1, 1, 1)) for i in range(8)))
    storage = LmdbStorage(tmp_path / "big")
    assert [storage.read(str(i)) for i in range(8)] == [bytes([i]) * size for i in range(8)]


def test_two_storages_read_one_lmdb(database: Path):
    first, second = LmdbStorage(database), LmdbStorage(database.parent / "." / "set.lmdb")
    assert first.read("b") == second.read("b") == first.read("b") == b"two"


@pytest.mark.dist
@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_a_storage_in_use_is_read_in_other_processes(database: Path, start: str):
    storage = LmdbStorage(database)
    assert storage.read("b") == b"two"
    assert pickle.loads(pickle.dumps(storage)).keys() == storage.keys()
    with multiprocessing.get_context(start).Pool(2) as pool:
        assert pool.map(storage.read, ["a.v1", "b", "b", "scene/c (1)"]) == [b"one", b"two", b"two", b"three"]
    assert storage.read("a.v1") == b"one"


def test_lmdb_names_what_is_missing(tmp_path: Path, database: Path):
    write_files(tmp_path / "images", "a.png")
    for wrong in ("none", "images"):
        with pytest.raises(
            UserError, match=rf"{wrong}: not an LMDB folder \(no data\.mdb in it\); check path"
        ):
            LmdbStorage(tmp_path / wrong)
    with pytest.raises(UserError, match=r"set\.lmdb: no entry 'z'; make the LMDB again"):
        LmdbStorage(database).read("z")


def test_an_lmdb_without_entries_is_named(tmp_path: Path):
    write_lmdb(tmp_path / "empty", [])
    (tmp_path / "empty" / "meta_info.txt").unlink()
    with pytest.raises(UserError, match="empty: the LMDB has no entries"):
        LmdbStorage(tmp_path / "empty")


def test_names_are_read_with_or_without_a_shape_and_a_level(tmp_path: Path):
    meta = tmp_path / "meta_info.txt"
    meta.write_text("scene/c (1).png (4,6,3) 1\n\na.v1.png (4,6,3)\n b.jpg \nd (2).png\n")
    assert read_meta_info(meta) == ["scene/c (1)", "a.v1", "b", "d (2)"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("frame.0000.png (4,6,3) 1", "frame.0000"),
        ("frame.0000.png", "frame.0000"),
        ("frame.0000", "frame.0000"),
        ("frame.0000 (4,6,3)", "frame.0000"),
        ("clip.v2/frame.0000.JPG", "clip.v2/frame.0000"),
        ("masks/a.b.npz (4,6,3)", "masks/a.b"),
        (f"{NFD}.png", NFC),
    ],
)
def test_a_name_loses_the_suffix_of_an_image_and_nothing_else(tmp_path: Path, line: str, key: str):
    (tmp_path / "meta_info.txt").write_text(f"{line}\n")
    assert read_meta_info(tmp_path / "meta_info.txt") == [key]


def test_a_stem_with_dots_survives_folder_and_lmdb(tmp_path: Path):
    write_files(tmp_path / "disk", "frame.0000.png", "frame.0001.png")
    disk = DiskStorage(tmp_path / "disk", (".png",))
    write_lmdb(tmp_path / "lmdb", ((key, disk.read(key), (1, 1, 1)) for key in disk.keys()))  # noqa: SIM118
    stored = LmdbStorage(tmp_path / "lmdb")
    assert stored.keys() == disk.keys() == ["frame.0000", "frame.0001"]
    assert stored.read("frame.0001") == b"frame.0001.png"


def test_a_byte_order_mark_is_no_part_of_the_first_name(database: Path):
    meta = database / "meta_info.txt"
    meta.write_bytes(b"\xef\xbb\xbf" + meta.read_bytes().replace(b"\n", b"\r\n"))
    assert read_meta_info(meta) == ["b", "a.v1", "scene/c (1)"]
    storage = LmdbStorage(database)
    assert [storage.read(key) for key in ENTRIES] == list(ENTRIES.values())


@pytest.mark.parametrize(("data", "message"), [(b"\n \n", "lists no image"), (b"\xff\xfe", "not UTF-8 text")])
def test_a_wrong_list_is_named(database: Path, data: bytes, message: str):
    (database / "meta_info.txt").write_bytes(data)
    with pytest.raises(UserError, match=rf"meta_info\.txt: .*{message}"):
        LmdbStorage(database)


def test_a_damaged_lmdb_is_named(database: Path):
    data = database / "data.mdb"
    os.truncate(data, data.stat().st_size - 4096)
    with pytest.raises(UserError, match=r"set\.lmdb: the LMDB cannot be opened \(it is cut short\)"):
        LmdbStorage(database).read("b")
    data.write_bytes(b"\0" * 8192)
    with pytest.raises(UserError, match=r"set\.lmdb: the LMDB cannot be opened"):
        LmdbStorage(database).read("b")


def test_an_existing_lmdb_is_not_written_over(database: Path):
    with pytest.raises(UserError, match=r"set\.lmdb: exists already; delete it"):
        write_lmdb(database, [("x", b"x", (1, 1, 1))])
    assert LmdbStorage(database).keys() == sorted(ENTRIES)


@pytest.mark.parametrize(
    ("keys", "message"),
    [(["a", "b", "a"], "the key 'a' occurs twice"), (["k" * 600], "cannot be written")],
)
def test_what_fails_to_be_written_leaves_nothing(tmp_path: Path, keys: list[str], message: str):
    with pytest.raises(UserError, match=f"new: {message}"):
        write_lmdb(tmp_path / "new", ((key, b"x", (1, 1, 1)) for key in keys))
    assert not list(tmp_path.iterdir())


def test_an_lmdb_may_have_the_longest_name(tmp_path: Path):
    path = tmp_path / ("x" * 255)
    write_lmdb(path, [("a", b"one", (1, 1, 1))])
    assert LmdbStorage(path).read("a") == b"one" and list(tmp_path.iterdir()) == [path]


def test_open_storage_takes_the_named_backend(tmp_path: Path, database: Path):
    write_files(tmp_path / "images", "b.png", "c.txt")
    assert open_storage(str(tmp_path / "images"), "disk", (".png",)).keys() == ["b"]
    assert open_storage(str(database), "lmdb", (".png",)).read("b") == b"two"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("clip 7/a.b.png", "clip 7/a.b.png"),
        ("a.png.jpg", "a.png.jpg"),
        (" a.png", None),
        ("a\nb.png", None),
        ("a (1,2) b.png", None),
        ("a\udcff.png", None),
    ],
)
def test_a_listed_file_is_read_back_or_refused(name, line, tmp_path):
    assert listed_name(name) == line
    if line is not None:
        (tmp_path / "list.txt").write_text(f"{line}\n", encoding="utf-8")
        assert read_meta_info(tmp_path / "list.txt") == [name.rpartition(".")[0]]

"""metadata.json: what is written is read; every mistake is told at once."""

from __future__ import annotations

import json

import pytest

from basicsr.data.clip_metadata import Clip, ClipMetadata, key_of, read_clip_metadata
from basicsr.utils.errors import UserError


def record(name: str = "a/0", **changes) -> dict:
    plain = {"id": name, "order": "ignore", "partition": "train", "blur_path": f"{name}_blur.png"}
    plain |= {f"frame{number:03d}_path": f"{name}_{number}.png" for number in (1, 2, 3)}
    return {key: value for key, value in (plain | changes).items() if value is not None}


def written(tmp_path, *records, **changes):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"name": "Mine", "frame_per_seq": 3, "data": list(records), **changes}))
    return path


def mistakes_of(path, keys=None) -> str:
    with pytest.raises(UserError) as caught:
        read_clip_metadata(path, keys, "datasets/Mine")
    return str(caught.value)


def test_the_published_form_is_read_and_written_again(tmp_path):
    path = written(tmp_path, record(), record("b/1", order="reverse", partition="val", bbox="b/1.pkl"))
    metadata = read_clip_metadata(path)
    assert (metadata.name, metadata.frames) == ("Mine", 3)
    first, second = metadata.clips
    assert first == Clip("a/0", "ignore", "train", "a/0_blur.png", ("a/0_1.png", "a/0_2.png", "a/0_3.png"))
    assert second.order == "reverse" and second.box == "b/1.pkl"
    assert metadata.of("val") == [second]
    metadata.write(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())
    assert isinstance(read_clip_metadata(tmp_path / "again.json"), ClipMetadata)


def test_every_mistake_is_told_at_once(tmp_path):
    path = written(
        tmp_path,
        record("short", frame002_path=None),
        record("long", frame004_path="x.png"),
        record("order", order="backwards"),
        record("partition", partition="dev"),
        record("leaves", blur_path="../secret.png", frame001_path="/etc/passwd.png"),
        record("typed", frame003_path=3),
        record("fine"),
        record("fine"),
        {"order": "keep"},
        "nothing",
    )
    output = mistakes_of(path)
    for line in [
        "10 mistakes; fix the file",
        "'short': of 3 frames it lacks 2",
        "'long': of 3 frames it also has 4",
        "'order': order: expected one of ignore, keep, reverse, random (got 'backwards')",
        "'partition': partition: expected one of train, val, test (got 'dev')",
        "'leaves': blur_path: leaves the folder of the data set (got '../secret.png')",
        "'leaves': frame001_path: leaves the folder of the data set",
        "'typed': frame003_path: expected a path (got 3)",
        "id 'fine' occurs 2 times",
        "data[8].id: expected text (got None)",
        "data[9]: expected a clip (got 'nothing')",
    ]:
        assert line in output, line


def test_images_that_are_not_there_are_named(tmp_path):
    path = written(tmp_path, record("a/0"), record("b/1"))
    keys = {key_of(f"a/0_{end}.png") for end in ("blur", "1", "2", "3")} | {"b/1_blur", "b/1_3"}
    assert "'b/1': datasets/Mine has no b/1_1.png and 1 more" in mistakes_of(path, keys)
    assert "1 mistake;" in mistakes_of(path, keys)


def test_many_mistakes_are_counted(tmp_path):
    path = written(tmp_path, *(record(f"clip_{number}", order="?") for number in range(50)))
    output = mistakes_of(path)
    assert "50 mistakes" in output and ".. and 30 more" in output and len(output.splitlines()) == 22


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON, or cut short"),
        ("[]", "expected name, frame_per_seq and data"),
        ('{"name": "x", "frame_per_seq": 0, "data": []}', "expected a number of frames"),
        ('{"name": "x", "frame_per_seq": 99999999999999999999, "data": []}', "expected a number of frames"),
        ('{"name": "x", "frame_per_seq": 7, "data": []}', "expected a list of clips"),
        ('{"name": 1, "frame_per_seq": 7, "data": []}', "name: expected text"),
    ],
)
def test_other_files_are_refused(tmp_path, text: str, what: str):
    (tmp_path / "metadata.json").write_text(text)
    assert what in mistakes_of(tmp_path / "metadata.json")


def test_a_missing_file_is_named(tmp_path):
    assert "nowhere.json: cannot be read" in mistakes_of(tmp_path / "nowhere.json")

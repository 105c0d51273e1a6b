"""What a run says of odd samples: of each file once, and of all at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from basicsr.data.remarks import Remark
from basicsr.engine.remarks import Remarks
from basicsr.models.base import Batch
from basicsr.utils.dist import Ranks
from basicsr.utils.log import logger

BAD = Remark("unreadable", "a.png: not an image")
WORSE = Remark("unreadable", "b.png: cut short")
SMALL = Remark("small", "c.png: 8x8 pixels, less than the crop of 16x16")


@pytest.fixture
def output(caplog) -> Iterator[Callable[[], list[str]]]:
    """A function: what was said since it was last asked."""
    logger().propagate = True

    def messages() -> list[str]:
        found = caplog.messages
        caplog.clear()
        return found

    with caplog.at_level(logging.WARNING, "basicsr"):
        yield messages


class AtTheEnd:
    """A trainer after its last iteration."""

    iteration = total_iter = 3


def taken(remarks: Remarks, batches: Iterable[Sequence[Remark]]) -> list[Batch]:
    made = ({"key": ["a"], **({"remarks": list(items)} if items else {})} for items in batches)
    return list(remarks.taken_from(made))


def test_each_file_is_said_once_and_models_see_no_remark(output):
    remarks = Remarks(Ranks())
    assert taken(remarks, [[BAD], [], [SMALL, BAD], [WORSE]]) == [{"key": ["a"]}] * 4
    assert output() == [f"{BAD.text}; skipped", SMALL.text, f"{WORSE.text}; skipped"]


def test_all_are_listed_at_the_end(output):
    remarks = Remarks(Ranks())
    taken(remarks, [[BAD], [SMALL, BAD], [WORSE]])
    output()
    remarks.after_step(AtTheEnd())
    assert output() == [
        "files that cannot be read, replaced by others: 2, in 3 samples\n"
        "  a.png: not an image (2x)\n  b.png: cut short (1x)",
        "photos smaller than the crop, extended by reflection: 1, in 1 samples\n"
        "  c.png: 8x8 pixels, less than the crop of 16x16 (1x)",
    ]


def test_nothing_is_listed_before_the_end_nor_where_all_is_well(output):
    remarks = Remarks(Ranks())
    remarks.after_step(AtTheEnd())
    taken(remarks, [[SMALL]])
    output()
    before = AtTheEnd()
    before.total_iter = 4
    remarks.after_step(before)
    assert output() == []


def test_a_resumed_run_lists_what_came_before_too(output):
    first = Remarks(Ranks())
    taken(first, [[BAD], [SMALL]])
    resumed = Remarks(Ranks())
    resumed.load_state_dict(first.state_dict())
    taken(resumed, [[BAD]])
    assert dict(resumed.gathered()) == {BAD: 2, SMALL: 1}
    assert output().count(f"{BAD.text}; skipped") == 2  # each start has a log of its own


def test_of_many_small_photos_the_first_are_named(output):
    remarks = Remarks(Ranks())
    taken(remarks, [[Remark("small", f"{number:02d}.png: small")] for number in range(30)])
    more = "photos smaller than the crop, extended by reflection: more than 20; further ones are counted"
    assert output() == [*(f"{number:02d}.png: small" for number in range(20)), more]
    remarks.after_step(AtTheEnd())
    (listed,) = output()
    assert listed.startswith("photos smaller than the crop, extended by reflection: 30, in 30 samples\n")
    assert listed.endswith("\n  .. and 10 more")
    assert len(listed.splitlines()) == 22


def test_all_that_cannot_be_read_are_named(output):
    remarks = Remarks(Ranks())
    many = [Remark("unreadable", f"{number}.png: cut short") for number in range(30)]
    taken(remarks, [[remark] for remark in many])
    assert output() == [f"{remark.text}; skipped" for remark in many]

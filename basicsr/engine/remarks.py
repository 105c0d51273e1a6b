"""Reports oddities of training samples, so that nothing is silently trained on or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from basicsr.data.remarks import Remark
from basicsr.engine.trainer import Hook, Trainer
from basicsr.models.base import Batch
from basicsr.utils.display import Lines, shown
from basicsr.utils.dist import Ranks, gather_objects
from basicsr.utils.log import logger

_SHOWN = 20  # files of a kind that were trained on
_TEXTS = {
    "unreadable": "files that cannot be read, replaced by others",
    "small": "photos smaller than the crop, extended by reflection",
    "empty": "masks without a region",
}


class Remarks(Hook):
    """Warns of each file once when it comes, and lists all of them after the last iteration.

    Of files that were trained on, only the first are named; of those that could not be read, all.

    Args:
        ranks: the main process lists.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._times: Counter[Remark] = Counter()  # in this process
        self._before: Counter[Remark] = Counter()  # in all processes of the runs that this one continues

    def taken_from(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches without their remarks."""
        for batch in batches:
            for remark in batch.pop("remarks", ()):
                self._warn(remark)
                self._times[remark] += 1
            yield batch

    def gathered(self) -> Counter[Remark]:
        """How often each remark was made, since the first start and in all processes, which all ask."""
        return sum(gather_objects(self._times), self._before)

    def state_dict(self) -> list[tuple[str, str, int]]:
        """`gathered` as plain values."""
        return [(remark.kind, remark.text, times) for remark, times in self.gathered().items()]

    def load_state_dict(self, state: Sequence[tuple[str, str, int]]) -> None:
        """Undo `state_dict`, in a new process."""
        self._before = Counter({Remark(kind, text): times for kind, text, times in state})  # type: ignore[arg-type]

    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == trainer.total_iter:
            gathered = self.gathered()
            if self.ranks.is_main:
                for kind in _TEXTS:
                    _list(kind, {remark.text: gathered[remark] for remark in gathered if remark.kind == kind})

    def _warn(self, remark: Remark) -> None:
        named = sum(known.kind == remark.kind for known in self._times)
        if remark in self._times or (remark.kind != "unreadable" and named > _SHOWN):
            return
        if remark.kind != "unreadable" and named == _SHOWN:
            logger().warning(f"{_TEXTS[remark.kind]}: more than {_SHOWN}; further ones are counted")
        else:
            logger().warning(remark.text + ("; skipped" if remark.kind == "unreadable" else ""))


def _list(kind: str, times: dict[str, int]) -> None:
    if not times:
        return
    named = sorted(times) if kind == "unreadable" else sorted(times)[:_SHOWN]
    lines = [f"{_TEXTS[kind]}: {len(times)}, in {sum(times.values())} samples"]
    lines += [f"{text} ({times[text]}x)" for text in named]
    if len(times) > len(named):
        lines.append(f".. and {len(times) - len(named)} more")
    logger().warning(Lines("\n  ".join(map(shown, lines))))

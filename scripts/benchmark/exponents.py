"""Growth as a power of the size: the exponent, and charts with logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from basicsr.reporting.line_chart import Panel

Curve = Sequence[tuple[float, float]]  # (size, value), both above 0


def exponent(curve: Curve) -> float:
    """Slope of the line through the logarithms."""
    sizes, values = np.log(np.array(curve)).T
    slope, _ = np.polyfit(sizes, values, 1)
    return float(slope)


def panel(what: str, curves: Mapping[str, Curve]) -> Panel:
    """A chart with both axes logarithmic; the exponents are beside the names."""
    lines = {
        f"{name}: {exponent(curve):.2f}": [(float(x), float(y)) for x, y in np.log10(np.array(curve))]
        for name, curve in curves.items()
    }
    return Panel(f"log10 of {what}", lines)

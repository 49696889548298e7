# SPDX-License-Identifier: Apache-2.0
"""How alike two images are: mean absolute error, PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["compare"]

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5  # Wang et al. 2004, section III.B
K1, K2 = 0.01, 0.03


def compare(predicted: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Metrics of one image.

    SSIM is that of Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural
    similarity", with its 11 x 11 Gaussian window, averaged over the windows inside the image and over the colours.

    Args:
        predicted: (H, W, 3) from 0 to 255.
        real: the same.

    Returns:
        "psnr" [dB], "ssim" and "mae" [grey levels].
    """
    a, b = (np.asarray(image, dtype=np.float64) for image in (predicted, real))
    if a.shape != b.shape or a.ndim != 3 or min(a.shape[:2]) < WINDOW:
        raise ValueError(f"images must be of one shape (H, W, 3), at least {WINDOW} wide, not {a.shape} and {b.shape}")
    squared = float(((a - b) ** 2).mean())
    psnr = 10.0 * np.log10(PEAK**2 / squared) if squared > 0.0 else np.inf
    return {"psnr": float(psnr), "ssim": _ssim(a, b), "mae": float(np.abs(a - b).mean())}


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    line = line / line.sum()
    x, y = (torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[:, None] for image in (a, b))
    stack = torch.cat([x, y, x * x, y * y, x * y])
    stack = torch.nn.functional.conv2d(stack, line[None, None, :, None])
    mx, my, xx, yy, xy = torch.nn.functional.conv2d(stack, line[None, None, None, :]).chunk(5)
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    bottom = (mx**2 + my**2 + c1) * (xx - mx**2 + yy - my**2 + c2)
    return float((top / bottom).mean())

# SPDX-License-Identifier: Apache-2.0
"""Linear responses of a taxel grid that depend on the difference of positions only, with their transposes.

Small grids are summed directly, larger ones by fast Fourier transforms with zero padding, which makes the circular
convolution the linear one. On the CPU worlds are transformed one at a time: the rounding of a batched transform depends
on the size of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.sensors.tactile.bridge import as_array, stream_scope, warp_real
from simenv.sensors.tactile.kernels_convolve import convolve_kernels

__all__ = ["Convolution"]

DIRECT = 256  # largest number of taxels that is summed directly


def _fast_length(least: int) -> int:
    """Smallest 2^a 3^b 5^c that is at least `least`."""
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


class Convolution:
    """u[a](i) = sum over b, j of table[a][b](i - j) x[b](j).

    Args:
        table: (A, B, 2 rows - 1, 2 columns - 1).
        dtype, device: of the tensors.
        direct: sum directly; `None` decides by the number of taxels.
    """

    def __init__(
        self, table: np.ndarray, dtype: torch.dtype, device: torch.device | str = "cpu", direct: bool | None = None
    ):
        table = np.asarray(table, dtype=np.float64)
        if table.ndim != 4 or table.shape[2] % 2 == 0 or table.shape[3] % 2 == 0:
            raise ValueError(f"a table must be (A, B, odd, odd), not {table.shape}")
        self.outputs, self.inputs = table.shape[:2]
        self.rows, self.columns = (table.shape[2] + 1) // 2, (table.shape[3] + 1) // 2
        self.dtype, self.device = dtype, torch.device(device)
        self.direct = self.rows * self.columns <= DIRECT if direct is None else direct
        turned = table[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        if self.direct:
            self._kernel = convolve_kernels(warp_real(dtype)).convolve
            self._tables = [self._tensor(table), self._tensor(turned)]
        else:
            self._padded = (_fast_length(table.shape[2]), _fast_length(table.shape[3]))
            self._spectra = [self._spectrum(table), self._spectrum(turned)]

    def _tensor(self, table: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(table), dtype=self.dtype).to(self.device)

    def _spectrum(self, table: np.ndarray) -> torch.Tensor:
        height, width = self._padded
        circular = np.zeros((*table.shape[:2], height, width))
        circular[:, :, : table.shape[2], : table.shape[3]] = table
        circular = np.roll(circular, (1 - self.rows, 1 - self.columns), axis=(2, 3))
        return torch.fft.rfft2(torch.as_tensor(circular)).to(self.device, torch.promote_types(self.dtype, torch.cfloat))

    def apply(self, x: torch.Tensor, transpose: bool = False) -> torch.Tensor:
        """Apply to x (N, P, B), giving (N, P, A), or the transpose; not recorded by autograd."""
        with torch.no_grad():
            if self.direct:
                return self._apply_direct(x.detach(), transpose)
            if x.device.type == "cpu" and x.shape[0] > 1:
                return torch.cat([self._apply_fourier(row[None], transpose) for row in x.detach()])
            return self._apply_fourier(x.detach(), transpose)

    def _apply_direct(self, x: torch.Tensor, transpose: bool) -> torch.Tensor:
        table = self._tables[int(transpose)]
        out = torch.empty((x.shape[0], x.shape[1], table.shape[0]), dtype=x.dtype, device=x.device)
        real = warp_real(self.dtype)
        arrays = [as_array(t, real) for t in (table, x, out)]
        with stream_scope(x.device):
            wp.launch(
                self._kernel,
                dim=out.shape,
                inputs=[self.rows, self.columns, *arrays[:2]],
                outputs=[arrays[2]],
                device=arrays[0].device,
            )
        return out

    def _apply_fourier(self, x: torch.Tensor, transpose: bool) -> torch.Tensor:
        spectrum = self._spectra[int(transpose)]
        grid = x.transpose(1, 2).unflatten(2, (self.rows, self.columns))
        waves = torch.fft.rfft2(grid, s=self._padded)
        product = spectrum[:, 0] * waves[:, None, 0]
        for b in range(1, waves.shape[1]):
            product = product + spectrum[:, b] * waves[:, None, b]
        full = torch.fft.irfft2(product, s=self._padded)
        return full[..., : self.rows, : self.columns].flatten(2).transpose(1, 2).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to x (N, P, B), differentiably."""
        return _Apply.apply(self, x)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, convolution: Convolution, x: torch.Tensor) -> torch.Tensor:
        ctx.convolution = convolution
        return convolution.apply(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, ctx.convolution.apply(grad, transpose=True)

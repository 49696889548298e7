# SPDX-License-Identifier: Apache-2.0
"""Linear responses of a taxel grid that depend on the difference of positions only, with their transposes.

A response may depend on a number of each world, such as Poisson's ratio: it is given at a few nodes and interpolated
by weights. Small grids are summed directly, larger ones by fast Fourier transforms with zero padding, which makes the
circular convolution the linear one. On the CPU worlds are transformed one at a time: the rounding of a batched
transform depends on the size of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from simenv.physics.bridge import as_array, warp_real
from simenv.physics.device import on_cuda, resolve_device, stream_scope
from simenv.physics.gels.kernels_convolve import convolve_kernels
from simenv.physics.launch.capture import launch

__all__ = ["Convolution", "Response"]

DIRECT = 576  # largest number of taxels that is summed directly


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
    """u[a](i) = sum over j, b of table[a][b](i - j) x[b](j), with a table for each of M nodes.

    Args:
        tables: (M, A, B, 2 rows - 1, 2 columns - 1).
        dtype, device: of the tensors.
        direct: sum directly; `None` decides by the number of taxels.
    """

    def __init__(
        self, tables: np.ndarray, dtype: torch.dtype, device: torch.device | str = "cpu", direct: bool | None = None
    ):
        self.device = resolve_device(device)
        tables = np.asarray(tables, dtype=np.float64)
        if tables.ndim != 5 or tables.shape[3] % 2 == 0 or tables.shape[4] % 2 == 0:
            raise ValueError(f"tables must be (M, A, B, odd, odd), not {tables.shape}")
        self.rows, self.columns = (tables.shape[3] + 1) // 2, (tables.shape[4] + 1) // 2
        self.dtype = dtype
        self.direct = self.rows * self.columns <= DIRECT if direct is None else direct
        self.padded = (_fast_length(tables.shape[3]), _fast_length(tables.shape[4]))
        if self.direct:
            self.nodes = torch.as_tensor(np.ascontiguousarray(tables), dtype=dtype).to(self.device)
            self.kernel = convolve_kernels(warp_real(dtype)).convolve
        else:
            self.nodes = self._spectra(tables)

    def _spectra(self, tables: np.ndarray) -> torch.Tensor:
        circular = np.zeros((*tables.shape[:3], *self.padded))
        circular[..., : tables.shape[3], : tables.shape[4]] = tables
        circular = np.roll(circular, (1 - self.rows, 1 - self.columns), axis=(3, 4))
        return torch.fft.rfft2(torch.as_tensor(circular)).to(self.device, torch.promote_types(self.dtype, torch.cfloat))

    def at(self, weights: torch.Tensor) -> Response:
        """The response that interpolates the nodes with weights (N, M), or (1, M) for all worlds."""
        fixed = weights.detach()
        table = fixed[:, 0].view(-1, 1, 1, 1, 1) * self.nodes[0]
        for m in range(1, self.nodes.shape[0]):
            table = table + fixed[:, m].view(-1, 1, 1, 1, 1) * self.nodes[m]
        return Response(self, weights, table)

    def node(self, m: int) -> Response:
        """The response at one node."""
        return Response(self, None, self.nodes[m : m + 1])


@dataclass(frozen=True)
class Response:
    """A linear map of loads (N, P, B) to displacements (N, P, A).

    Attributes:
        convolution: whose nodes it interpolates.
        weights: (N, M) or (1, M), with which it is differentiable; `None` at a node.
        table: (N, A, B, ...) or (1, A, B, ...), values or spectrum.
    """

    convolution: Convolution
    weights: torch.Tensor | None
    table: torch.Tensor

    def of_worlds(self, rows: slice) -> Response:
        """The response of some worlds."""
        return self if self.table.shape[0] == 1 else replace(self, table=self.table[rows])

    @property
    def varies(self) -> bool:
        """Whether a gradient of its weights is wanted."""
        return self.weights is not None and self.weights.requires_grad and torch.is_grad_enabled()

    def flat_table(self) -> torch.Tensor:
        """Table (N or 1, A B, (2 rows - 1) (2 columns - 1)), as the kernels that sum directly read it."""
        return self.table.flatten(1, 2).flatten(2)

    def transposed(self) -> Response:
        """The response with loads and displacements exchanged."""
        table = self.table.transpose(1, 2)
        return replace(self, table=table.flip(-1, -2) if self.convolution.direct else table.conj())

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Displacements (N, P, A) by loads (N, P, B); not recorded by autograd."""
        with torch.no_grad():
            if self.convolution.direct:
                return self._apply_direct(x)
            if not on_cuda(x.device) and x.shape[0] > 1:
                return torch.cat([self.of_worlds(slice(i, i + 1))._apply_fourier(row[None]) for i, row in enumerate(x)])
            return self._apply_fourier(x)

    def _apply_direct(self, x: torch.Tensor) -> torch.Tensor:
        c, table = self.convolution, self.table.flatten(1, 2)
        out = torch.empty((x.shape[0], x.shape[1], self.table.shape[1]), dtype=x.dtype, device=x.device)
        arrays = [as_array(t, warp_real(c.dtype)) for t in (table, x, out)]
        with stream_scope(x.device):
            launch(
                c.kernel,
                dim=out.shape,
                inputs=[c.rows, c.columns, *arrays[:2]],
                outputs=[arrays[2]],
                device=arrays[0].device,
            )
        return out

    def _apply_fourier(self, x: torch.Tensor) -> torch.Tensor:
        c, spectrum = self.convolution, self.table
        waves = torch.fft.rfft2(x.transpose(1, 2).unflatten(2, (c.rows, c.columns)), s=c.padded)
        product = spectrum[:, :, 0] * waves[:, None, 0]
        for b in range(1, waves.shape[1]):
            product = product + spectrum[:, :, b] * waves[:, None, b]
        full = torch.fft.irfft2(product, s=c.padded)
        return full[..., : c.rows, : c.columns].flatten(2).transpose(1, 2).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Displacements by loads, differentiable with respect to the loads and the weights."""
        return _Apply.apply(self, self.weights, x)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, response: Response, weights: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
        ctx.response = response
        ctx.save_for_backward(x)
        return response.apply(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, torch.Tensor | None, torch.Tensor | None]:
        (x,) = ctx.saved_tensors
        response, by_weights = ctx.response, None
        if ctx.needs_input_grad[1]:
            convolution = response.convolution
            count = convolution.nodes.shape[0]
            slopes = [(grad * convolution.node(m).apply(x)).flatten(1).sum(1) for m in range(count)]
            by_weights = torch.stack(slopes, -1)
            if response.weights.shape[0] == 1:
                by_weights = by_weights.sum(0, keepdim=True)
        return None, by_weights, response.transposed().apply(grad) if ctx.needs_input_grad[2] else None

# SPDX-License-Identifier: Apache-2.0
"""What the tactile tests share: poses, and directional derivatives against central differences."""

import numpy as np
import torch

DOUBLE = torch.float64


def pose(x=0.0, y=0.0, z=0.0, quaternion=(0.0, 0.0, 0.0, 1.0), worlds=1, dtype=DOUBLE):
    return torch.tensor([[x, y, z, *quaternion]], dtype=dtype).repeat(worlds, 1)


def turned(axis, angle):
    """Unit quaternion xyzw of a rotation."""
    axis = np.asarray(axis, dtype=float)
    axis = axis / np.linalg.norm(axis)
    return (*(np.sin(angle / 2) * axis), np.cos(angle / 2))


def gradient_error(function, leaves, steps, seed=0):
    """Relative error of the derivative of `function(leaves)` along a random direction in each leaf, by central
    differences with the better of two step lengths; also the slopes themselves.
    """
    rng = np.random.default_rng(seed)
    active = {name: value.clone().requires_grad_() for name, value in leaves.items()}
    grads = dict(zip(active, torch.autograd.grad(function(active), list(active.values())), strict=True))
    errors = {}
    for name, value in leaves.items():
        way = torch.as_tensor(rng.normal(size=tuple(value.shape)), dtype=value.dtype)
        slope = float((grads[name] * way).sum())
        assert np.isfinite(slope)
        candidates = []
        for step in (steps[name], 0.2 * steps[name]):
            with torch.no_grad():
                high, low = (float(function({**leaves, name: value + s * step * way})) for s in (1, -1))
            candidates.append(abs((high - low) / (2 * step) - slope) / max(abs(slope), 1e-300))
        assert slope != 0.0, f"{name} has no influence, which tests nothing"
        errors[name] = min(candidates)
    return errors

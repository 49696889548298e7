# SPDX-License-Identifier: Apache-2.0
"""The camera behind a gel that feels: the image that belongs to a force field, on the same gel and of the same object.

camera = GelCamera(sensor.contact, gelsight_r15(), 80, 60)
image = camera(object_pose, sensor_pose)
"""

from __future__ import annotations

import torch

from simenv.physics.bridge import warp_real
from simenv.physics.gels.contact import Contact
from simenv.physics.gels.kernels_contact import contact_kernels
from simenv.physics.launch.worlds import launch_worlds
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.frames import relative_pose
from simenv.sensors.tactile.image import TactileImage

__all__ = ["GelCamera"]

SQUARE = 0.02  # by which a pixel may be longer one way than the other


class GelCamera:
    """Images of one gel in the colours of a tactile camera, without gradient.

    Pixels fill the gel: row r and column c look at the place of taxel (r, c) of a grid with as many taxels. A curved
    gel is unrolled; each pixel looks along the normal there, and its own curvature is left out of the colours, so that
    without contact the image is the background, as on a flat one.

    Args:
        contact: of the gel's force field: its grid, object, and how far to look.
        calibration: whose colours; background and colours are stretched over the gel.
        rows: of the image, H.
        columns: W.

    Raises:
        ValueError: pixels would not be square, by which slopes would be wrong.
    """

    def __init__(self, contact: Contact, calibration: TactileCalibration, rows: int, columns: int):
        width, height = contact.grid.size
        across, down = width / columns, height / rows
        if not abs(across / down - 1.0) <= SQUARE:
            raise ValueError(
                f"{rows} x {columns} pixels on a gel {height * 1e3:.4g} mm high and {width * 1e3:.4g} mm wide would be "
                f"{down * 1e3:.3g} mm high and {across * 1e3:.3g} mm wide; pixels must be square within {SQUARE:.0%}, "
                f"such as {rows} x {round(rows * width / height)}"
            )
        self.rows, self.columns, self.contact = rows, columns, contact
        self.grid = contact.grid.resampled(rows, columns)
        self.sensor = TactileImage(calibration.resized(rows, columns, across), contact.dtype, contact.device)
        self._look = contact.at(self.grid)

    @torch.no_grad()
    def depth(self, object_pose: torch.Tensor, sensor_pose: torch.Tensor) -> torch.Tensor:
        """Depth (N, H, W) of the object below the gel [m], negative where they do not meet, of poses (N, 7)."""
        k, look = contact_kernels(warp_real(self.contact.dtype)), self._look
        rotation, position = (t.contiguous() for t in relative_pose(object_pose, sensor_pose))
        worlds, still = len(position), torch.zeros_like(position)
        # the kernel of the force field says how matter slides, too, which is not asked here
        depth, slide, rate = (position.new_empty((worlds, self.grid.count, *size)) for size in ((), (2,), ()))
        pose = [(rotation, k.mat33), (position, k.vec3)]
        launch_worlds(
            look.kernel, self.grid.count, look.constants, [*pose, *pose, (still, k.vec3), (still, k.vec3)],
            [(depth, k.real), (slide, k.vec2), (rate, k.real)],
        )  # fmt: skip
        return depth.unflatten(1, (self.rows, self.columns))

    @torch.no_grad()
    def __call__(self, object_pose: torch.Tensor, sensor_pose: torch.Tensor) -> torch.Tensor:
        """Images (N, H, W, 3) uint8, red, green, blue, of poses (N, 7) in the world frame."""
        return self.sensor.render(self.depth(object_pose, sensor_pose), as_uint8=True)

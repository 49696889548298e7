# SPDX-License-Identifier: Apache-2.0
"""Make docs/images/tactile_gallery.png: four objects on three tactile cameras, and the lamps with shadows."""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from simenv.geometry import Box, Cylinder, Shape, Sphere
from simenv.geometry.shapes import MeshShape
from simenv.sensors.tactile.image import ContactDepth, TactileImage
from simenv.sensors.tactile.sensors import digit, digit_shader, gelsight_mini, gelsight_r15

HEIGHT = 320  # of a picture [pixels]
OUT = Path(__file__).resolve().parents[1] / "images" / "tactile_gallery.png"


def nut(flats: float = 5.5e-3, hole: float = 3.0e-3, height: float = 2.4e-3, steps: int = 96) -> trimesh.Trimesh:
    """An M3 nut without thread: a hexagon (width over flats) with a hole (diameter) [m]."""
    angle = 2.0 * np.pi * np.arange(steps) / steps
    outside = 0.5 * flats / np.cos((angle % (np.pi / 3)) - np.pi / 6)
    rings = [(outside, 0.5), (outside, -0.5), (np.full(steps, 0.5 * hole), -0.5), (np.full(steps, 0.5 * hole), 0.5)]
    points = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(steps, z * height)], -1) for r, z in rings]
    faces = []
    for k in range(4):
        for i in range(steps):
            j, n = (i + 1) % steps, (k + 1) % 4
            a, b, c, d = k * steps + i, k * steps + j, n * steps + j, n * steps + i
            faces += [(a, c, b), (a, d, c)]
    return trimesh.Trimesh(np.concatenate(points), np.array(faces), process=False)


def picture(sensor: TactileImage, shape: Shape, lowest: float, quaternion: tuple[float, ...]) -> Image.Image:
    """The shape pressed in by 0.7 mm, wider than high; `lowest` is the distance from its origin to its lowest point."""
    depth = ContactDepth(sensor, shape, reach=1e-3)
    rest = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    pose = torch.tensor([[0.0, 0.0, lowest - 0.7e-3, *quaternion]])
    image = Image.fromarray(sensor.render(depth(pose, rest), as_uint8=True)[0].numpy())
    if image.width < image.height:
        image = image.transpose(Image.Transpose.ROTATE_90)
    return image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.BICUBIC)


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nut.stl"
        nut().export(file)
        s = math.sqrt(0.5)
        objects = [
            (Sphere(0.004), 0.004, (0.0, 0.0, 0.0, 1.0)),
            (Cylinder(0.002, 0.005), 0.002, (0.0, s, 0.0, s)),
            (Box((0.002, 0.002, 0.002)), 0.002, (0.0, 0.0, 0.26, 0.966)),
            (MeshShape(str(file)), 0.0012, (0.0, 0.0, 0.13, 0.991)),
        ]
        cameras = [TactileImage(gelsight_r15()), TactileImage(gelsight_mini()), TactileImage(digit())]
        cameras.append(TactileImage(digit(), shader=digit_shader()))
        rows = [[picture(camera, *item) for item in objects] for camera in cameras]
    width = max(sum(image.width for image in row) for row in rows)
    sheet = Image.new("RGB", (width, HEIGHT * len(rows)), "white")
    for r, row in enumerate(rows):
        x = 0
        for image in row:
            sheet.paste(image, (x, r * HEIGHT))
            x += image.width
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    sheet.resize((width * 3 // 4, sheet.height * 3 // 4), Image.Resampling.LANCZOS).save(out, optimize=True)


if __name__ == "__main__":
    main()

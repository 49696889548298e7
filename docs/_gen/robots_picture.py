# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/robots.png: `PYTHONPATH=. python docs/_gen/robots_picture.py`, from the top of the repository.

The robots that come with simenv beside the Panda, each in its usual posture.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv.render.items import Camera, MeshItem, Studio
from simenv.render.picture import Picture
from simenv.robots import Robot, load
from simenv.robots.poses import Pose

SIZE = (400, 400)
# from, towards [m], height of the floor [m] and size of its tiles [m]
VIEWS = {
    "fetch": ((2.5, -2.1, 1.35), (0.15, 0.0, 0.58), 0.0, 0.1),
    "quadruped": ((1.7, -1.5, 0.8), (0.0, 0.0, 0.28), 0.0, 0.1),
    "hand": ((0.36, -0.42, 0.16), (-0.01, 0.005, -0.005), -0.096, 0.02),
    "psm": ((1.25, 0.75, 0.45), (0.0, -0.29, 0.10), -0.25, 0.05),
    "ecm": ((1.25, 0.75, 0.55), (0.0, -0.25, 0.20), -0.25, 0.05),
    "lbr": ((2.0, -1.7, 1.0), (0.25, 0.0, 0.50), 0.0, 0.1),
}


def draw(name: str) -> np.ndarray:
    """A robot in its posture, (height, width, 3)."""
    tree = load(name)
    robot = Robot(tree, dtype=torch.float64)
    poses = dict(zip(robot.links, robot.link_poses(robot.posture)[0].numpy(), strict=True))
    meshes = []
    for link in tree.links:
        for look in link.looks:
            mesh, at = look.shape.to_mesh(), poses[link.name]
            pose = Pose.of(at[:3], at[3:]) @ Pose.of(look.position, look.quaternion)
            meshes.append(MeshItem(mesh.vertices, mesh.faces, look.color, np.r_[pose.place, pose.quaternion]))
    position, target, floor, tile = VIEWS[name]
    reach = float(np.linalg.norm(np.subtract(position, target)))
    studio = Studio(ground=floor, tile=tile, center=target[:2], radius=0.7 * reach)
    return Picture(meshes, Camera(position, target), studio, *SIZE, supersample=3).draw()


def main() -> None:
    """Draw the picture."""
    frames = [draw(name) for name in VIEWS]
    rows = [np.concatenate(frames[i : i + 3], axis=1) for i in (0, 3)]
    path = Path(__file__).resolve().parents[1] / "images" / "robots.png"
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Slots of contact that are passed over because their shapes are not near: none of them could have acted."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Cylinder, Plane, Shape, Sphere
from simenv.world import Control, Scene, World

SHAPES: dict[str, Shape] = {
    "box": Box((0.03, 0.05, 0.02)), "capsule": Capsule(0.02, 0.04), "cylinder": Cylinder(0.03, 0.02),
    "sphere": Sphere(0.03),
}  # fmt: skip
DT = 2e-3


def pile(worlds: int) -> tuple[World, torch.Tensor]:
    """Two bodies of every shape above a plane, and poses and twists with which many meet, fast and spinning."""
    scene = Scene(substep_dt=DT, substeps=1)
    scene.add_body("floor", Plane(), motion="fixed")
    for name, shape in SHAPES.items():
        for copy in range(2):
            scene.add_body(f"{name} {copy}", shape, 500.0, (0.0, 0.0, 0.5), motion="free", coupling="rigid")
    return World(scene, worlds, dtype=torch.float64), torch.Generator().manual_seed(3)


@pytest.mark.parametrize("speed", [0.1, 3.0])
def test_what_is_passed_over_could_not_have_acted(speed: float):
    """`gather` takes contacts whose gap is below dt (2 |speed of closing| + 1 m/s)."""
    worlds = 64
    world, random = pile(worlds)
    state = world.initial_state()
    q, twist = state.body_q.clone(), torch.zeros_like(state.body_twist)
    bodies = len(world.body_names) - 1
    q[:, 1:, :3] = 0.25 * (torch.rand((worlds, bodies, 3), generator=random, dtype=torch.float64) - 0.5)
    q[:, 1:, 2] += 0.15
    turn = torch.randn((worlds, bodies, 4), generator=random, dtype=torch.float64)
    q[:, 1:, 3:] = turn / turn.norm(dim=-1, keepdim=True)
    twist[:, 1:, :3] = speed * torch.randn((worlds, bodies, 3), generator=random, dtype=torch.float64)
    twist[:, 1:, 3:] = 20.0 * speed * torch.randn((worlds, bodies, 3), generator=random, dtype=torch.float64)
    world.step(state.replace(body_q=q, body_twist=twist), Control())
    program = world.engine.program()
    stepper = program.steppers["robots"]
    launches = [launch for launch in stepper._tick(0, False) if launch.kernel.key.endswith(("see_near", "collide"))]
    slots, device = stepper._slots(program.desk.frames.scratch(0, False)), stepper.desk.memory.wp_device
    near = slots.near.array.numpy().copy()
    assert 0.02 < (near > 0).mean() < 0.6  # most are passed over, and many are not
    launches[0].constants[1] = 1.0  # and now all that could act in a second
    launches[0].forward(device)
    boxes = stepper._contacts.own.numpy() >= 0  # slots of pairs of boxes have codes of what touches
    slots.near.array.assign(np.where(boxes, slots.near.array.numpy(), 1).astype(np.int32))
    launches[1].forward(device)
    gap, normal, point = (each.array.numpy() for each in slots.met)
    place, _, velocity, omega = (each.array.numpy() for each in slots.was)
    a, b = (getattr(stepper._contacts, side).numpy() for side in "ab")
    of = [velocity[:, i] + np.cross(omega[:, i], point - place[:, i]) for i in (a, b)]
    closing = np.abs(((of[0] - of[1]) * normal).sum(-1))
    acts = gap < DT * (2.0 * closing + 1.0)
    assert acts.sum() > 100 and not (acts & (near == 0)).any()

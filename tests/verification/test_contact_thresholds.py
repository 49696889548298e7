# SPDX-License-Identifier: Apache-2.0
"""Where rigid contact begins to slip or to tip, and how motion depends on friction, against closed forms."""

import math

import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, Tree
from tests.verification.test_contact import G, on_slope, run, speed, world_of

DOUBLE = torch.float64


@pytest.mark.parametrize("share", [0.98, 1.02])
def test_a_ball_slips_iff_the_slope_is_steeper_than_its_friction_lets_it_roll(share):
    """tan a > 7/2 mu: above, the point that touches gains g (sin a - 7/2 mu cos a)."""
    mu, radius, holder = 0.1, 0.05, []
    a = math.atan(share * 3.5 * mu)
    world = world_of(lambda s: holder.append(on_slope(s, Sphere(radius), math.degrees(a), radius, mu)))
    state = run(world, 0.5)
    slips = speed(world, state, holder[0]) - radius * float(state.body_twist[0, 1, 4])
    wanted = max(G * (math.sin(a) - 3.5 * mu * math.cos(a)) * 0.5, 0.0)
    print(f"\nmeasured: slips at {slips:.6f} m/s, wanted {wanted:.6f}")
    assert slips == pytest.approx(wanted, rel=5e-3, abs=1e-5)  # it has sunk by 0.5 um: w times half of that


def test_where_a_bowling_ball_is_depends_on_friction():
    """Once it rolls it is at 12 v^2 / (49 mu g) + 5/7 v (t - 2 v / (7 mu g)): by mu, 2 v^2 / (49 mu^2 g) farther for
    each unit of it less, and as fast with any.
    """
    mu, v, seconds, holder = 0.3, 2.0, 0.4, []
    world = world_of(lambda s: holder.append(on_slope(s, Sphere(0.1), 0.0, 0.1, mu, v)))
    friction = world.parameters["body|slope.friction"].clone().requires_grad_()
    world.parameters["body|slope.friction"] = friction
    state = run(world, seconds)
    x, rate = state.body_q[0, 1, 0], state.body_twist[0, 1, 0]
    by_place, by_rate = (float(torch.autograd.grad(each, friction, retain_graph=True)[0]) for each in (x, rate))
    x, rate = float(x.detach()), float(rate.detach())
    away = 12 * v**2 / (49 * mu * G) + 5 / 7 * v * (seconds - 2 * v / (7 * mu * G))
    print(f"\nmeasured: {x:.6f} m of {away:.6f}; by friction {by_place:.5f}, wanted "
          f"{-2 * v**2 / (49 * mu**2 * G):.5f} m; {by_rate:.1e} m/s")  # fmt: skip
    assert x == pytest.approx(away, rel=5e-4)
    # it slips for 194 ticks, and a part of one more
    assert by_place == pytest.approx(-2 * v**2 / (49 * mu**2 * G), rel=0.01)
    assert abs(by_rate) < 0.01 * v / mu


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_a_block_that_is_pushed_tips_iff_the_push_is_high_enough(share):
    """F z > m g b: a slide with a smooth ball pushes a block of 1 kg with half the width b at the height z."""
    b, z, mass = 0.05, 0.16, 1.0
    force = share * mass * G * b / z
    tip = Fitted(Sphere(0.01), (0.0, 0.0, 0.0))
    inertia = ((1e-4, 0.0, 0.0), (0.0, 1e-4, 0.0), (0.0, 0.0, 1e-4))
    link = Link(
        "tip", None, Joint("push", "prismatic", axis=(1.0, 0.0, 0.0)), Inertial(0.1, (0.0, 0.0, 0.0), inertia), (),
        (tip,),
    )  # fmt: skip

    def build(scene):
        on_slope(scene, Box((b, b, 0.1)), 0.0, 0.1, 2.0, density=mass / (4 * b**2 * 0.2))
        scene.add_robot("pusher", Tree("pusher", (link,)), (-b - 0.01, 0.0, z), drive=JointDrive())
        scene.set_contact("body", "pusher", RigidContact(friction=0.0))
        scene.let_pass("pusher", "slope", "it does not hang so low")

    world = world_of(build)
    state, control = world.initial_state(), world.control(torques={"pusher": torch.full((1, 1), force, dtype=DOUBLE)})
    for _ in range(100):
        state = world.step(state, control)
    assert (state.status == 0).all()
    turned = 2 * math.asin(float(state.body_q[0, 1, 3:6].norm()))
    # beyond, about its edge: I x'' = F z - m g b, from rest, and faster as it leans
    about = mass * ((4 * b**2 + 0.2**2) / 12 + b**2 + 0.1**2)
    print(f"\nmeasured: turned by {turned:.2e} rad; F z - m g b alone {0.5 * (force * z - mass * G * b) / about:.2e}")
    assert (turned > 0.5 * 0.01 * mass * G * b / about) if share > 1.0 else (turned < 1e-4)

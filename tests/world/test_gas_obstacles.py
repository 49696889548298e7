# SPDX-License-Identifier: Apache-2.0
"""Obstacles in gas: what a scene makes of them, momentum, dye, divergence, derivatives, and what stops a world."""

import math

import pytest
import torch

from simenv.geometry.shapes import Box, Cylinder, Sphere
from simenv.physics import status
from simenv.physics.gas.model import SIDES, Inlet, Outlet, Periodic, Scalar, Slip, Wall
from simenv.world import Control, Scene
from simenv.world.obstacles import obstacles_of
from tests.physics.test_obstacles import Cutting
from tests.world import zoo

PERIODIC = {side: Periodic() for side in SIDES}
DENSITY = 1.2


def scene_of(cells, dx, dt=0.01, steps=1, viscosity=1e-3, sides=PERIODIC, scalars=None, **gas):
    scene = Scene(substep_dt=dt, substeps=steps, gravity=gas.pop("gravity", (0.0, 0.0, 0.0)))
    size = tuple(n * dx for n in cells)
    scene.add_gas("air", DENSITY, viscosity, sides, scalars, **{"size": size, "dx": dx, **gas})
    return scene


def random(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def momentum_of(world, state, cells, dx):
    """Of the gas, by open shares of faces; and the mass that these lack beside whole faces, on each axis (3,)."""
    cutting = Cutting(obstacles_of(world.scene), cells, dx, (True,) * 3)
    pose, twist = state.body_q, state.body_twist
    cutting.run([pose[..., :3], pose[..., 3:], twist[..., :3], twist[..., 3:]])
    cell = DENSITY * dx**3
    shares = [slot.tensor for slot in cutting.cut.open]
    total = [(share * state[f"gas_{key}"]).sum() for share, key in zip(shares, "uvw", strict=True)]
    return cell * torch.stack(total), cell * torch.stack([(1.0 - share).sum() for share in shares])


@pytest.mark.parametrize("twist", [(0.0,) * 6, (0.0, 0.0, 0.0, 1.0, 0.0, 3.0), (0.5, -0.2, 0.1, 1.0, 0.0, 3.0)])
def test_what_a_body_feels_is_what_gas_loses(twist):
    """To rounding, from rest at once to a constant twist; of a body that moves, gas counts as if it were in its place
    and went along, since the cells that see it change.
    """
    cells, dx = (12, 12, 12), 1.0 / 24
    scene = scene_of(cells, dx)
    scene.add_body("ball", Sphere(0.1), position=(0.3, 0.25, 0.25))
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    state = state.replace(gas_u=state.gas_u + 0.3)
    told = torch.tensor([[twist]], dtype=torch.float64)
    state = state.replace(body_twist=told)
    largest = 0.0
    for _ in range(4):
        before, lacking = momentum_of(world, state, cells, dx)
        state = world.step(state, Control(twist=told))
        assert int(state.status) == 0
        after, lacks = momentum_of(world, state, cells, dx)
        change = after - before + (lacks - lacking) * told[0, 0, :3]
        felt = world.gas.wrench(state, "ball")[0, :3] * world.dt
        assert (change + felt).abs().max() < 1e-12 * before.abs().max()
        largest = max(largest, felt.abs().max().item())
    assert largest > 1e-3 * before.abs().max()


@pytest.mark.parametrize(("coupling", "density"), [("contact", 12.0), ("rigid", 12.0), ("rigid", 0.1)])
def test_a_free_ball_and_gas_keep_their_momentum(coupling, density):
    """To rounding, of a ball that crosses cells, and what it is owed: once more counted as if gas were in its place,
    and took no part where it speeds up.
    """
    cells, dx, radius = (12, 12, 12), 1.0 / 24, 0.1

    def world_of(steps):
        scene = scene_of(cells, dx, steps=steps, tolerance=1e-12, iterations=40)
        scene.add_body(
            "ball", Sphere(radius), density, (0.3, 0.25, 0.25), motion="free", velocity=(2.0, 0.8, 0.0),
            angular_velocity=(0.0, 0.0, 3.0), coupling=coupling,
        )  # fmt: skip
        world = scene.make_world(1, dtype=torch.float64)
        state = world.initial_state()
        return world, state.replace(gas_u=state.gas_u + 0.3)

    world, state = world_of(1)
    mass = density * 4.0 / 3.0 * math.pi * radius**3
    start = state.body_q[0, 0, :3]
    most = mass * state.body_twist[0, 0, :3].norm()
    before, lacking = momentum_of(world, state, cells, dx)
    whole, largest = DENSITY * 0.3 * 0.5**3 + most, 0.0
    for tick in range(12):
        was, owed = state.body_twist[0, 0, :3], state.gas_owed[0, 0, :3]
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        after, lacks = momentum_of(world, state, cells, dx)
        now, owes = state.body_twist[0, 0, :3], state.gas_owed[0, 0, :3]
        gained = mass * (now - was) + owes - owed
        assert (gained - world.gas.wrench(state, "ball")[0, :3] * world.dt).abs().max() < 1e-12 * whole
        assert (after - before + (lacks - lacking) * was + gained).abs().max() < 1e-12 * whole
        before, lacking, largest = after, lacks, max(largest, gained.abs().max().item())
        if tick == 3:
            fourth = state
    assert (state.body_q[0, 0, :3] - start).norm() > 1.5 * dx and largest > 1e-2 * whole
    world, state = world_of(4)  # ticks of one control step are those of four
    state = world.step(state, world.zero_control())
    for name in ("gas_u", "gas_owed", "body_twist"):
        torch.testing.assert_close(state[name], fourth[name], rtol=1e-12, atol=1e-12)


def test_still_gas_carries_what_is_in_it():
    """Archimedes: a ball that stands in gas at rest feels the weight of the gas in its place."""
    cells, dx, radius = (16, 16, 16), 1.0 / 32, 0.13
    scene = scene_of(cells, dx, sides={}, gravity=(0.0, 0.0, -9.81))
    scene.add_body("ball", Sphere(radius), position=(0.26, 0.25, 0.24), motion="fixed")
    world = scene.make_world(1, dtype=torch.float64)
    state = world.step(world.initial_state(), Control())
    weight = DENSITY * 9.81 * 4.0 / 3.0 * math.pi * radius**3
    felt = world.gas.wrench(state, "ball")[0]
    assert felt[2].item() == pytest.approx(weight, rel=0.625 * (dx / radius) ** 2)  # as in test_obstacles
    assert felt[:2].abs().max() < 1e-12 * weight and not state.gas_w.any()


def test_dye_stays_out_of_a_body_that_stands_and_is_kept_when_one_stirs():
    """In single precision, over a thousand steps: none enters or leaves what is closed, none is lost."""
    scene = scene_of((8, 8, 8), 0.125, 0.02, 50, 1e-4, {}, {"dye": Scalar(1e-4)})
    scene.add_source("fan", Box((0.1, 0.2, 0.2)), (0.2, 0.5, 0.3))
    scene.add_body("post", Box((0.13, 0.13, 0.5)), position=(0.7, 0.66, 0.5), motion="fixed")
    scene.add_body("paddle", Box((0.07, 0.15, 0.2)), position=(0.4, 0.4, 0.5))
    world = scene.make_world(1)
    state = world.initial_state()
    start = torch.rand(state.gas_scalar.shape, generator=torch.Generator().manual_seed(0))
    state, before = state.replace(gas_scalar=start), start.double()
    drive = torch.tensor([[[0.3, 0.2, 0.5]]])
    for turn in range(20):
        twist = torch.tensor([[[0.1 * (-1.0) ** turn, 0.0, 0.0, 0.0, 0.0, 1.0]]])
        state = world.step(state, Control(twist=twist, gas_drive=drive))
        assert int(state.status) == 0
    after = state.gas_scalar.double()
    assert abs(after.sum() / before.sum() - 1.0) < 1e-6
    assert after.min() > before.min() - 1e-5 and after.max() < before.max() + 1e-5
    inside = (0, 0, 5, 5, slice(None))  # x and y from 0.625 to 0.75
    assert torch.equal(state.gas_scalar[inside], start[inside])
    assert after.var() < 0.7 * before.var()


def stirred(n, dtype):
    """A world with a turning and a moving body, a step, the largest divergence and the most iterations of a solve."""
    scene = scene_of((n, n, n), 1.0 / n, 0.2 / n, 1, 1e-4, {"x-": Inlet((1.0, 0.0, 0.0)), "x+": Outlet()})
    scene.add_body("ball", Sphere(0.18), position=(0.4, 0.5, 0.52))
    scene.add_body("bar", Box((0.05, 0.3, 0.06)), position=(0.75, 0.5, 0.5), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_body("post", Cylinder(0.08, 1.0), position=(0.2, 0.25, 0.5), motion="fixed")
    world = scene.make_world(1, dtype=dtype)
    twist = torch.tensor([[[0.5, 0.3, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.2, 1.0, 0.5, 0.3]]], dtype=dtype)
    state, most, spilled = world.initial_state(), 0, 0.0
    for _ in range(3):
        state = world.step(state, Control(twist=twist))
        assert int(state.status) == 0
        most = max(most, int(world.engine.program().steppers["gas"].gas.projection.solver.spent.tensor.max()))
        fastest = max(state[f"gas_{key}"].abs().max().item() for key in "uvw")
        spilled = max(spilled, state.gas_divergence.item() / n / fastest)
    return most, spilled


@pytest.mark.parametrize("n", [32, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_six_iterations_leave_no_divergence_around_what_moves(n, dtype):
    iterations, spilled = stirred(n, dtype)
    assert iterations <= 6 and spilled < 1e-5


def test_derivatives_against_differences():
    """To the state, the pose and the motion of a body, the pose of a fixed one, viscosity and density."""
    sides = {"x-": Inlet((1.0, 0.0, 0.0), heat=1.0), "x+": Outlet(heat=0.0)}
    sides |= {"y-": Slip(), "y+": Slip(), "z-": Wall(), "z+": Slip()}
    scene = scene_of(
        (8, 4, 4), 0.125, 0.02, 2, 5e-3, sides, {"heat": Scalar(1e-3, 0.1)}, tolerance=1e-12, iterations=40,
        limited=False, gravity=(0.0, 0.0, -9.81),
    )  # fmt: skip
    scene.add_body("box", Box((0.12, 0.1, 0.08)), position=(0.3, 0.25, 0.25), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_body("post", Cylinder(0.1, 1.0), position=(0.7, 0.22, 0.25), motion="fixed")
    world = scene.make_world(1, dtype=torch.float64)
    draw, first = random(0), world.initial_state()
    names = ("gas_u", "gas_v", "gas_w", "gas_scalar")
    told = {name: first[name] + 0.1 * draw(*first[name].shape) for name in names}
    told |= {"body_q": first.body_q, "twist": 0.3 * draw(1, 1, 6)}
    told |= {key: world.parameters[f"air.{key}"].clone() for key in ("viscosity", "density")}
    weights = {name: draw(*first[name].shape) for name in (*names, "gas_wrench", "gas_pressure")}
    weights["gas_wrench"] *= 100.0

    def loss(given):
        for key in ("viscosity", "density"):
            world.parameters[f"air.{key}"] = given[key]
        state = first.replace(**{name: given[name] for name in (*names, "body_q")})
        for _ in range(2):
            state = world.step(state, Control(twist=given["twist"]))
        assert int(state.status) == 0
        return sum((weight * state[name]).sum() for name, weight in weights.items())

    asked = {name: value.clone().requires_grad_() for name, value in told.items()}
    loss(asked).backward()
    for name, value in told.items():
        along = draw(*value.shape)
        along /= along.norm()
        with torch.no_grad():
            ends = [loss(told | {name: value + sign * 1e-6 * along}) for sign in (1.0, -1.0)]
        expected, found = (ends[0] - ends[1]) / 2e-6, (asked[name].grad * along).sum()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_an_obstacle_that_moves_more_than_a_cell_stops_its_world_alone():
    scene = scene_of((8, 8, 8), 0.125, sides={})
    scene.add_body("ball", Sphere(0.2), position=(0.5, 0.5, 0.5))
    world = scene.make_world(2)
    twist = torch.zeros(2, 1, 6)
    twist[:, 0, 0] = torch.tensor([1.0, 15.0])  # 12.5 m/s is a cell in a tick
    state = world.step(world.initial_state(), Control(twist=twist))
    assert state.status[0] == 0 and int(state.status[1]) & status.TOO_FAST


def test_every_body_with_a_shape_every_collider_and_every_link_is_an_obstacle():
    scene = zoo.jointed()
    scene.add_gas("air", size=(0.5, 0.5, 0.5), dx=0.125, origin=(-0.25, -0.25, 0.0))
    found = {each.name: each for each in obstacles_of(scene)}
    assert list(found) == ["floor", "ball", "pendulum/upper", "pendulum/lower"]
    assert [each.moves for each in found.values()] == [False, True, True, True]
    scene = Scene((0.5, 0.5, 0.5), 0.125, 0.01, 2)
    scene.add_gas("air")
    scene.add_body("tool", Sphere(0.05), position=(0.2, 0.2, 0.2))
    scene.add_collider("tip", Box((0.1, 0.1, 0.1)), "tool", position=(0.0, 0.0, 0.1), scale=0.5)
    scene.add_collider("wall", Box((0.1, 0.1, 0.1)), position=(0.4, 0.0, 0.1))
    found = {each.name: each for each in obstacles_of(scene)}
    assert [(name, each.frame, each.scale) for name, each in found.items()] == [
        ("tool", 0, 1.0), ("tip", 0, 0.5), ("wall", -1, 1.0),
    ]  # fmt: skip
    assert [each.name for each in obstacles_of(scene, ["wall", "tip"])] == ["tip", "wall"]
    assert [each.name for each in obstacles_of(zoo.jointed(), ["pendulum"])] == ["pendulum/upper", "pendulum/lower"]
    with pytest.raises(ValueError, match="gas cannot go around 'door', which is nothing solid; there are:"):
        obstacles_of(scene, ["door"])
    world = scene.make_world(1)
    assert world.gas.wrench(world.initial_state(), "tool").shape == (1, 6)
    with pytest.raises(KeyError, match="no obstacle 'door'; there are: tool, tip, wall"):
        world.gas.wrench(world.initial_state(), "door")
    scene.add_collider("cup", [Box((0.1, 0.1, 0.1)), Sphere(0.1)])
    with pytest.raises(ValueError, match="collider 'cup' has variants, which flow cannot go around"):
        scene.make_world(1)


def test_wind_swings_a_pendulum():
    """Links are pushed along the wind, with what the gas says that they feel."""
    scene = zoo.jointed()
    box = {"size": (0.25, 0.125, 0.25), "dx": 1.0 / 64, "origin": (-0.125, -0.0625, 0.05)}
    scene.add_gas("air", sides={"x-": Inlet((2.0, 0.0, 0.0)), "x+": Outlet()}, **box)
    world, still = scene.make_world(1), zoo.jointed().make_world(1)
    state, without = world.initial_state(), still.initial_state()
    for _ in range(5):
        state, without = world.step(state, world.zero_control()), still.step(without, still.zero_control())
        assert int(state.status) == 0
    felt = world.gas.wrench(state, "pendulum/lower")[0]
    pushed = state.link_wrench[0] - without.link_wrench[0]
    row = world.robot_solver.row(list(scene.bodies).index("pendulum/lower"))
    assert felt[0] > 1e-4
    torch.testing.assert_close(pushed[row], felt, rtol=1e-4, atol=1e-6)
    assert (state.body_q - without.body_q)[0, list(scene.bodies).index("pendulum/lower"), 0] > 0.0

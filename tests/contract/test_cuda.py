# SPDX-License-Identifier: Apache-2.0
"""What a GPU does, against the CPU: states and gradients, repetition, streams, waiting, sensors, memory.

Where there is none, the slow suite rehearses the same bodies on the CPU, so that they run when a GPU is there; only the
comparisons are then without meaning.
"""

import contextlib

import gymnasium as gym
import pytest
import torch

import simenv
from simenv.geometry.shapes import Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.robots import JointDrive, Robot, ToolDrive, chain, load
from simenv.sensors.tactile import ElasticLayerGel, MarkerField, TactileField, WinklerGel, flat_grid, marker_grid
from simenv.sensors.tactile.image import TactileImage
from simenv.sensors.tactile.sensors import gelsight_mini
from simenv.world import Scene, World
from tests.contract import cuda_cases
from tests.gradients.scenes import block

ON_CUDA = pytest.param("cuda", marks=pytest.mark.cuda, id="cuda")
REHEARSAL = pytest.param("cpu", marks=pytest.mark.slow, id="rehearsal")
on_gpu = pytest.mark.parametrize("device", [ON_CUDA, REHEARSAL])


def each(values, rehearsed):
    """Parameters for every value on CUDA, and for some in the rehearsal."""
    for value in values:
        yield pytest.param(value, "cuda", marks=pytest.mark.cuda, id=f"{value}-cuda")
    for value in rehearsed:
        yield pytest.param(value, "cpu", marks=pytest.mark.slow, id=f"{value}-rehearsal")


CASES = (*cuda_cases.PARTICLES, *cuda_cases.TOUCH)
FLOAT64, FLOAT32 = 1e-10, 1e-4  # sums of atomics are in an order of their own, in every run


def agree(one, other, tolerance):
    apart = cuda_cases.difference(one, other)
    assert max(apart.values()) < tolerance, {key: value for key, value in apart.items() if value >= tolerance}


@pytest.mark.parametrize(("name", "device"), each(CASES, ["sparse", "BallRoll"]))
def test_states_and_gradients_equal_those_of_the_cpu(name, device):
    agree(cuda_cases.run(name), cuda_cases.run(name, device), FLOAT64)


@pytest.mark.parametrize(("name", "device"), each(["sparse", "rigid", "BallRoll"], ["sparse"]))
def test_the_same_run_twice_differs_by_rounding(name, device):
    one, again = (cuda_cases.run(name, device, torch.float32) for _ in "ab")
    agree(one, again, FLOAT32)


def side_stream(device):
    """A stream of torch's own, on which the host's other streams do not wait; nothing on the CPU."""
    return torch.cuda.stream(torch.cuda.Stream()) if device == "cuda" else contextlib.nullcontext()


@pytest.mark.parametrize(("name", "device"), each(["families", "BallRoll"], ["BallRoll"]))
def test_on_a_side_stream(name, device):
    expected = cuda_cases.run(name, device)
    for _ in range(2):  # two wrappers of one stream
        with side_stream(device):
            found = cuda_cases.run(name, device)
            agree(expected, found, FLOAT64)


@contextlib.contextmanager
def nobody_waits(device):
    """Every call that makes the host wait for the device raises an error."""
    mode = torch.cuda.get_sync_debug_mode() if device == "cuda" else 0
    try:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode(mode)


@pytest.mark.parametrize(("task_id", "device"), each(sorted(simenv._BUILTIN_TASKS), ["SimEnv/BallRoll-v0"]))
def test_no_step_waits(task_id, device):
    env = gym.make_vec(task_id, num_envs=8, output="torch", device=device, max_episode_steps=2)
    env.reset(seed=0)
    actions = torch.zeros(8, *env.single_action_space.shape, device=env.unwrapped.world.device)
    for _ in range(3):
        env.step(actions)
    with nobody_waits(device):
        for _ in range(5):
            _, reward, *_ = env.step(actions)
    assert reward.device.type == device and bool(torch.isfinite(reward).all())
    env.close()


def reading(gel, device):
    """A ball pressed into two gels and moved along them, and the gradient of the force by its place."""
    field = TactileField(flat_grid(8, 8, 0.016, 0.016), gel, Sphere(0.006), torch.float32, device)
    ball = torch.tensor([[0.001, 0.0, 0.0052, 0, 0, 0, 1.0], [0.0, 0.002, 0.0055, 0, 0, 0, 1.0]], device=field.device)
    still = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]], device=field.device).repeat(2, 1)
    _, memory = field.measure(ball, still)
    moved = (ball + torch.tensor([[1e-4, 0, 0, 0, 0, 0, 0]], device=field.device)).requires_grad_()
    found, _ = field.measure(moved, still, memory)
    (gradient,) = torch.autograd.grad(found.field()[..., 2].sum(), moved)
    return field.grid, found, {"field": found.field(), "wrench": found.wrench, "gradient": gradient[:, :3]}


def host(found):
    return {key: value.detach().cpu().numpy() for key, value in found.items()}


GELS = {"springs": (WinklerGel(2e7, 1e7, 0.5), FLOAT32), "elastic": (ElasticLayerGel(1e5, 0.8, 0.48, 4e-3), 1e-3)}


@pytest.mark.parametrize(("name", "device"), each(GELS, ["springs"]))
def test_a_force_field_equals_that_of_the_cpu(name, device):
    gel, tolerance = GELS[name]
    agree(*(host(reading(gel, where)[2]) for where in ("cpu", device)), tolerance)


@on_gpu
def test_markers_and_images_equal_those_of_the_cpu(device):
    results = []
    for where in ("cpu", device):
        grid, found, _ = reading(WinklerGel(2e7, 1e7, 0.5), where)
        markers = MarkerField(grid, marker_grid(4, 4, 2e-3), 1e5, device=where)
        camera = TactileImage(gelsight_mini(), device=where)
        depth = torch.zeros(1, camera.rows, camera.columns)
        depth[:, 60:90, 100:140] = 4e-4
        results.append(host({"moved": markers.displacement(found), "image": camera.render(depth.to(where))}))
    agree(*results, 1e-3)


@on_gpu
def test_a_robot_equals_that_of_the_cpu(device):
    """By itself, and the gradient of a step under an impedance."""
    results = []
    for where in ("cpu", device):
        arm = Robot(chain(load("panda")), 2, where, torch.float64)
        q = arm.posture + torch.tensor([[0.0], [0.1]], dtype=torch.float64, device=arm.device)
        found = {"pose": arm.pose(q, "tool"), "matrix": arm.mass_matrix(q), "bias": arm.bias(q, 0.1 * q)}
        found["reached"] = arm.pose(arm.reach(found["pose"], "tool"), "tool")
        assert float((found["reached"] - found["pose"])[:, :3].abs().max()) < 1e-9
        scene = Scene(substep_dt=1e-3, substeps=4)
        drive, tools = JointDrive(gravity_compensation=True), {"tool": ToolDrive()}
        scene.add_robot("arm", chain(load("panda")), drive=drive, tools=tools)
        world = World(scene, 2, where, torch.float64)
        state = world.robots["arm"].place(world.initial_state(), q, 0.1 * q)
        goal = (found["pose"] + 0.01).requires_grad_()
        after = world.step(state, world.control(goal={"arm/tool": goal}))
        after.joint_q.sum().backward()
        results.append(host({**found, "q": after.joint_q, "qd": after.joint_qd, "slope": goal.grad}))
        world.close()
    agree(*results, FLOAT64)


@pytest.mark.cuda
def test_cuda_gets_its_index_and_too_many_worlds_are_told():
    scene = Scene((0.2, 0.2, 0.2), 0.02, 4e-4, 5)
    scene.add_material("water", Liquid(1000.0, 4e4))
    scene.add_particles("water", "water", block((0.05, 0.05, 0.05), (6, 6, 6)), 1e-6)
    world = World(scene, 1, "cuda")
    assert world.device.index is not None and world.initial_state().x.device == world.device
    world.close()
    before = torch.cuda.memory_allocated()
    with pytest.raises(simenv.OutOfMemoryError, match="use at most"):
        World(scene, 100_000_000, "cuda")
    assert torch.cuda.memory_allocated() == before

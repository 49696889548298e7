# SPDX-License-Identifier: Apache-2.0
"""The chain of control steps, each simulated again in its backward pass, against one tape that keeps every substep;
and memory.
"""

import json
import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from simenv.world import Control, World
from tests.gradients.scenes import MATERIALS, press_scene

TOLERANCE = 1e-10
STEPS, SUBSTEPS = 6, 4


def gradients(name, steps, substeps, segments=0):
    """Gradients of one return through `steps` control steps of `substeps` substeps, as one world per run."""
    world = World(press_scene(name, substeps), 1, dtype=torch.float64)
    start = world.initial_state()
    fields = [field for field in ("x", "v", "F", "J", "body_q") if field in start and start[field].numel()]
    leaves = {field: getattr(start, field).clone().requires_grad_() for field in fields}
    leaves["twist"] = torch.tensor([[[0.1, -0.1, -0.75, 1.0, 2.0, -1.0]]], dtype=torch.float64, requires_grad=True)
    for parameter in world.parameters:
        if not parameter.endswith(".scale"):
            leaves[parameter] = world.parameters[parameter].clone().requires_grad_()
            world.parameters[parameter] = leaves[parameter]
    state = start.replace(**{field: leaves[field] for field in fields})
    random = torch.Generator().manual_seed(0)
    shapes = {name: getattr(start, name).shape for name in ("x", "v", "wrench")}
    weights = {name: torch.randn(shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()}
    impulse = torch.zeros_like(start.wrench)

    def run(state, impulse, count):
        for _ in range(count):
            state = world.step(state, Control(leaves["twist"]))
            # forces add up over the steps; torques are about a moving origin, which a longer step averages alike
            impulse = impulse + state.wrench / steps
        return state, impulse

    if segments:
        for _ in range(segments):
            state, impulse = checkpoint(run, state, impulse, steps // segments, use_reentrant=False)
    else:
        state, impulse = run(state, impulse, steps)
    assert (state.status == 0).all()
    value = (state.x * weights["x"]).sum() + 0.1 * (state.v * weights["v"]).sum()
    value = value + 0.01 * (impulse * weights["wrench"]).sum()
    value.backward()
    grads = {name: leaf.grad for name, leaf in leaves.items()}
    # poses are normalised after every control step, so that a change of a quaternion's length counts differently
    unit = leaves["body_q"].detach()[..., 3:]
    along = (grads["body_q"][..., 3:] * unit).sum(-1, keepdim=True) * unit
    grads["body_q"] = torch.cat([grads["body_q"][..., :3], grads["body_q"][..., 3:] - along], -1)
    return value.item(), grads


@pytest.mark.parametrize("name", MATERIALS)
def test_resimulated_gradient_equals_full_tape(name):
    value, chained = gradients(name, STEPS, SUBSTEPS)
    full_value, full = gradients(name, 1, STEPS * SUBSTEPS)
    assert value == pytest.approx(full_value, rel=TOLERANCE)
    sizes = {leaf: float(grad.norm()) for leaf, grad in full.items() if grad.norm() > 0}
    errors = {leaf: float((chained[leaf] - full[leaf]).norm()) / size for leaf, size in sizes.items()}
    print(f"\nmeasured {name}: {max(errors.values()):.1e} ({max(errors, key=errors.get)})")
    assert len(errors) >= 8
    assert max(errors.values()) <= TOLERANCE, errors


def test_torch_checkpointing_gives_the_same_gradient():
    value, plain = gradients("liquid", STEPS, SUBSTEPS)
    other_value, segmented = gradients("liquid", STEPS, SUBSTEPS, segments=3)
    assert value == other_value
    for leaf in plain:
        torch.testing.assert_close(segmented[leaf], plain[leaf], rtol=1e-14, atol=0)


MEMORY = """
import json, sys
import numpy as np, torch
from torch.utils.checkpoint import checkpoint
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World

def memory(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024  # MiB

steps, segments = int(sys.argv[1]), int(sys.argv[2])
scene = Scene((0.4, 0.4, 0.4), 0.01, 2.0e-4, 6, gravity=(0.0, 0.0, 0.0))  # so that as much of the grid is touched
scene.add_material("m", Liquid(1000.0, 4.0e4, 0.1))
scene.add_particles("p", "m", np.random.default_rng(0).uniform(0.15, 0.25, (4000, 3)), 2.5e-7)
scene.add_body("hand", position=(0.2, 0.2, 0.1))
world = World(scene, 1)

def run(state, control, count):
    for _ in range(count):
        state = world.step(state, control)
    return state

def episode(steps, segments):
    twist = torch.zeros(1, 1, 6, requires_grad=True)
    x = world.initial_state().x.requires_grad_()
    state = world.initial_state().replace(x=x)
    for _ in range(segments or 1):
        if segments:
            state = checkpoint(run, state, Control(twist), steps // segments, use_reentrant=False)
        else:
            state = run(state, Control(twist), steps)
    assert (state.status == 0).all()
    state.x[..., 2].mean().backward()
    return float(x.grad.sum())

with torch.no_grad():
    run(world.initial_state(), Control(torch.zeros(1, 1, 6)), 1)  # libraries and kernels are loaded from here on
leaf = torch.zeros(1, requires_grad=True)
checkpoint(torch.exp, leaf, use_reentrant=False).sum().backward()
before = memory("VmRSS")
assert np.isfinite(episode(steps, segments))
print(json.dumps({"total": memory("VmHWM"), "gradient": memory("VmHWM") - before}))
"""


def peak(steps, segments=0):
    command = [sys.executable, "-c", MEMORY, str(steps), str(segments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


LONG = pytest.param(10, 10, marks=pytest.mark.slow, id="long")


@pytest.mark.parametrize(("short", "segments"), [pytest.param(2, 4, id="quick"), LONG])
def test_memory_of_a_ten_times_longer_horizon(short, segments):
    few, many = peak(short, 2), peak(10 * short, segments)
    print(f"\nmeasured {short} steps {few}, {10 * short} steps {many} MiB")
    assert many["gradient"] < 4 * few["gradient"]  # what the gradient needs, without the interpreter and the libraries


def test_a_control_step_keeps_no_more_than_its_entering_state():
    world = World(press_scene("corotated", 10), 1)
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    state = world.initial_state()
    state = state.replace(x=state.x.requires_grad_())
    twist = torch.zeros(1, 1, 6, requires_grad=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for _ in range(4):
            state = world.step(state, Control(twist))
            sizes.append(sum(tensor.untyped_storage().nbytes() for tensor in saved.values()))
    entering = sum(getattr(state, name).nbytes for name in ("x", "v", "C", "F", "J"))
    print(f"\nmeasured {sizes[3] - sizes[2]} bytes a step, the entering particles are {entering}")
    assert sizes[3] - sizes[2] < 1.25 * entering  # poses of the bodies at every substep, and masks, are small

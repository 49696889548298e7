# SPDX-License-Identifier: Apache-2.0
"""Buffers that do not fit are refused before the first of them is made, in one sentence with the number of worlds, the
bytes needed and free, and what to do; what there was before stays usable.
"""

import re

import pytest
import torch

import simenv
from simenv import _threads
from simenv.geometry.shapes import Sphere
from simenv.physics.launch import memory
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Control, Scene, World
from tests.contract.cuda_cases import PARTICLES
from tests.gradients.scenes import press_scene


@pytest.fixture
def free(monkeypatch):
    """Sets what the device says it has free [bytes]; None: it does not say."""

    def set_free(count):
        monkeypatch.setattr(memory, "free_bytes", lambda device: count)

    return set_free


def told(error):
    """Numbers in a message: bytes needed, bytes free."""
    units = {"GB": 1e9, "MB": 1e6}
    return [float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) ([GM]B)", str(error.value))]


def test_states_that_do_not_fit_are_refused_before_the_world_is_built(free):
    """float32: x, v, C and J of P particles, F of none but one, three times; 100 000 worlds."""
    scene, worlds, particles = press_scene("liquid"), 100_000, 216
    needed = 3 * worlds * (particles * (3 + 3 + 9 + 1) + 9) * 4
    free(needed // 4)
    with pytest.raises(
        simenv.OutOfMemoryError, match=r"100000 worlds needs .* on cpu.*use at most 25000 worlds"
    ) as error:
        World(scene, worlds)
    assert told(error) == [pytest.approx(needed, rel=1e-2), pytest.approx(needed / 4, rel=1e-2)]
    assert isinstance(error.value, MemoryError)


def holds(stepper):
    """Bytes of all floating-point arrays of the particles' stepper."""
    tensors = [*stepper.tensors.values(), *stepper._momentum]
    return sum(tensor.nbytes for tensor in tensors if tensor.is_floating_point())


@pytest.mark.parametrize("name", ["families", "sparse", "skin", pytest.param("rigid", marks=pytest.mark.slow)])
def test_the_bytes_told_are_those_allocated(name):
    scene = press_scene("every_family") if name == "families" else PARTICLES[name]()
    world = World(scene, 1, dtype=torch.float64)
    program = world.engine.program()
    stepper = program.steppers["particles"]
    for gradient in (False, True):
        needed, before = stepper.bytes_needed(gradient), holds(stepper)
        assert needed > 0
        for name in ("keep", "backward") if gradient else ("forward",):
            program.phases(name)
        assert holds(stepper) - before == needed
        assert stepper.bytes_needed(gradient) == 0
    world.close()


def test_a_gradient_that_does_not_fit_leaves_the_world_usable(free):
    world = World(press_scene("liquid"), 1, dtype=torch.float64)
    control = world.zero_control()
    state = world.step(world.initial_state(), control)
    stepper = world.engine.program().steppers["particles"]
    before, needed = dict(stepper.tensors), stepper.bytes_needed(True)
    free(needed - 1)
    twist = control.twist.requires_grad_()
    after = world.step(state, Control(twist))
    with pytest.raises(
        simenv.OutOfMemoryError, match=r"gradient .*of 1 world needs .*use grid='sparse', or no gradient"
    ) as error:
        after.x.sum().backward(retain_graph=True)
    assert told(error)[0] == pytest.approx(needed, rel=1e-2)
    assert before.keys() == stepper.tensors.keys()
    again = world.step(state, Control(twist.detach()))
    assert torch.equal(again.x, after.x)
    free(needed)
    after.x.sum().backward()
    assert float(twist.grad.abs().max()) > 0
    world.close()


def test_a_forward_step_that_does_not_fit(free):
    world = World(press_scene("liquid"), 1)
    free(10_000)
    with pytest.raises(
        simenv.OutOfMemoryError, match=r"a control step of 1 world needs .*0.01 MB are free; use grid='sparse'"
    ):
        world.step(world.initial_state(), world.zero_control())
    free(None)
    assert int(world.step(world.initial_state(), world.zero_control()).status[0]) == 0
    world.close()


def touch_world(worlds):
    scene = Scene(substep_dt=1e-4, substeps=3)
    scene.add_body("hand", motion="hand")
    scene.add_body("ball", Sphere(0.01), 1000.0, (0.0, 0.0, 0.0098), motion="free")
    scene.add_gel("pad", "hand", "ball", flat_grid(4, 4, 0.01, 0.01), WinklerGel(2e4, 1e4, 0.5))
    return World(scene, worlds, dtype=torch.float64)


def test_bodies_and_gels_that_do_not_fit(free, monkeypatch):
    monkeypatch.setattr(_threads, "_num_threads", 1)  # else there are two programs of one world
    world = touch_world(2)
    state = world.initial_state()
    free(1_000)
    with pytest.raises(simenv.OutOfMemoryError, match=r"a control step of 2 worlds needs .*fewer taxels"):
        world.step(state, world.zero_control(state))
    free(None)
    after = world.step(state, world.zero_control(state))
    start = state.replace(body_q=state.body_q.clone().requires_grad_())

    def gradient(made):
        made.step(start, made.zero_control(state)).body_q.sum().backward()

    slots, held = world.engine.program().desk.memory, world.engine.program().desk.memory.bytes
    assert held > 0 and slots.missing(False) == 0
    same = touch_world(2)
    gradient(same)  # which takes a step without what it keeps, and one with it
    needed = same.engine.program().desk.memory.bytes - held
    free(needed - 1)
    with pytest.raises(
        simenv.OutOfMemoryError, match=r"the gradient of a control step of 2 worlds.*at most 1 worlds"
    ) as error:
        gradient(world)
    assert slots.missing(True) == needed and slots.bytes == held
    assert told(error)[0] == pytest.approx(needed, abs=5e3)  # it is rounded to 0.01 MB
    free(None)
    assert torch.equal(world.step(state, world.zero_control(state)).body_q, after.body_q)
    free(needed)
    gradient(world)
    for made in (world, same):
        made.close()


def test_what_the_machine_or_its_container_has_free(monkeypatch, tmp_path):
    meminfo, group = tmp_path / "meminfo", tmp_path / "cgroup"
    group.mkdir()
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CGROUP", group)
    cpu = torch.device("cpu")
    assert memory.free_bytes(cpu) is None
    meminfo.write_text("MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n")
    assert memory.free_bytes(cpu) == 5000 * 1024
    (group / "memory.current").write_text("3000\n")
    (group / "memory.stat").write_text("anon 2000\ninactive_file 500\n")
    (group / "memory.max").write_text("max\n")
    assert memory.free_bytes(cpu) == 5000 * 1024
    (group / "memory.max").write_text("4000\n")
    assert memory.free_bytes(cpu) == 4000 - 3000 + 500


def test_free_memory_of_a_gpu_counts_what_torch_keeps(monkeypatch):
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert memory.free_bytes(device) == 1500

# SPDX-License-Identifier: Apache-2.0
"""One place resolves devices: whoever takes a ``device`` tells a wrong or missing one in the same words, before it does
anything else, and nobody else talks to Warp about torch's devices and streams.
"""

import ast
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
import warp as wp

import simenv
from simenv.agents.policy import load_policy
from simenv.agents.sb3 import PPOConfig, make_model
from simenv.geometry.shapes import Sphere
from simenv.physics import device as devices
from simenv.physics.gels.contact import Contact
from simenv.physics.gels.convolution import Convolution
from simenv.physics.mpm.materials import Liquid
from simenv.robots import Robot, load
from simenv.sensors.tactile import TacSLGel, TactileField, flat_grid
from simenv.sensors.tactile.image import TactileImage
from simenv.sensors.tactile.leds import LedShader
from simenv.sensors.tactile.markers import MarkerField
from simenv.sensors.tactile.membrane import MembraneFilter
from simenv.world import Scene, World
from tests.contract import source_rules as rules

GRID = flat_grid(2, 2, 0.01, 0.01)
# Everything that takes a device. The other arguments are wrong on purpose: the device is told first.
TAKERS = {
    "World": lambda device: World(None, 0, device),
    "make": lambda device: gym.make("SimEnv/BallRoll-v0", device=device),
    "make_vec": lambda device: gym.make_vec("SimEnv/BallRoll-v0", num_envs=1, device=device),
    "TactileField": lambda device: TactileField(GRID, TacSLGel(), Sphere(0.01), torch.float32, device),
    "Contact": lambda device: Contact(GRID, Sphere(0.01), torch.float32, device),
    "TactileImage": lambda device: TactileImage(None, device=device),
    "MembraneFilter": lambda device: MembraneFilter(None, 0, 0, 0.0, torch.float32, device),
    "LedShader": lambda device: LedShader(None, None, 0.0, torch.float32, device),
    "MarkerField": lambda device: MarkerField(None, None, -1.0, device=device),
    "Convolution": lambda device: Convolution(None, torch.float32, device),
    "Robot": lambda device: Robot(None, 1, device),
    "load_policy": lambda device: load_policy(None, device),
    "make_model": lambda device: make_model(None, PPOConfig(device=device)),
}
takers = pytest.mark.parametrize("make", TAKERS.values(), ids=TAKERS)


@takers
@pytest.mark.parametrize("device", ["cuda", "cuda:7", torch.device("cuda"), torch.device("cuda:1")], ids=str)
def test_a_missing_gpu_is_told_before_anything_else(make, device, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(simenv.DeviceError, match=rf"device='{device}' was asked for.*no CUDA device.*Use device='cpu'"):
        make(device)


@takers
@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("meta", "device='meta' is of a kind simenv cannot run on; use 'cpu' or 'cuda'"),
        (torch.device("mps"), "device='mps' is of a kind simenv cannot run on"),
        ("gpu", "device='gpu' is not a device name; use 'cpu', 'cuda' or 'cuda:<index>'"),
        (5, "device=5 is not a device name"),
        (wp.float32, "is not a device name"),
    ],
)
def test_what_is_no_device_is_told_before_anything_else(make, device, told) -> None:
    with pytest.raises(simenv.DeviceError, match=told):
        make(device)


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that says it has two GPUs, the second of which is current."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(wp, "get_cuda_devices", lambda: [None, None])


def test_cuda_gets_the_index_of_the_current_device(two_gpus) -> None:
    for asked in ("cuda", torch.device("cuda"), None):
        assert devices.resolve_device(asked) == torch.device("cuda", 1)
    assert devices.resolve_device("cuda:0") == torch.device("cuda", 0)
    assert devices.resolve_device("cpu:0") == torch.device("cpu")
    with pytest.raises(simenv.DeviceError, match="device='cuda:2' was asked for, but there are 2 CUDA devices"):
        devices.resolve_device("cuda:2")


def test_a_gpu_that_only_torch_has_is_told(two_gpus, monkeypatch) -> None:
    monkeypatch.setattr(wp, "get_cuda_devices", lambda: [None])
    with pytest.raises(simenv.DeviceError, match=r"torch has it, but Warp .* finds 1 CUDA devices"):
        devices.resolve_device("cuda")


def test_none_takes_the_cpu_where_there_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.resolve_device(None) == torch.device("cpu")


def test_worlds_robots_and_sensors_keep_the_resolved_device() -> None:
    """Nothing keeps the caller's own spelling, such as a device without its index."""
    scene = Scene((0.2, 0.2, 0.2), 0.05, 1e-4, 1)
    scene.add_material("water", Liquid(1000.0, 4.0e4))
    scene.add_particles("water", "water", np.full((1, 3), 0.1), 1e-5)
    falls = Scene(substep_dt=1e-4, substeps=1)
    falls.add_body("ball", Sphere(0.01), 1000.0, (0.0, 0.0, 0.0), motion="free")
    made = [World(scene, 1, "cpu:0"), World(falls, 1, "cpu:0"), Robot(load("panda"), 1, "cpu:0")]
    made.append(TactileField(GRID, TacSLGel(), Sphere(0.01), torch.float32, "cpu:0"))
    assert [each.device for each in made] == [torch.device("cpu")] * len(made)
    for world in made[:2]:
        world.close()


class Log(list):
    """Stands in for what only a GPU has, and logs in which order it is used."""

    def scope(self, name):
        log = self

        class Scope:
            def __enter__(self):
                log.append(f"enter {name}")

            def __exit__(self, *_):
                log.append(f"leave {name}")

        return Scope()


@pytest.fixture
def log(monkeypatch):
    """Fake streams: those of a device by number, wrapped by Warp as (device, number)."""
    log = Log()
    log.current = 3
    monkeypatch.setattr(devices, "_stream", devices.cache(devices._stream.__wrapped__))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=log.current))
    monkeypatch.setattr(torch.cuda, "device", lambda device: log.scope(f"context {device}"))
    monkeypatch.setattr(devices, "warp_device", lambda device: f"warp {device}")
    monkeypatch.setattr(wp, "Stream", lambda device, cuda_stream: log.append("wrap") or (device, cuda_stream))
    monkeypatch.setattr(wp, "ScopedStream", lambda stream, sync_enter=True: log.scope(f"{stream} wait {sync_enter}"))
    monkeypatch.setattr(wp, "capture_launch", lambda graph, stream=None: log.append((graph, stream)))
    return log


def test_a_graph_runs_on_torchs_stream_in_the_context_of_its_device(log) -> None:
    device = torch.device("cuda", 1)
    devices.launch_graph("graph", device)
    assert log == ["enter context cuda:1", "wrap", ("graph", ("warp cuda:1", 3)), "leave context cuda:1"]


def test_a_stream_scope_does_not_wait_and_a_stream_has_one_wrapper(log) -> None:
    """A stream that is being captured may not wait for another; and Warp forgets a stream with its first wrapper."""
    device = torch.device("cuda", 0)
    for current, where in ((3, device), (3, device), (4, device), (4, torch.device("cuda", 1))):
        log.current = current
        with devices.stream_scope(where):
            log.append("launch")
    scopes = [entry.removeprefix("enter ") for entry in log if entry.startswith("enter")]
    assert scopes == [f"('warp cuda:{d}', {stream}) wait False" for d, stream in ((0, 3), (0, 3), (0, 4), (1, 4))]
    assert log.count("wrap") == 3
    for scope in scopes:
        assert log[log.index(f"enter {scope}") + 1 :][:2] == ["launch", f"leave {scope}"]


def test_on_the_cpu_there_are_no_streams(log) -> None:
    with devices.stream_scope(torch.device("cpu")) as scope:
        assert scope is None
    devices.launch_graph("graph", torch.device("cpu"))
    assert log == [("graph", None)]


OWNER = "simenv.physics.device"
_WARPS = ("device_from_torch", "stream_from_torch", "device_to_torch", "ScopedStream", "capture_launch")


def device_talk(source: str) -> list[str]:
    """Where a file decides by the kind of a device, makes one of what it was given, or asks Warp about one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in _WARPS:
            found.append(f"line {node.lineno}: {ast.unparse(node)}; use {OWNER}")
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "type":
            if any(isinstance(c, ast.Constant) and c.value in ("cpu", "cuda") for c in node.comparators):
                found.append(f"line {node.lineno}: {ast.unparse(node)}; use on_cuda of {OWNER}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.device":
            if not all(isinstance(argument, ast.Constant) for argument in node.args):
                found.append(f"line {node.lineno}: {ast.unparse(node)}; use resolve_device of {OWNER}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "wp.device_from_torch(device)",
        "with wp.ScopedStream(stream): pass",
        "if device.type == 'cuda': pass",
        "batch = 1 if x.device.type != 'cpu' else n",
        "self.device = torch.device(device)",
    ],
)
def test_talk_about_devices_is_seen(source: str) -> None:
    assert len(device_talk(source)) == 1


def test_only_one_file_talks_about_devices() -> None:
    assert device_talk("where = torch.device('cpu')\nx.type == 'float'") == []
    measuring = (rules.ROOT / "benchmarks").rglob("*.py")
    files = [*rules.shipped_files(), *(path for path in measuring if path.parent.name != "peers")]
    found = {
        rules.module_name(path): device_talk(path.read_text(encoding="utf-8"))
        for path in files
        if rules.module_name(path) != OWNER
    }
    assert not {name: lines for name, lines in found.items() if lines}

# SPDX-License-Identifier: Apache-2.0
"""Pour milk onto coffee so that it draws a given pattern."""

from __future__ import annotations

import numpy as np
import torch

from simenv.assets import path
from simenv.envs import Argument, Range, Task, measures, observations, regions, register_task
from simenv.envs.constants import constant
from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import Cylinder, MeshShape, Sphere
from simenv.physics import exact
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene

CUP = (0.076, 0.076, 0.0)  # where the cup stands [m]
LEVEL = 0.028  # of the coffee above the cup's foot [m]
SURFACE = 0.0064  # area of the surface [m^2]; the milk raises it by 2 mm
REACH = ((-0.042, -0.042, 0.040), (0.042, 0.042, 0.060))  # the spout stays in this box about the cup's foot [m]
SPEED = (0.15, 0.15, 0.05)  # of an action of 1 [m/s]
POUR = {"count": 5, "capacity": 500, "radius": 0.0033, "speed": 0.2}  # particles per step and in all; [m]; [m/s]
VISIBLE = (0.010, 0.002)  # milk is seen down to this depth, and over which length it fades [m]
NODES, HALF = 16, 0.0525  # of the grid of areal density: per side, and half of its side [m]
AXIS = np.linspace(-HALF, HALF, NODES)  # where its nodes are, from the middle [m]
LINE = 4.0e-6  # variance of a line across it, times its length [m^3]: a short one takes the same milk and is wider
BLUR = 0.015  # standard deviation of the blur for the measure `rough` [m]
GAINS = {"match": 4.0, "rough": 1.0, "near": -1.0, "spilled": -3.0}  # reward for a change of each measure
WIDTH = 0.004  # over which a particle passes from inside to outside in the smooth measures [m]


def _even(x: np.ndarray, y: np.ndarray, points: int = 48) -> np.ndarray:
    """Points (points, 2) at equal steps along a curve."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    at = np.linspace(0.0, length[-1], points)
    return np.stack([np.interp(at, length, x), np.interp(at, length, y)], 1)


_T = np.linspace(0.0, 2 * np.pi, 2000)
PATTERNS = {  # of about unit size
    "line": _even(1.1 * _T / np.pi - 1.1, 0 * _T),
    "arc": _even(0.5 - np.sin(_T / 2), np.cos(_T / 2)),
    "ring": _even(0.85 * np.cos(_T), 0.85 * np.sin(_T)),
    "wave": _even(_T / np.pi - 1, 0.6 * np.sin(_T)),
    "heart": _even(np.sin(_T) ** 3, np.cos(np.outer(_T, range(5))) @ [2, 13, -5, -2, -1] / 16),
}


@register_task("SimEnv/LatteArt-v0", max_episode_steps=120)
class LatteArt(Task):
    """## Description

    Pour milk onto coffee so that it draws a given pattern. A spout lets a thin jet of milk, 6.8 ml/s for 2 s, into a
    cup of coffee; what the milk at the surface shows is compared with a line, an arc, a ring, a wave or a heart. Milk
    and coffee are weakly compressible Newtonian liquids of nearly the same density, in a cup that is a triangle mesh in
    metres.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | velocity of the spout along x | -1 | 1 | 0.15 m/s |
    | 1 | velocity along y | -1 | 1 | 0.15 m/s |
    | 2 | velocity along z, up | -1 | 1 | 0.05 m/s |

    The spout stops at the faces of its workspace: 42 mm either side of the cup's axis, 40 to 60 mm above the cup's
    foot.

    ## Observation Space

    A dict; lengths in metres, from the middle of the cup's foot. `spout` (6): position, velocity [m/s]; `curve` (48):
    24 points (x, y) along the target, from its start; `target` (256) and `milk` (256): areal density of milk wanted
    at the end and seen now [kg/m^2], at 16 x 16 nodes 7 mm apart; `keypoints` (192): position in the world and
    velocity [m/s] of 32 particles of milk, zeros before it is out; `amount` (2): shares of the milk that are
    out and spilled.

    ## Rewards

    Sum over the episode of the changes of four measures, so that the return is what they gained: `match` (+4 x soft
    intersection over union of milk seen and target), `rough` (+1 x the same of both blurred by 15 mm, which shows the
    way from afar), `near` (-1 x mean distance of the milk from the curve, in units of 10 mm), `spilled` (-3 x smooth
    fraction spilled); and `effort` (-0.001 x |action|^2 per step).

    ## Starting State

    The coffee, 87 ml, is at rest. The spout is 50 mm above the cup's foot, within 8 mm of the start of the curve. The
    pattern's kind, its size (24-30 mm from centre to end), orientation (any) and centre (within 5 mm in x and y) are
    drawn for each episode. With `randomize`, the viscosities of coffee and milk are drawn, too.

    ## Episode End

    Truncation after 120 steps (2.4 s): 2 s of pouring, then rest. Termination only if the simulation of a world
    fails. Success: where milk and target exceed half of the target's peak, their intersection is at least half of
    their union (`iou`), and at most 5 % of the milk is `spilled`.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("velocity x", "0.15 m/s"), ("velocity y", "0.15 m/s"), ("velocity z", "0.05 m/s"))

    pattern = Argument(None, "None draws one for each episode", choices=tuple(PATTERNS))
    coffee_viscosity = Argument(0.02, "of the coffee", unit="Pa s", least=0.0)
    milk_viscosity = Argument(0.05, "of the milk", unit="Pa s", least=0.0)
    milk_density = Argument(980.0, "of the milk; the coffee has 1000 kg/m^3", unit="kg/m^3", above=0.0)
    dx = Argument(0.008, "grid spacing", unit="m", above=0.0, most=0.02)

    def build(self) -> Scene:
        substeps = round(0.25 / self.dx)
        scene = Scene(size=(0.152, 0.152, 0.104), dx=self.dx, substep_dt=0.02 / substeps, substeps=substeps)
        scene.add_material("coffee", Liquid(1000.0, 2.5e4, self.coffee_viscosity))
        scene.add_material("milk", Liquid(self.milk_density, 25.0 * self.milk_density, self.milk_viscosity))
        cup, spacing = MeshShape(str(path("cup.stl"))), self.dx / 2
        places = fill_cavity(cup, LEVEL, spacing, jitter=0.1, clearance=0.2 * spacing) + np.array(CUP)
        scene.add_particles("coffee", "coffee", places, spacing**3, color=(0.23, 0.12, 0.06, 0.9))
        scene.add_body("spout", position=(CUP[0], CUP[1], 0.05))
        scene.add_emitter("milk", "spout", "milk", **POUR, color=(0.96, 0.93, 0.86, 0.97))  # type: ignore[arg-type]
        # It only shows where the milk comes from: it ends two cells above, where it touches none.
        scene.add_collider("nozzle", Cylinder(0.005, 0.02), "spout", (0.0, 0.0, 0.02 + 2 * self.dx))
        scene.add_collider("cup", cup, None, CUP, friction=0.3, width=0.3 * self.dx, color=(0.95, 0.95, 0.95, 1.0))
        scene.view, scene.angles = ((0.022, 0.022, 0.0), (0.130, 0.130, 0.075)), (0.14, 0.95)
        scene.add_mark("target", Sphere(0.0013), (0.05, 0.62, 0.52, 1.0), count=24)
        self.planes = regions.hull_planes(cup)
        self.rim = float(cup.bounds()[1][2])
        return scene

    def sample(self, random):
        kinds = [self.pattern] if self.pattern else list(PATTERNS)
        shapes = constant([PATTERNS[name] for name in kinds], random.dtype, random.device)
        angle = random.uniform("angle", 0.0, 2 * np.pi)
        sine, cosine = exact.sincos(angle)
        turn = torch.stack([cosine, sine, -sine, cosine], -1).reshape(-1, 2, 2)
        curve = exact.matmul(shapes[random.integers("kind", 0, len(kinds))], turn)
        curve = curve * random.uniform("size", 0.024, 0.030)[:, None, None]
        curve = curve + random.uniform("centre", -0.005, 0.005, (2,))[:, None]
        axis = constant(AXIS, curve.dtype, curve.device)
        nodes = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 1, 2)
        length = exact.total(exact.norm(curve.diff(dim=1)))[:, None, None]
        target = exact.total(exact.exp(-exact.total((nodes - curve[:, None]) ** 2) / (2 * LINE) * length))
        mass = self.milk_density * np.pi * POUR["radius"] ** 2 * POUR["speed"] * 0.02 * POUR["capacity"] / POUR["count"]
        target = target / exact.total(target, keepdim=True) * mass / (2 * HALF / (NODES - 1)) ** 2
        start = curve[:, 0] + random.uniform("spout", -0.008, 0.008, (2,))
        return {"curve": curve, "target": target, "start": start}

    def randomisation(self):
        viscosity = {"coffee": self.coffee_viscosity, "milk": self.milk_viscosity}
        return {
            f"{name}.viscosity": Range(0.5, 2.0, of=value, log=True, unit="Pa s", stream=name)
            for name, value in viscosity.items()
        }

    def initial_state(self, world, episode):
        state = world.initial_state()
        density, bulk = world.parameters["coffee.density"], world.parameters["coffee.bulk_modulus"]
        coffee, J = world.particle_groups["coffee"], state.J.clone()
        J[:, coffee] -= (density / bulk)[:, None] * 9.81 * (LEVEL - state.x[:, coffee, 2]).clamp(min=0.0)
        spout = world.bodies["spout"]
        place, rest = spout.pose(state).split((2, 5), -1)
        return spout.place(state.replace(J=J), torch.cat([place + episode["start"], rest], -1))

    def control(self, world, state, action, episode):
        place = self._spout(world, state)
        low, high = (constant(corner, place.dtype, place.device) for corner in REACH)
        speed = action * constant(SPEED, action.dtype, action.device)
        speed = torch.maximum(torch.minimum(speed, (high - place) / world.dt), (low - place) / world.dt)
        return world.control(twist={"spout": torch.cat([speed, torch.zeros_like(speed)], -1)})

    def observe(self, world, state, episode):
        milk = world.particle_groups["milk"]
        out = world.emitters["milk"].emitted(state).to(state.x.dtype) / POUR["capacity"]
        return {
            "spout": torch.cat([self._spout(world, state), world.bodies["spout"].twist(state)[:, :3]], -1),
            "curve": episode["curve"][:, ::2].flatten(1),
            "target": episode["target"],
            "milk": self._seen(world, state),
            "keypoints": observations.keypoints(state, milk, 32).flatten(1),
            "amount": torch.stack([out, self._measures(world, state, episode)["spilled"]], -1),
        }

    def marks(self, world, state, episode):
        curve = episode["curve"][:, ::2]
        height = torch.full_like(curve[..., :1], LEVEL + 0.004)  # just above the milk at the end
        return {"target": torch.cat([curve, height], -1) + constant(CUP, height.dtype, height.device)}

    def _spout(self, world, state):
        """The spout from the middle of the cup's foot (N, 3) [m]."""
        return world.bodies["spout"].pose(state)[:, :3] - constant(CUP, state.x.dtype, state.x.device)

    def _seen(self, world, state):
        """Areal density of the milk near the surface, at the nodes (N, 256) [kg/m^2]."""
        milk = world.particle_groups["milk"]
        volume = world.volume[:, milk]
        level = LEVEL + volume[:, :1] * world.emitters["milk"].emitted(state)[:, None] / SURFACE
        share = exact.sigmoid((state.x[:, milk, 2] - level + VISIBLE[0]) / VISIBLE[1])
        mass = volume * world.parameters["milk.density"][:, None] * share
        low, high = (CUP[0] - HALF, CUP[1] - HALF, -1.0), (CUP[0] + HALF, CUP[1] + HALF, 1.0)
        # Three layers 1 m apart hold all of it, as it is near the middle one; per area is per volume times 1 m.
        return exact.total(observations.density_grid(state, milk, mass, (NODES, NODES, 3), low, high)).flatten(1)

    def _outside(self, world, state):
        """Signed distance of every particle of milk to the places that are not spilled [m], (N, 500)."""
        local = state.x[:, world.particle_groups["milk"]] - constant(CUP, state.x.dtype, state.x.device)
        return torch.minimum(regions.hull_distance(local, self.planes), self.rim - local[..., 2])

    def _measures(self, world, state, episode):
        milk = world.particle_groups["milk"]
        out, place = state.active[:, milk], state.x[:, milk, :2] - constant(CUP[:2], state.x.dtype, state.x.device)
        square = exact.total((place[:, :, None] - episode["curve"][:, None]) ** 2) + 1e-6  # 1 mm rounds the root at 0
        both = torch.stack([self._seen(world, state), episode["target"]])
        blur = constant(np.exp(-((AXIS[:, None] - AXIS) ** 2) / (2 * BLUR**2)), place.dtype, place.device)
        blurred = exact.matmul(exact.matmul(blur, both.unflatten(-1, (NODES, NODES))), blur)
        return {
            "match": measures.density_iou(*both),
            "rough": measures.density_iou(*blurred),
            "near": exact.mean(torch.where(out, square.amin(2).sqrt(), 0.0)) / 0.01,
            "spilled": exact.mean(torch.where(out, exact.sigmoid(self._outside(world, state) / WIDTH), 0.0)),
        }

    def reward(self, world, before, action, after, episode):
        old, new = self._measures(world, before, episode), self._measures(world, after, episode)
        gains = {name: factor * (new[name] - old[name]) for name, factor in GAINS.items()}
        return {**gains, "effort": -0.001 * exact.total(action**2)}

    def evaluate(self, world, state, episode):
        half = 0.5 * episode["target"].amax(1, keepdim=True)
        wanted, seen = episode["target"] > half, self._seen(world, state) > half
        iou = (wanted & seen).sum(1) / (wanted | seen).sum(1)
        spilled = measures.count_inside(-self._outside(world, state), state.active[:, world.particle_groups["milk"]])
        return {"success": (iou >= 0.5) & (spilled <= 0.05), "iou": iou, "spilled": spilled}

# SPDX-License-Identifier: Apache-2.0
"""The benchmark's liquid in Genesis 1.4, through its public interface: ``gs.materials.MPM.Liquid`` without viscosity.

Runs in an environment of its own, without simenv; see ../protocol.py for how it is asked. The particles are the very
ones of the other programs: a box sampled on Genesis' lattice reserves as many, and their positions and velocities are
then set. Its grid has the same nodes. What remains different is Genesis':

* its liquid has the Kirchhoff stress K J (J - 1), where the others have K (J - 1): where J leaves 1 (by up to 0.18 on
  the free surface) it differs by less than (J - 1)^2;
* it keeps a deformation gradient instead of J, takes a determinant of it (with gradients a singular value
  decomposition), notes which nodes were touched, and passes its coupler: that is what its user gets;
* with gradients it keeps the substeps of the last step only, and simulates it again in the reverse sweep.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, timed

ANSWERS = claim_stdout()

import time  # noqa: E402

try:
    import genesis as gs
    import numpy as np
    import torch
except ImportError as error:
    raise SystemExit(
        f"{error}: Genesis runs in its own environment; `pip install torch==2.13.0 genesis-world==1.4.5` there and "
        "name its Python in SIMENV_BENCH_GENESIS_PYTHON"
    ) from error

LATTICES = {100_000: (50, 50, 40), 2_000: (20, 10, 10)}  # boxes of particles that make up the count


class Liquid:
    """A scene with one entity; one `scene.step` is the whole rollout."""

    def __init__(self, x: np.ndarray, v: np.ndarray, config: dict, gradient: bool):
        self.gradient, self.substeps, count = gradient, config["substeps"], len(x)
        grid = config["grid"]
        size = config["volume"] ** (1 / 3)  # a particle's volume is the cube of this
        top = (grid - 1) / grid  # Genesis has a node at either end
        self.scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=config["dt"] * self.substeps, substeps=self.substeps, requires_grad=gradient,
                gravity=(0.0, 0.0, -config["gravity"]),
            ),
            mpm_options=gs.options.MPMOptions(
                lower_bound=(0.0, 0.0, 0.0), upper_bound=(top, top, top), grid_density=grid, particle_size=size
            ),
            show_viewer=False,
        )  # fmt: skip
        bulk, density = config["bulk_modulus"], config["density"]
        material = gs.materials.MPM.Liquid(lam=bulk, mu=0.0, rho=density, viscous=False, sampler="regular")
        box = gs.morphs.Box(pos=(0.5, 0.5, 0.5), size=tuple(n * size for n in LATTICES[count]))
        self.entity = self.scene.add_entity(morph=box, material=material)
        self.scene.build()
        if self.entity.n_particles != count:
            raise RuntimeError(f"Genesis sampled {self.entity.n_particles} particles, not {count}")
        self.x, self.v = (torch.from_numpy(a).to(gs.device) for a in (x, v))
        if not gradient:
            self.entity.set_particles_pos(self.x)
            self.entity.set_particles_vel(self.v)
            self.start = self.scene.get_state()

    def reset(self) -> None:
        """The initial state; with gradients the velocity is an input of the first step."""
        if not self.gradient:
            self.scene.reset(self.start)
            return
        self.scene.reset()
        self.v0 = self.v.clone().requires_grad_()
        self.entity.set_position(self.x)
        self.entity.set_velocity(self.v0)

    def run(self) -> None:
        """One rollout, with its gradient if there is one, to the end."""
        self.scene.step()
        if self.gradient:
            self.end = self.entity.get_state()
            loss = 0.5 * (self.end.vel**2).sum() / self.end.vel.shape[-2]
            loss.backward()
        else:
            self.entity.get_particles_vel()  # waits
        if self.x.is_cuda:
            torch.cuda.synchronize()

    def moments(self) -> dict:
        """Moments of the state after the last rollout, and of the gradient."""
        state = self.end if self.gradient else self.entity.get_state()
        x, v, F = (getattr(state, name).detach()[0].double() for name in ("pos", "vel", "F"))
        J = torch.linalg.det(F)
        out = {"mean_x": x.mean(0).tolist(), "mean_v": v.mean(0).tolist()}
        out["J"] = [J.mean().item(), J.min().item(), J.max().item()]
        if self.gradient:
            g = self.v0.grad.double()
            out["gradient_v0"] = [*g.sum(0).tolist(), g.norm().item()]
        return out


class Server:
    """One scene for each kind (forward, gradient) and order of the particles."""

    def setup(self, request: dict) -> dict:
        """Take the scene and the number of threads; answer with versions."""
        self.config = request["config"]
        self.scenes: dict[tuple[str, str], Liquid] = {}
        backend = {"cpu": gs.cpu, "cuda": gs.gpu}[request.get("device", "cpu")]
        if request.get("device", "cpu") == "cpu" and os.environ.get("QD_NUM_THREADS") != str(request["threads"]):
            raise ValueError("QD_NUM_THREADS must hold the number of threads before Genesis starts; its default is 1")
        torch.set_num_threads(request["threads"])
        gs.init(backend=backend, precision="32", logging_level="error")
        return {"genesis": gs.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}

    def build(self, request: dict) -> dict:
        """Compile ``program`` ("forward" or "gradient") for the particles of ``order``."""
        data, order = np.load(request["particles"]), request["order"]
        start = time.perf_counter()
        liquid = Liquid(data[f"x_{order}"], data[f"v_{order}"], self.config, request["program"] == "gradient")
        self.scenes[request["program"], order] = liquid
        liquid.reset()
        liquid.run()
        return {"first_s": time.perf_counter() - start}

    def run(self, request: dict) -> dict:
        """Times of ``repeats`` rollouts."""
        liquid = self.scenes[request["program"], request["order"]]
        return timed(liquid.run, liquid.reset, request["repeats"], liquid.substeps)

    def check(self, request: dict) -> dict:
        """Moments of the state after the last rollout, and of the gradient."""
        return self.scenes[request["program"], request["order"]].moments()


if __name__ == "__main__":
    serve(Server(), ANSWERS)

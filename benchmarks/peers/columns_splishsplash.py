# SPDX-License-Identifier: Apache-2.0
"""SPlisHSPlasH's DFSPH on the same column of water, on one thread, with the settings of its own dam break. It shares no
code with simenv and runs in its own environment; see ../columns.py for what is measured, ../protocol.py for how it is
asked.

A simulation ends its process, so that each runs in one of its own, and counts from its first step.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve

LIBRARY = "libGLdispatch.so.0"  # of the system, without which the package is not found whole
WALLS = {"particles": 0, "volume maps": 2}  # methods
OUT = 0.5  # how far out walls are, as particles keep a spacing from them [spacings]

LONGEST = 0.005 * 0.1**0.5  # time step of its dam break, with particles a tenth as large, by Froude's law [s]
VISCOSITY = 0.01 * 0.1**1.5  # and the viscosity [m^2/s], of which water has 1e-6


def scene(asked: dict) -> dict:
    """As a file of the program."""
    h = asked["spacing"]
    wall = {
        "geometryFile": str(Path(sys.prefix) / "bin" / "data" / "models" / "UnitBox.obj"),
        "translation": [side / 2 for side in asked["box"]],
        "scale": [side + 2 * OUT * h for side in asked["box"]],
        "isDynamic": False, "isWall": True, "mapInvert": True, "mapThickness": 0.0,
        "mapResolution": [round(side / asked["dx"]) for side in asked["box"]],
    }  # fmt: skip
    # a block has a particle less than fit along each side, the first one a spacing from where it starts
    block = {"denseMode": 0, "start": [-h / 2] * 3, "end": [side + h / 2 for side in asked["water"]]}
    return {
        "Configuration": {
            "particleRadius": h / 2, "simulationMethod": 4, "boundaryHandlingMethod": WALLS[asked["walls"]],
            "gravitation": [0, 0, -9.81], "timeStepSize": LONGEST, "cflMethod": 1, "cflFactor": 1,
            "cflMaxTimeStepSize": LONGEST, "stopAt": 2.0 * asked["seconds"],
            "DFSPH": {
                "minIterations": 2, "maxIterations": 100, "maxError": 0.05, "maxIterationsV": 100, "maxErrorV": 0.1,
                "enableDivergenceSolver": True,
            },
        },
        "Materials": [
            {"id": "Fluid", "density0": 1000, "viscosityMethod": 1, "Standard viscosity": {"viscosity": VISCOSITY}}
        ],
        "RigidBodies": [wall],
        "FluidBlocks": [{**block, "translation": [0, 0, 0], "scale": [1, 1, 1]}],
    }  # fmt: skip


class Watch:
    """What the callback after each step sees; it ends the process."""

    def __init__(self, sph, asked: dict, answers):
        self.sph, self.asked, self.answers = sph, asked, answers
        self.next, self.seen = asked["seen"], []
        self.first: tuple[float, float, float] | None = None  # time, processor time and wall time after a first step
        self.looking = 0.0

    def __call__(self) -> None:
        """After a step. The first one is not counted: walls are made in it."""
        now = self.sph.TimeManager.getCurrent().getTime()
        if self.first is None:
            self.first = now, time.process_time(), time.perf_counter()
        if now >= self.next - 1e-9:
            start = time.process_time()
            model = self.sph.Simulation.getCurrent().getFluidModel(0)
            self.seen.append([list(map(float, model.getPosition(i))) for i in range(model.numActiveParticles())])
            self.next += self.asked["every"]
            self.looking += time.process_time() - start
        if now >= self.asked["seconds"] - 1e-9:
            cpu, wall = time.process_time() - self.first[1], time.perf_counter() - self.first[2]
            told = {"us": 1e6 * (cpu - self.looking) / (now - self.first[0]), "cpu_per_wall": cpu / wall}
            told["x"] = self.seen
            self.answers.write(json.dumps(told) + "\n")
            self.answers.flush()
            os._exit(0)


def once(asked: dict) -> None:
    """Simulate in a folder, and answer."""
    answers = claim_stdout()
    import pysplishsplash as sph

    file = Path(asked["folder"]) / "scene.json"
    file.write_text(json.dumps(scene(asked)), encoding="utf-8")
    base = sph.Exec.SimulatorBase()
    base.init(useGui=False, sceneFile=str(file), outputDir=asked["folder"], useCache=False)
    base.setTimeStepCB(Watch(sph, asked, answers))
    base.run()


class Server:
    """A simulation for each request."""

    def setup(self, request: dict) -> dict:
        """Keep what is asked; answer with versions."""
        self.asked = request
        return {"pysplishsplash": version("pysplishsplash")}

    def run(self, request: dict) -> dict:
        """Processor time of a simulated second [us], and where particles are at the times that are asked for."""
        kept = {**os.environ, "LD_PRELOAD": LIBRARY}
        with tempfile.TemporaryDirectory() as folder:
            asked = json.dumps({**self.asked, **request, "folder": folder})
            done = subprocess.run([sys.executable, __file__, asked], env=kept, stdout=subprocess.PIPE, text=True)
        if not done.stdout:
            raise SystemExit(
                "no answer of SPlisHSPlasH, which runs in its own environment: `pip install pysplishsplash==2.19.0` "
                f"there, name its Python with --splishsplash, and have libGL and {LIBRARY}"
            )
        return json.loads(done.stdout)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        once(json.loads(sys.argv[1]))
    else:
        serve(Server(), claim_stdout())

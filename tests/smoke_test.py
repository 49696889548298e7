# SPDX-License-Identifier: Apache-2.0
"""What an installed simenv must do, run by ``make build`` in an environment that holds the wheel or sdist and nothing
else.

It is a plain script, without pytest: the environment under test has only what ``pip install simenv`` brings.
"""

import importlib.resources
import importlib.util
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Import, make an environment, step it, and call the command line.

    Raises:
        AssertionError: If any of them fails.
    """
    import simenv

    location = Path(simenv.__file__).resolve()
    assert "site-packages" in location.parts, f"simenv was imported from {location}, not from the installed package"
    assert "torch" not in sys.modules, "import simenv loads torch"
    for name in ("tasks", "agents", "assets", "scripts"):
        assert importlib.util.find_spec(name) is None, f"a package was installed under the bare name {name}"
        importlib.import_module(f"simenv.{name}")
    assert importlib.resources.files("simenv").joinpath("py.typed").is_file(), "py.typed is missing"

    import gymnasium

    env = gymnasium.make("SimEnv/Pouring-v0")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation), "the first observation is outside the observation space"
    observation, reward, _, _, info = env.step(env.action_space.sample() * 0)
    assert env.observation_space.contains(observation), "an observation is outside the observation space"
    assert int(info["sim_status"]) == 0, f"the simulation reports {info['sim_status']}"
    env.close()

    program = Path(sys.executable).parent / "simenv"
    for arguments in (["--help"], ["list"]):
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"simenv {' '.join(arguments)} failed:\n{done.stderr}"
    assert "SimEnv/Pouring-v0" in done.stdout, f"simenv list does not show the tasks:\n{done.stdout}"
    version = f"simenv {simenv.__version__}"
    print(
        f"smoke: {version} imports, steps SimEnv/Pouring-v0 (reward {float(reward):.3g}), and its command line answers"
    )


if __name__ == "__main__":
    main()

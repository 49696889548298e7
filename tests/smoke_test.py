# SPDX-License-Identifier: Apache-2.0
"""What an installed simenv must do, run by ``make build`` in an environment that holds the wheel or sdist and nothing
else.

It is a plain script, without pytest: the environment under test has only what ``pip install simenv-physics`` brings.
"""

import importlib.metadata
import importlib.resources
import importlib.util
import subprocess
import sys
from pathlib import Path


def check_licences() -> None:
    """The notices of what others made travel with it, in the metadata and beside the data.

    Raises:
        AssertionError: If one is missing.
    """
    distribution = importlib.metadata.distribution("simenv-physics")
    named = distribution.metadata.get_all("License-File") or []
    assert {"LICENSE", "NOTICE", "assets/tactile/LICENSE"} <= set(named), f"licence files in the metadata: {named}"
    files = {
        str(file): file.locate().read_text(encoding="utf-8")
        for file in distribution.files or []
        if "LICENSE" in str(file)
    }
    beside = [text for name, text in files.items() if name == "simenv/assets/tactile/LICENSE"]
    inside = [text for name, text in files.items() if name.endswith("licenses/assets/tactile/LICENSE")]
    assert beside and beside == inside, f"the notice of the tactile calibrations is missing in {sorted(files)}"
    assert "Copyright (c) 2021 CMURoboTouch" in beside[0]


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

    check_licences()

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

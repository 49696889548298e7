# SPDX-License-Identifier: Apache-2.0
"""``simenv info ID``"""

import dataclasses
import inspect
import json
from typing import Annotated, Any

import tyro

from simenv.scripts.common import make_vec, parse_task_arguments, require_task


@dataclasses.dataclass(frozen=True)
class Info:
    """Describe one environment: its documentation, actions and observations with units, time steps, particles,
    bodies, colliders, gels, fields of the state with units, and physical parameters.
    """

    id: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ID")]]
    """Environment, for example SimEnv/Pouring-v0."""
    env_args: str = ""
    """Task arguments as a JSON object."""
    docs_only: bool = False
    """Only print the documentation, without building the world."""
    json: bool = False
    """Print the facts as JSON."""

    def run(self) -> int:
        """Print the description."""
        require_task(self.id)
        from simenv import _registry

        task = _registry.load_task(self.id)
        documentation = inspect.getdoc(task) or ""
        if self.docs_only:
            print(documentation)
            return 0
        env = make_vec(self.id, num_envs=1, device="cpu", output="torch", **parse_task_arguments(self.env_args))
        try:
            facts = _facts(env)
        finally:
            env.close()
        if self.json:
            print(json.dumps({"id": self.id, **facts}, indent=1))
        else:
            _show(self.id, documentation, facts)
        return 0


def _facts(env: Any) -> dict:
    from simenv.rollouts.access import describe, host

    env.reset(seed=0)
    description, world = describe(env), env.unwrapped.world
    return {
        **{
            k: description[k]
            for k in ("kwargs", "max_episode_steps", "control_dt", "substeps", "substep_dt", "action", "observation")
        },
        "particles": int(world.particle_count),
        "particle_groups": {name: part.stop - part.start for name, part in world.particle_groups.items()},
        "bodies": list(world.body_names),
        "colliders": list(world.collider_names),
        "gels": list(world.gels),
        "state": {
            name: {"shape": list(field.shape), "unit": field.unit, "about": field.about}
            for name, field in world.fields.items()
        },
        "parameters": {name: _plain(host(world.parameters[name])[0]) for name in sorted(world.parameters)},
    }


def _plain(values: Any) -> Any:
    """Numbers with the digits that their precision has: 0.2, not 0.20000000298023224 for a float32."""
    import numpy as np

    return np.array([float(str(value)) for value in np.ravel(values)]).reshape(np.shape(values)).tolist()


def _show(id: str, documentation: str, facts: dict) -> None:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.rule(id)
    console.print(Markdown(documentation) if "## " in documentation else Text(documentation))
    console.rule("facts")
    episode = facts["max_episode_steps"]
    console.print(
        f"control step {facts['control_dt'] * 1e3:g} ms = {facts['substeps']} substeps of "
        f"{facts['substep_dt'] * 1e6:.4g} us, episode {episode} steps = {episode * facts['control_dt']:g} s"
    )
    console.print(f"{facts['particles']} particles {escape(str(facts['particle_groups']))}")
    for kind in ("bodies", "colliders", "gels"):
        if facts[kind]:
            console.print(f"{kind}: {', '.join(facts[kind])}")
    actions = Table("action", "low", "high", "unit", box=None, pad_edge=False)
    for row in facts["action"]:
        actions.add_row(row["name"], f"{row['low']:g}", f"{row['high']:g}", escape(row["unit"]))
    console.print(actions)
    observations = Table("observation", "shape", "dtype", box=None, pad_edge=False)
    for name, row in facts["observation"].items():
        observations.add_row(name, escape(str(tuple(row["shape"]))), row["dtype"])
    console.print(observations)
    fields = Table("state", "shape", "unit", "what it is", box=None, pad_edge=False)
    for name, row in facts["state"].items():
        fields.add_row(name, escape(str(tuple(row["shape"]))), escape(row["unit"]), escape(row["about"]))
    console.print(fields)
    parameters = Table("physical parameter (SI)", "value", box=None, pad_edge=False)
    for name, value in facts["parameters"].items():
        parameters.add_row(name, escape(str(value)))
    console.print(parameters)

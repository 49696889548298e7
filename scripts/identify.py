# SPDX-License-Identifier: Apache-2.0
"""``simenv identify FILE``"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from simenv.scripts import runs

FAR = 0.1  # share of its change by which a quantity may deviate before the fit is called poor
DECADES = 10.0  # default limits: the recorded value over this, and times this


@dataclasses.dataclass(frozen=True)
class Identify:
    """Find physical parameters of a recording.

    FILE is a directory or rollout-*.h5 written by `simenv record`. Its actions are simulated again, and the parameters
    are changed by gradients until the simulation does what was recorded. Exit status 1 when it does not converge.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]]
    """Recording (directory or .h5)."""
    parameter: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME[=LOW:HIGH] ...")]
    """What to find, with its limits: liquid.viscosity=0.1:2; of several numbers one, arm.mass[2]=1:4. The default
    limits are a tenth of the recorded value and ten times it. May be given several times. `simenv info ID` lists the
    names."""
    episode: int = 0
    """Which episode of a directory (from 0)."""
    observe: tuple[str, ...] = ()
    """What to compare: recorded states (x, wrench, body_q ...), or observations/NAME; by default what shows how
    the world moves."""
    steps: int | None = None
    """Compare the first so many control steps; all by default."""
    starts: int = 1
    """Starts at once: the middle of the limits, and random ones."""
    method: Literal["gradient", "cma"] = "gradient"
    """Gauss-Newton by gradients, or CMA-ES without."""
    iterations: int = 100
    """Iterations at most."""
    tolerance: float = 1e-4
    """Smallest step, in shares of the logarithm of a parameter's range."""
    seed: int = 0
    """Of the random starts, and of CMA-ES."""
    device: str | None = None
    """cpu or cuda:0; the recorded device by default."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Identify, and print the result: 0 when it converged, 130 when it was interrupted, else 1."""
        from simenv.rollouts import IdentifyConfig, Recording, RolloutError, identify_episode
        from simenv.rollouts.identify import Code
        from simenv.rollouts.sought import numbers

        recording = Recording(self.file)
        if not 0 <= self.episode < len(recording):
            raise RolloutError(f"--episode {self.episode}: {self.file} has episodes 0 to {len(recording) - 1}")
        episode = recording[self.episode]
        recorded = numbers(episode.parameters)
        limits = parse_parameters(self.parameter, recorded)
        config = IdentifyConfig(self.method, self.iterations, tolerance=self.tolerance, seed=self.seed)
        with runs.Progress(self.iterations, "iteration") as progress:

            def report(row: Any) -> None:
                shown = {name: f"{value:.4g}" for name, value in row.values.items()}
                progress.update(row.iteration, {"loss": f"{row.loss:.3g}", **shown})

            result = identify_episode(
                episode, limits, observe=self.observe, steps=self.steps, starts=self.starts, device=self.device,
                config=config, callback=report,
            )  # fmt: skip
        _show_json(result) if self.json else _show(result, limits, recorded)
        return runs.INTERRUPTED if result.code is Code.INTERRUPTED else int(result.code is not Code.CONVERGED)


def parse_parameters(texts: Sequence[str], recorded: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Names and limits; see `parse_parameter`.

    Raises:
        ValueError: One is wrong, or a name comes twice.
    """
    limits: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, pair = parse_parameter(text, recorded)
        if name in limits:
            (low, high), (below, above) = limits[name], pair
            raise ValueError(
                f"--parameter {name} is given twice, {low:g}:{high:g} and {below:g}:{above:g}; give it once"
            )
        limits[name] = pair
    return limits


def parse_parameter(text: str, recorded: dict[str, float]) -> tuple[str, tuple[float, float]]:
    """Name and limits of ``NAME`` or ``NAME=LOW:HIGH``.

    Args:
        text: From the command line.
        recorded: The values at hand, which give the default limits.

    Raises:
        ValueError: Unknown name, limits that are no numbers, or no value to derive them from.
    """
    import difflib

    name, given, pair = text.partition("=")
    if name not in recorded:
        close = difflib.get_close_matches(name, recorded, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"--parameter {name}: the recording has no such number; {hint}it has {', '.join(recorded)}")
    if not given:
        if not recorded[name] > 0:
            raise ValueError(f"--parameter {name}: the recorded value is {recorded[name]:g}; write {name}=LOW:HIGH")
        return name, (recorded[name] / DECADES, recorded[name] * DECADES)
    try:
        low, high = (float(side) for side in pair.split(":"))
    except ValueError as error:
        raise ValueError(f"--parameter {text}: {pair!r} is not LOW:HIGH; write for example {name}=0.1:2") from error
    return name, (low, high)


def _show(result: Any, limits: dict[str, tuple[float, float]], recorded: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("parameter", "found", "recorded with", "limits", box=None, pad_edge=False)
    for name, value in result.values.items():
        low, high = limits[name]
        table.add_row(name, f"{value:.6g}", f"{recorded[name]:.6g}", f"{low:.3g} .. {high:.3g}")
    console = Console()
    console.print(table)
    if len(result.losses) > 1:
        others = Table("start", "loss", *result.values, box=None, pad_edge=False)
        for index, loss in enumerate(result.losses):
            others.add_row(str(index), f"{loss:.3g}", *(f"{column[index]:.4g}" for column in result.starts.values()))
        console.print(others)
    for name, deviation in result.deviations.items():
        share = result.shares[name]
        print(f"{name} deviates by {deviation:.3g} (root mean square), {share:.2g} of what it changes by")
    print(f"{len(result.history)} iterations, {result.rollouts} rollouts, {result.seconds:.1f} s")
    print(result.code)
    if max(result.shares.values(), default=0.0) > FAR:
        print("the best fit is poor: there may be a better one from other starts (--starts 8), or the model differs")
    for name in result.without_effect:
        print(f"{name}: nothing of what was observed depends on it here, so its value means nothing")
    for name in result.at_limit:
        (low, high), value = limits[name], result.values[name]
        side, beyond = ("lower", "below") if value - low < high - value else ("upper", "above")
        print(f"{name}: the best value is at the {side} limit {value:.6g}, so what was observed asks for one {beyond}")


def _show_json(result: Any) -> None:
    content = dataclasses.asdict(result)
    content["code"] = {"name": result.code.name, "message": result.code.message, "remedy": result.code.remedy}
    content["starts"] = {name: values.tolist() for name, values in result.starts.items()}
    content["losses"] = [_finite(loss) for loss in result.losses]
    content["loss"] = _finite(result.loss)
    for row in content["history"]:
        row["loss"] = _finite(row["loss"])
    print(json.dumps(content, indent=1))


def _finite(value: float) -> float | None:
    """A number of JSON, which has no infinity."""
    return float(value) if value < float("inf") else None

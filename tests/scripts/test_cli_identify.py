# SPDX-License-Identifier: Apache-2.0
"""`simenv identify` on a recorded episode of a small task."""

import json

import numpy as np
import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import Recording, RolloutError, identify_episode
from simenv.scripts import cli

ID = "TestEnv/Splash-v0"


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """An episode in which the paddle is driven through the blob."""
    folder = tmp_path_factory.mktemp("recording")
    np.save(folder / "table.npy", np.tile(np.array([[1.0, 0.2]], np.float32), (20, 1)))
    options = ("--policy", folder / "table.npy", "--stride", 5, "--device", "cpu", "--out", folder / "run")
    assert cli.main([str(word) for word in ("record", ID, *options)]) == 0
    return folder / "run"


def test_viscosity_of_a_recording(capsys, recording):
    truth = float(Recording(recording)[0].parameters["liquid.viscosity"][0])
    limits = f"liquid.viscosity={truth / 20:.6g}:{truth * 5:.6g}"
    status, out, err = run(capsys, "identify", recording, "--parameter", limits, "--json")
    result = json.loads(out)
    assert status == 0 and "iteration 1/100" in err
    assert result["values"]["liquid.viscosity"] == pytest.approx(truth, rel=1e-3)
    assert result["code"]["name"] == "CONVERGED" and len(result["history"]) <= 12


def test_parameters_may_be_given_one_by_one(capsys, recording):
    found = []
    names = "liquid.viscosity=0.1:9", "liquid.bulk_modulus=2e3:9e4"
    for words in (("--parameter", *names), ("--parameter", names[0], "--seed", 0, f"--parameter={names[1]}")):
        _, out, err = run(capsys, "identify", recording, *words, "--iterations", 1, "--json")
        assert out, err
        found.append(json.loads(out)["values"])
    assert found[0] == found[1] and set(found[0]) == {"liquid.viscosity", "liquid.bulk_modulus"}


def test_table_of_several_starts(capsys, recording):
    status, out, _ = run(capsys, "identify", recording, "--parameter", "liquid.viscosity", "--starts", 2,
                         "--observe", "observations/observation", "--steps", 15)  # fmt: skip
    assert status == 0 and "recorded with" in out and "CONVERGED" in out
    assert len([line for line in out.splitlines() if line.startswith(("0 ", "1 "))]) == 2


@pytest.mark.parametrize(("low", "high", "side"), [(1.25, 2.0, "lower"), (0.05, 0.5, "upper")])
def test_a_limit_is_named_where_the_best_value_is_at_it(capsys, recording, low, high, side):
    truth = float(Recording(recording)[0].parameters["liquid.viscosity"][0])
    limits = f"liquid.viscosity={low * truth:.6g}:{high * truth:.6g}"
    status, out, _ = run(capsys, "identify", recording, "--parameter", limits)
    at, beyond = (low, "below") if side == "lower" else (high, "above")
    assert status == 1 and "AT_LIMIT" in out
    assert f"the best value is at the {side} limit {at * truth:.6g}, so what was observed asks for one {beyond}" in out


def test_cma_pays_for_its_candidates_only(capsys, recording):
    # 4 + 3 ln(1) candidates an iteration, in batches of 3: the second one is filled up with two copies
    options = ("--method", "cma", "--starts", 3, "--iterations", 2, "--steps", 5, "--json")
    _, out, _ = run(capsys, "identify", recording, "--parameter", "liquid.viscosity", "--observe",
                    "observations/observation", *options)  # fmt: skip
    result = json.loads(out)
    assert result["rollouts"] == 2 * 4 and [row["rollouts"] for row in result["history"]] == [4, 8]


def test_errors(capsys, recording):
    def refused(match, *arguments):
        status, _, err = run(capsys, "identify", recording, *arguments)
        assert status == 2 and match in " ".join(err.split())

    refused("did you mean liquid.viscosity?", "--parameter", "liquid.viscosty")
    refused("is not LOW:HIGH", "--parameter", "liquid.viscosity=3")
    twice = "--parameter liquid.viscosity is given twice, 0.1:2 and 0.2:3; give it once"
    refused(twice, "--parameter", "liquid.viscosity=0.1:2", "--parameter", "liquid.viscosity=0.2:3")
    refused("episodes 0 to 0", "--parameter", "liquid.viscosity", "--episode", 3)
    refused("was not recorded", "--parameter", "liquid.viscosity", "--observe", "colour")
    refused("the episode has 1 .. 20", "--parameter", "liquid.viscosity", "--steps", 30)
    refused("no state was kept", "--parameter", "liquid.viscosity", "--steps", 3)
    refused("can't be simulated", "--parameter", "liquid.viscosity=1:1e6")
    with pytest.raises(RolloutError, match="starts = 0"):
        identify_episode(Recording(recording)[0], {"liquid.viscosity": (0.01, 1.0)}, starts=0)

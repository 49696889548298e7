# SPDX-License-Identifier: Apache-2.0
"""The command line without a simulation: help, laziness, and errors as one line."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simenv
from simenv.errors import ActionError
from simenv.scripts import cli

ROOT = Path(__file__).resolve().parents[2]
OWN = ("list", "info", "record", "replay", "doctor")


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    status = cli.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_lists_every_command(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for name, (_, _, text) in cli.COMMANDS.items():
        assert f"  {name} " in out and text in out
    assert run(capsys)[0] == 2


@pytest.mark.parametrize("name", OWN)
def test_every_option_has_help(capsys, name):
    module, cls, _ = cli.COMMANDS[name]
    command = getattr(importlib.import_module(module), cls)
    assert command.__dataclass_params__.frozen
    status, out, _ = run(capsys, name, "--help")
    assert status == 0 and command.__doc__.strip().split("\n")[0][:40] in out
    fields = [field.replace("_", "-") for field in command.__dataclass_fields__ if field not in ("id", "file")]
    assert all(f"--{field}" in out for field in fields)


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"simenv {simenv.__version__}\n", "")


def test_python_dash_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "simenv", "recodr"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "did you mean `simenv record`?" in done.stderr


def test_unknown_command_is_corrected(capsys):
    status, _, err = run(capsys, "recodr")
    assert status == 2 and "did you mean `simenv record`?" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "pouring"), "did you mean SimEnv/Pouring-v0?"),
        (("record", "Nothing-v9"), "no environment 'Nothing-v9'"),
        (("record", "SimEnv/Pouring-v0", "--episodes", "0"), "must be at least 1"),
        (("record", "SimEnv/Pouring-v0", "--steps", "0"), "max_episode_steps=0: the minimum is 1"),
        (("record", "SimEnv/Pouring-v0", "--seed", "-4"), "--seed -4 must be at least 0"),
        (("record", "SimEnv/Pouring-v0", "--policy", str(ROOT / "tests")), "name the folder of a run"),
        (("record", "SimEnv/Pouring-v0", "--env-args", "{"), "is not JSON"),
        (("record", "SimEnv/Pouring-v0", "--env-args", "[1]"), "is not a JSON object"),
        (("replay", "nowhere"), "no such file or directory"),
        (("replay", "nowhere.csv"), "no such file"),
    ],
)
def test_errors_are_one_line_and_status_2(capsys, arguments, message):
    status, out, err = run(capsys, *arguments)
    assert status == 2 and out == ""
    assert err.startswith("simenv: error: ") and message in err and err.count("\n") == 1


def test_values_of_an_option_that_is_given_again_are_added():
    """Of options that take any number of values; others, and what they stand beside, stay as they are."""
    command = importlib.import_module("simenv.scripts.identify").Identify
    words = ["run", "--parameter", "a", "b=1:2", "--seed", "1", "--parameter=c=3:4", "--seed=2", "--observe", "x"]
    assert cli._together(command, words) == [
        "run", "--parameter", "a", "b=1:2", "c=3:4", "--seed", "1", "--seed=2", "--observe", "x"
    ]  # fmt: skip
    assert cli._together(command, ["--observe", "x", "--observe", "y", "z"]) == ["--observe", "x", "y", "z"]


def test_motion_needs_an_environment(capsys):
    status, _, err = run(capsys, "replay", str(ROOT / "assets" / "motions" / "pour.csv"))
    assert status == 2 and "--env" in err


def test_wrong_usage_is_status_2(capsys):
    assert run(capsys, "record")[0] == 2
    assert run(capsys, "record", "x", "--nonsense")[0] == 2
    assert run(capsys, "record", "x", "--episodes", "many")[0] == 2


def raising(monkeypatch, error):
    def dispatch(arguments):
        raise error

    monkeypatch.setattr(cli, "_dispatch", dispatch)


def test_interrupt_is_status_130(capsys, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    assert run(capsys, "list")[0] == 130


def test_simenv_errors_show_no_traceback_unless_asked(capsys, monkeypatch):
    monkeypatch.setenv(cli.ENVIRONMENT_VARIABLE, "")
    raising(monkeypatch, ActionError("too\n  fast"))
    assert run(capsys, "list") == (2, "", "simenv: error: too fast\n")
    with pytest.raises(ActionError):
        cli.main(["list", "--debug"])


def test_faults_of_simenv_are_not_hidden(monkeypatch):
    raising(monkeypatch, AttributeError("a bug"))
    with pytest.raises(AttributeError):
        cli.main(["list"])


def test_missing_packages_are_named(capsys, monkeypatch):
    raising(monkeypatch, ModuleNotFoundError("No module named 'cma'", name="cma"))
    status, _, err = run(capsys, "list")
    assert status == 2 and "package 'cma' is not installed" in err


def test_every_exception_that_simenv_defines_is_one_line(capsys, monkeypatch):
    from simenv.render.video import VideoError

    raising(monkeypatch, VideoError("ffmpeg stopped"))
    assert run(capsys, "list") == (2, "", "simenv: error: ffmpeg stopped\n")
    raising(monkeypatch, ImportError("policies need Stable-Baselines3"))
    assert run(capsys, "list")[0] == 2
    raising(monkeypatch, ImportError("cannot import name 'x'", name="simenv.world"))
    with pytest.raises(ImportError):
        cli.main(["list"])


def test_missing_command_module_fails_only_when_used(capsys, monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "gone", ("simenv.scripts.gone", "Gone", "not there"))
    assert run(capsys, "--help")[0] == 0
    status, _, err = run(capsys, "gone")
    assert status == 2 and "not part of this installation" in err


def test_list(capsys):
    status, out, _ = run(capsys, "list", "--json")
    assert status == 0
    rows = {row["id"]: row for row in json.loads(out)}
    assert rows.keys() == set(simenv.list_tasks())
    assert rows["SimEnv/Pouring-v0"]["max_episode_steps"] > 0 and rows["SimEnv/Pouring-v0"]["description"]
    assert "SimEnv/Pouring-v0" in run(capsys, "list")[1]


def test_list_and_the_readme_say_the_same_of_each_task(capsys):
    """Both say what is asked: a sentence that begins with a verb, not with where things stand."""
    rows = json.loads(run(capsys, "list", "--json")[1])
    told = {row["id"]: row["description"] for row in rows if row["id"] in simenv._BUILTIN_TASKS}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(SimEnv/[^`]+)` \| ([^|]+) \|", readme, re.MULTILINE))
    assert {task: text[0].lower() + text[1:] for task, text in told.items()} == table
    assert not [text for text in told.values() if text.split()[0] in ("A", "An", "The", "Two")]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_a_switch_says_what_the_switch_does(capsys, name):
    """One that is on by default is switched off by ``--no-...``, and then its help is that of switching off."""
    status, out, _ = run(capsys, name, "--help")
    assert status == 0 and "(default: True)" not in out
    module, cls, _ = cli.COMMANDS[name]
    fields = getattr(importlib.import_module(module), cls).__dataclass_fields__.values()
    text = " ".join(out.replace("\u2502", " ").split())
    for field in (field for field in fields if field.default is True):
        assert re.search(f"--no-{field.name.replace('_', '-')} (Do not|Go on) ", text)


def test_optimize_takes_steps_as_train_and_record_do(capsys):
    import tyro

    from simenv.scripts.optimize import Optimize

    for flag in ("--steps", "--horizon"):
        assert tyro.cli(Optimize, args=["SimEnv/Pouring-v0", flag, "7"]).horizon == 7


def test_info_prints_numbers_with_the_digits_they_have(capsys):
    from simenv.scripts.info import _plain

    values = np.array([0.2, -9.81, 1.0 / 3.0])
    assert _plain(values.astype(np.float32)) == [0.2, -9.81, 0.33333334] and _plain(values) == values.tolist()
    assert _plain(np.float32(0.8)) == 0.8
    status, out, _ = run(capsys, "info", "SimEnv/BallRoll-v0", "--json")
    parameters = json.loads(out)["parameters"]
    assert status == 0 and parameters["gravity"] == [0.0, 0.0, -9.81] and parameters["gel.mu"] == 0.8


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_load_nothing_heavy(arguments):
    code = f"""
import sys
from simenv.scripts import cli
assert cli.main({arguments!r}) == 0
heavy = {{"torch", "warp", "newton", "h5py", "matplotlib", "trimesh"}} & {{m.partition(".")[0] for m in sys.modules}}
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_closed_pipe_is_no_error():
    command = f"{sys.executable} -m simenv.scripts.cli list --json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == "" and done.stdout == "["


def test_doctor_without_simulation(capsys):
    status, out, _ = run(capsys, "doctor", "--no-simulation", "--json")
    rows = {row["check"]: row for row in json.loads(out)}
    assert status == 0
    assert rows["torch"]["status"] == rows["kernel cache"]["status"] == rows["ffmpeg"]["status"] == "ok"


def test_doctor_reports_a_failing_check_and_goes_on(capsys, monkeypatch):
    from simenv.scripts import doctor

    def broken():
        raise RuntimeError("no ffmpeg here")

    monkeypatch.setattr(doctor, "_video", broken)
    status, out, _ = run(capsys, "doctor", "--no-simulation", "--json")
    failed = [row for row in json.loads(out) if row["status"] == "fail"]
    assert status == 1 and failed == [{"status": "fail", "check": "broken", "result": "RuntimeError: no ffmpeg here"}]


def test_doctor_measures_a_kernel_cache_that_others_compile_into(tmp_path, monkeypatch):
    """A module that another process finishes is moved while its folder is being listed; its temporary file goes."""
    import os

    from simenv.scripts import doctor

    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "kept.o").write_bytes(bytes(1000))
    (tmp_path / "module_p1_t1").mkdir()
    (tmp_path / "module" / "going.tmp").write_bytes(bytes(10))
    walk = os.walk

    def others_work(path):
        for visited in walk(path):
            if visited[0] == str(tmp_path):
                (tmp_path / "module_p1_t1").rmdir()
            elif "going.tmp" in visited[2]:
                (tmp_path / "module" / "going.tmp").unlink()
            yield visited

    monkeypatch.setattr(os, "walk", others_work)
    assert doctor._size(tmp_path) == 1000

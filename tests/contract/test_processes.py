# SPDX-License-Identifier: Apache-2.0
"""Forked children, threads of the user, and Ctrl-C, each in a process of its own (`processes.py`)."""

import os
import subprocess
import sys

import pytest

import simenv
from tests.contract.source_rules import ROOT

LIMIT = 600.0  # [s]; a hang is told earlier by the process itself


def passes(*arguments: str, torch_threads: int | None = 2) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if torch_threads is not None:
        environment["OMP_NUM_THREADS"] = str(torch_threads)
    command = [sys.executable, "-m", "tests.contract.processes", *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert run.returncode == 0, f"{arguments}: exit status {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-4000:]}"


def test_a_forked_child_computes_what_its_parent_does():
    passes("fork")


def test_threads_of_the_user_compute_what_one_does():
    passes("users")


@pytest.mark.slow
@pytest.mark.parametrize("task_id", [task for task in simenv.list_tasks() if task.startswith("SimEnv/")])
@pytest.mark.parametrize("what", ["fork", "first_fork"])
def test_every_task_in_forked_children(what, task_id):
    passes(what, task_id, torch_threads=None)


@pytest.mark.slow
@pytest.mark.parametrize("task_id", [task for task in simenv.list_tasks() if task.startswith("SimEnv/")])
def test_every_task_in_threads_of_the_user(task_id):
    passes("users", task_id, "SimEnv/SoftGrasp-v0")


@pytest.mark.slow
@pytest.mark.parametrize("task_id", ["TestEnv/Splash-v0", "SimEnv/SoftGrasp-v0"])
def test_a_process_works_after_any_interrupt(task_id):
    passes("interrupts", task_id)

# SPDX-License-Identifier: Apache-2.0
"""The programs that `simenv bench` measures: each in a process of its own, the peers in environments of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.report import BENCHMARKS, ROOT
from benchmarks.protocol import Program


@dataclass(frozen=True)
class Peer:
    """A program that a user might take instead.

    Attributes:
        script: its program under benchmarks/.
        packages: what its environment holds.
        variable: environment variable that names a Python which has them.
        folder: where that environment is looked for otherwise; made there if `small`.
        environment: environment variables of its process.
    """

    script: str
    packages: tuple[str, ...]
    variable: str
    folder: str
    small: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def python(self) -> str:
        """Python with the packages.

        Raises:
            RuntimeError: there is none, and it would be large to make.
        """
        if os.environ.get(self.variable):
            return os.environ[self.variable]
        folder = ROOT / self.folder
        python, done = folder / "bin" / "python", folder / ".installed"
        if done.exists():
            return str(python)
        if not self.small:
            raise RuntimeError(f"set {self.variable} to a Python with {' '.join(self.packages)}")
        print(f"==> making {folder} with {', '.join(self.packages)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install", *self.packages]
        subprocess.run(install, check=True, stdout=sys.stderr)
        done.touch()
        return str(python)


PEERS = {
    "taichi": Peer(
        "peers/taichi_mpm.py", ("taichi==1.7.4", "numpy"), "SIMENV_BENCH_PYTHON", ".venv-bench", small=True
    ),
    "genesis": Peer(
        "peers/genesis_mpm.py", ("torch==2.13.0", "genesis-world==1.4.5"), "SIMENV_BENCH_GENESIS_PYTHON",
        ".venv-bench-genesis", environment={"QD_NUM_THREADS": "2"},
    ),
    "rewarped": Peer(
        "peers/rewarped_transport.py", ("torch==2.13.0", "rewarped==1.3.3", "gym==0.23.1", "tensorboard"),
        "SIMENV_BENCH_REWARPED_PYTHON", ".venv-bench-rewarped",
        # its Warp is older and stores kernels in another way, of which ours warns
        environment={"WARP_CACHE_PATH": str(ROOT / "build" / "warp-cache-rewarped")},
    ),
}  # fmt: skip


def start(script: str, python: str = "", **environment: str) -> Program:
    """Start a program; without `python` it runs in this environment."""
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if python:
        inherited = {key: value for key, value in inherited.items() if not key.startswith("PYTHON")}
    return Program(python or sys.executable, str(BENCHMARKS / script), {**inherited, **environment})


@contextmanager
def running(
    scripts: dict[str, str], peers: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, Program], dict[str, str]]]:
    """The programs by name, those of this environment (name -> script) and the peers; and why a peer is missing."""
    programs: dict[str, Program] = {}
    missing: dict[str, str] = {}
    try:
        for name, script in scripts.items():
            programs[name] = start(script)
        for name in peers:
            try:
                programs[name] = start(PEERS[name].script, PEERS[name].python(), **PEERS[name].environment)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                missing[name] = str(error)
        yield programs, missing
    finally:
        for program in programs.values():
            program.close()


def set_up(programs: dict[str, Program], missing: dict[str, str], versions: dict[str, Any], **request: Any) -> None:
    """Ask every program for its versions; a peer that dies is moved to `missing`."""
    for name in list(programs):
        try:
            versions[name] = programs[name].ask("setup", **{"threads": 2, **request})
        except RuntimeError as error:
            if name not in PEERS:
                raise
            missing[name] = str(error)
            programs.pop(name).close()

# SPDX-License-Identifier: Apache-2.0
"""Every kernel compiles for CUDA, which needs no GPU: for sm_75, which newer GPUs have all of, and, in the slow suite,
for sm_90. Sizes of a launch are run-time values, so that one compiled module serves every scene.
"""

import importlib
from pathlib import Path

import pytest
import warp as wp

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = (75, pytest.param(90, marks=pytest.mark.slow))
KINDS = {  # solids, liquids, yielding
    "solids": (True, False, False),
    "liquids": (False, True, False),
    "yielding": (False, False, True),
    "all": (True, True, True),
}
SOURCES = ("simenv", "tasks", "agents", "scripts")


def kernels_of(namespace) -> list[wp.Kernel]:
    every = [each for value in vars(namespace).values() for each in (value if isinstance(value, list) else [value])]
    return [value for value in every if isinstance(value, wp.Kernel)]


def transfer(real, kinds, periodic, sparse=False):
    from simenv.physics.mpm.kernels_transfer import transfer_kernels

    solids, liquids, yielding = KINDS[kinds]
    every, packs = kinds == "all", kinds == "liquids"
    return kernels_of(
        transfer_kernels(real, True, solids, liquids, periodic, every, yielding, sparse, every, every, packs)
    )


def adjoint(real, kinds, sparse=False):
    from simenv.physics.mpm.kernels_adjoint import adjoint_kernels

    solids, liquids, yielding = KINDS[kinds]
    every, packs = kinds == "all", kinds == "liquids"
    return kernels_of(adjoint_kernels(real, True, solids, liquids, every, yielding, sparse, every, every, packs))


def contact(real):
    from simenv.physics.mpm.kernels_contact import contact_kernels

    return kernels_of(contact_kernels(real))


def answers(real):
    from simenv.physics.mpm.kernels_brace import brace_kernels
    from simenv.physics.mpm.kernels_response import response_kernels

    return kernels_of(response_kernels(real)) + kernels_of(brace_kernels(real, True))


def grid(real, sparse=False, packs=False):
    from simenv.physics.mpm.kernels_grid import grid_kernels

    return kernels_of(grid_kernels(real, sparse, packs))


def restoring(real, sparse):
    from simenv.physics.mpm.kernels_restoring import restoring_kernels

    return kernels_of(restoring_kernels(real, sparse))


def packing(real, sparse):
    from simenv.physics.mpm.kernels_packing import packing_kernels

    return kernels_of(packing_kernels(real, sparse))


def blocks(real):
    from simenv.physics.mpm.kernels_blocks import block_kernels

    return kernels_of(block_kernels(real, True))


def tactile(real, name):
    folder = "physics.gels" if name in GELS else "sensors.tactile"
    module = importlib.import_module(f"simenv.{folder}.{name}")
    return kernels_of(getattr(module, name.removeprefix("kernels_") + "_kernels")(real))


def factory(real, name):
    module = importlib.import_module(name)
    (make,) = (getattr(module, each) for each in module.__all__ if each.endswith("_kernels"))
    return kernels_of(make(real))


def bodies(real, name, *more):
    module = importlib.import_module(f"simenv.physics.bodies.{name}")
    return kernels_of(getattr(module, module.__all__[-1])(real, *more))


def plain(name):
    module = importlib.import_module(name)
    if name == "simenv.geometry.mesh_sdf":
        return list(module._kernels())
    if name == "simenv.geometry.mesh_intersection":
        return [module._kernel()]
    if name == "simenv.physics.launch.programs":
        return [module.meeting_kernel()]
    if name == "simenv.physics.launch.denormals":
        return kernels_of(module.flush_kernels())
    return kernels_of(module)


PLAIN = (
    "simenv.geometry.mesh_intersection",
    "simenv.geometry.mesh_sdf",
    "simenv.physics.launch.denormals",
    "simenv.physics.launch.programs",
    "simenv.render.kernels_frame",
    "simenv.render.kernels_surface",
    "simenv.scripts.doctor_kernel",
)
FACTORIES = (
    "kernels_transfer.py",
    "kernels_adjoint.py",
    "kernels_blocks.py",
    "kernels_contact.py",
    "kernels_grid.py",
    "kernels_brace.py",
    "kernels_packing.py",
    "kernels_response.py",
    "kernels_restoring.py",
)  # in simenv/physics/mpm
TACTILE = ("kernels_image", "kernels_leds", "kernels_markers")  # in simenv/sensors/tactile
GELS = (
    "kernels_contact", "kernels_convolve", "kernels_elastic", "kernels_mount", "kernels_solve", "kernels_springs",
)  # fmt: skip  # in simenv/physics/gels
BODIES = (
    "kernels_aba", "kernels_answer", "kernels_collide", "kernels_drive", "kernels_loops", "kernels_midpoint",
    "kernels_motion", "kernels_points", "kernels_robots", "kernels_settle", "kernels_tool_torques", "kernels_tools",
    "kernels_tree", "kernels_tree_reverse", "kernels_unsettle",
)  # fmt: skip  # in simenv/physics/bodies
GAS = (
    "average", "confine", "cut", "force", "force_adjoint", "gaps", "lines", "owe", "project", "project_adjoint",
    "react", "rim", "scalar", "scalar_adjoint", "seat",
)  # fmt: skip
LIQUID = (
    "bodies", "cells", "extend", "measure", "meet", "pack", "particles", "press", "solids", "tension", "viscosity",
    "walls", "window",
)  # fmt: skip  # in simenv/physics/liquid
OTHERS = (
    "simenv.physics.kernels_exact", "simenv.physics.kernels_frames", "simenv.physics.mpm.kernels_exchange",
    "simenv.physics.mpm.kernels_shapes", "simenv.envs.kernels_measures", "simenv.physics.pressure.kernels_whole",
    "simenv.physics.pressure.kernels_transform",
    *(f"simenv.physics.liquid.kernels_{name}" for name in LIQUID),
    *(f"simenv.physics.gas.kernels_{name}" for name in GAS),
    "simenv.physics.flow.kernels_cut", "simenv.physics.flow.kernels_place", "simenv.physics.drag.kernels_drag",
)  # fmt: skip

LONG = ("simenv.physics.gas.kernels_cut",)  # which takes a minute to compile


def cases():
    # In the quick suite: float32, which is what runs on CUDA, for liquids and for everything in one, which is all code.
    for real in (wp.float32, wp.float64):
        name = real.__name__
        single = [] if real is wp.float32 else [pytest.mark.slow]
        for kinds in KINDS:
            marks = single if kinds in ("liquids", "all") else [pytest.mark.slow]
            yield pytest.param(transfer, (real, kinds, False), id=f"{name}-transfer-{kinds}", marks=marks)
            marks = single if kinds == "all" else [pytest.mark.slow]
            yield pytest.param(transfer, (real, kinds, True), id=f"{name}-transfer-{kinds}-periodic", marks=marks)
            marks = single if kinds in ("liquids", "all") else [pytest.mark.slow]
            yield pytest.param(adjoint, (real, kinds), id=f"{name}-adjoint-{kinds}", marks=marks)
            marks = single if kinds == "liquids" else [pytest.mark.slow]
            yield pytest.param(transfer, (real, kinds, False, True), id=f"{name}-transfer-{kinds}-sparse", marks=marks)
            yield pytest.param(adjoint, (real, kinds, True), id=f"{name}-adjoint-{kinds}-sparse", marks=marks)
        yield pytest.param(grid, (real,), id=f"{name}-grid", marks=single)
        yield pytest.param(grid, (real, True), id=f"{name}-grid-sparse", marks=single)
        for sparse in (False, True):
            where = "sparse" if sparse else "dense"
            yield pytest.param(grid, (real, sparse, True), id=f"{name}-grid-packs-{where}", marks=single)
            yield pytest.param(restoring, (real, sparse), id=f"{name}-restoring-{where}", marks=single)
            yield pytest.param(packing, (real, sparse), id=f"{name}-packing-{where}", marks=single)
        yield pytest.param(blocks, (real,), id=f"{name}-blocks", marks=single)
        yield pytest.param(contact, (real,), id=f"{name}-contact", marks=single)
        yield pytest.param(answers, (real,), id=f"{name}-answers", marks=single)
        for module in (*TACTILE, *GELS):
            yield pytest.param(tactile, (real, module), id=f"{name}-tactile-{module}", marks=single)
        whole = ("kernels_settle", "kernels_unsettle")  # the quick suite has all that they can do
        for module in BODIES:
            marks = [pytest.mark.slow] if module in whole else single
            yield pytest.param(bodies, (real, module), id=f"{name}-bodies-{module}", marks=marks)
        for module in whole:
            yield pytest.param(bodies, (real, module, True), id=f"{name}-bodies-{module}-answers", marks=single)
        for module in OTHERS:
            marks = [pytest.mark.slow] if module in LONG else single
            yield pytest.param(factory, (real, module), id=f"{name}-{module.rpartition('.')[2]}", marks=marks)
    for module in PLAIN:
        yield pytest.param(plain, (module,), id=module)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("make", "arguments"), list(cases()))
def test_compiles_for_cuda(make, arguments, architecture, tmp_path):
    kernels = make(*arguments)
    modules = {kernel.module.name: kernel.module for kernel in kernels}
    assert modules
    for module in modules.values():
        wp.compile_aot_module(module, arch=architecture, module_dir=tmp_path)
    built = [file for file in tmp_path.iterdir() if f"sm{architecture}" in file.name and file.stat().st_size > 0]
    assert len(built) == len(modules), sorted(file.name for file in tmp_path.iterdir())


def test_every_file_with_kernels_is_compiled_here():
    with_kernels = {
        path.relative_to(ROOT).as_posix()
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        if "@wp.kernel" in path.read_text()
    }
    files = {f"simenv/physics/mpm/{name}" for name in FACTORIES}
    files |= {f"simenv/sensors/tactile/{name}.py" for name in TACTILE}
    files |= {f"simenv/physics/gels/{name}.py" for name in GELS}
    files |= {f"simenv/physics/bodies/{name}.py" for name in BODIES}
    for name in (*PLAIN, *OTHERS):
        files.add(Path(importlib.import_module(name).__file__).resolve().relative_to(ROOT).as_posix())
    assert with_kernels == files

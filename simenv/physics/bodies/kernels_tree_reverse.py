# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the adjoints of kinematics and of inverse dynamics of trees of joints, for robots alone
(kernels_tree_adjoint has the functions).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["tree_adjoint_kernels"]


@built_once
def tree_adjoint_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type.

    Returns:
        A namespace with `dynamics_adjoint` and `kinematics_adjoint`, which launch `differentiate` and `carry_back`.
    """
    back = tree_adjoint_functions(real)
    Trees, Motion, Swept, vec3, quat = back.Trees, back.Motion, back.Swept, back.vec3, back.quat
    differentiate, carry_back = back.differentiate, back.carry_back
    options = {"module": f"simenv_bodies_tree_adjoint_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def dynamics_adjoint(
        trees: Trees,
        sign: real,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        acceleration_in: wp.array2d(dtype=real),
        rates_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        motion_in: Motion,
        swept_out: Swept,
        q_adj_out: wp.array2d(dtype=real),
        v_adj_out: wp.array2d(dtype=real),
        acceleration_adj_out: wp.array2d(dtype=real),
        gravity_adj_out: wp.array2d(dtype=vec3),
        force_adj_out: wp.array2d(dtype=vec3),
        torque_adj_out: wp.array2d(dtype=vec3),
        inertial_adj_out: wp.array3d(dtype=real),
        easing_adj_out: wp.array2d(dtype=real),
    ):
        w, t = wp.tid()
        gravity_adj_out[w, t] = differentiate(
            trees, w, t, sign, q_in, v_in, acceleration_in, rates_in, gravity_in[w], force_in, torque_in, 0,
            motion_in.place, inertial_in, easing_in, motion_in, swept_out, q_adj_out, v_adj_out,
            acceleration_adj_out, force_adj_out, torque_adj_out, inertial_adj_out, easing_adj_out,
        )  # fmt: skip

    @wp.kernel(**options)
    def kinematics_adjoint(
        trees: Trees,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        place_adj_in: wp.array2d(dtype=vec3),
        turn_adj_in: wp.array2d(dtype=quat),
        velocity_adj_in: wp.array2d(dtype=vec3),
        omega_adj_in: wp.array2d(dtype=vec3),
        motion_in: Motion,
        swept_out: Swept,
        q_adj_out: wp.array2d(dtype=real),
        v_adj_out: wp.array2d(dtype=real),
    ):
        w, t = wp.tid()
        carry_back(
            trees, w, t, q_in, v_in, place_adj_in, turn_adj_in, velocity_adj_in, omega_adj_in, motion_in, swept_out,
            q_adj_out, v_adj_out,
        )  # fmt: skip

    return SimpleNamespace(dynamics_adjoint=dynamics_adjoint, kinematics_adjoint=kinematics_adjoint, **vars(back))

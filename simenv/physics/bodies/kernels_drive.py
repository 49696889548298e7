# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the drives of joints: torques, taken implicitly by what they add to the inertia at their joint."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["drive_kernels"]


@built_once
def drive_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Told` (of rates: which of the commands, for how long these have moved targets, and
        what holds those that move as told), and the kernel `drive` with its reverse `drive_adjoint`, whose threads have
        a block of worlds.
    """
    options = {"module": f"simenv_bodies_drive_{real.__name__}", "enable_backward": False}

    @wp.struct
    class Told:
        back: wp.array(dtype=int)
        since: wp.array(dtype=real)
        hold: wp.array(dtype=real)

    @wp.kernel(**options)
    def drive(
        block: int,
        dt: real,
        left: real,
        position: wp.array(dtype=int),
        told: Told,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        target_in: wp.array2d(dtype=real),
        rate_in: wp.array2d(dtype=real),
        feed_in: wp.array2d(dtype=real),
        motors_in: wp.array2d(dtype=real),
        stiffness_in: wp.array2d(dtype=real),
        damping_in: wp.array2d(dtype=real),
        viscous_in: wp.array2d(dtype=real),
        armature_in: wp.array2d(dtype=real),
        tau_out: wp.array2d(dtype=real),
        easing_out: wp.array2d(dtype=real),
        pull_out: wp.array2d(dtype=real),
        soft_out: wp.array2d(dtype=real),
    ):
        # Torque of k (target - q - dt v') + d (rate - v') - c v' with the rates v' after the tick, and q of its middle:
        # what is proportional to the change of v is in `easing`. `pull` and `soft` are the motor's part of both.
        # `position` is -1 where a rate has none of its own. Commands are those of `told.back` steps before, and a
        # target that integrates has moved for `told.since`. A joint that is moved as told gets there when the step
        # ends: with `told.hold` so large beside its inertia that nothing else matters.
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for k in range(v_in.shape[1]):
                v = v_in[w, k]
                a = position[k]
                c = told.back[k] * v_in.shape[1] + k
                hold = told.hold[k]
                if hold > real(0.0):
                    target = target_in[w, c] + told.since[k] * rate_in[w, c]
                    tau_out[w, k] = hold / dt * ((target - q_in[w, a]) / left - v)
                    easing_out[w, k] = armature_in[w, k] + hold
                    pull_out[w, k] = real(0.0)
                    soft_out[w, k] = real(0.0)
                else:
                    pull = feed_in[w, c] + motors_in[w, k] + damping_in[w, k] * (rate_in[w, c] - v)
                    soft = dt * damping_in[w, k]
                    if a >= 0:
                        target = target_in[w, c] + told.since[k] * rate_in[w, c]
                        pull = pull + stiffness_in[w, k] * (target - q_in[w, a] - dt * v)
                        soft = soft + dt * dt * stiffness_in[w, k]
                    tau_out[w, k] = pull - viscous_in[w, k] * v
                    easing_out[w, k] = armature_in[w, k] + soft + dt * viscous_in[w, k]
                    pull_out[w, k] = pull
                    soft_out[w, k] = soft

    @wp.kernel(**options)
    def drive_adjoint(
        block: int,
        dt: real,
        left: real,
        position: wp.array(dtype=int),
        told: Told,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        target_in: wp.array2d(dtype=real),
        rate_in: wp.array2d(dtype=real),
        feed_in: wp.array2d(dtype=real),
        motors_in: wp.array2d(dtype=real),
        stiffness_in: wp.array2d(dtype=real),
        damping_in: wp.array2d(dtype=real),
        viscous_in: wp.array2d(dtype=real),
        armature_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        pull_in: wp.array2d(dtype=real),
        soft_in: wp.array2d(dtype=real),
        adj_tau_in: wp.array2d(dtype=real),
        adj_easing_in: wp.array2d(dtype=real),
        adj_pull_in: wp.array2d(dtype=real),
        adj_soft_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        adj_target_inout: wp.array2d(dtype=real),
        adj_rate_inout: wp.array2d(dtype=real),
        adj_feed_inout: wp.array2d(dtype=real),
        adj_motors_inout: wp.array2d(dtype=real),
        adj_stiffness_inout: wp.array2d(dtype=real),
        adj_damping_inout: wp.array2d(dtype=real),
        adj_viscous_inout: wp.array2d(dtype=real),
        adj_armature_inout: wp.array2d(dtype=real),
    ):
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for k in range(v_in.shape[1]):
                v = v_in[w, k]
                tau = adj_tau_in[w, k]
                easing = adj_easing_in[w, k]
                a = position[k]
                c = told.back[k] * v_in.shape[1] + k
                hold = told.hold[k]
                since = told.since[k]
                adj_armature_inout[w, k] = adj_armature_inout[w, k] + easing
                if hold > real(0.0):
                    taken = hold / dt * tau
                    adj_target_inout[w, c] = adj_target_inout[w, c] + taken / left
                    adj_rate_inout[w, c] = adj_rate_inout[w, c] + since * taken / left
                    adj_q_inout[w, a] = adj_q_inout[w, a] - taken / left
                    adj_v_inout[w, k] = adj_v_inout[w, k] - taken
                else:
                    pull = tau + adj_pull_in[w, k]
                    soft = easing + adj_soft_in[w, k]
                    damping = damping_in[w, k]
                    through = -damping * pull - viscous_in[w, k] * tau
                    adj_feed_inout[w, c] = adj_feed_inout[w, c] + pull
                    adj_motors_inout[w, k] = adj_motors_inout[w, k] + pull
                    adj_rate_inout[w, c] = adj_rate_inout[w, c] + damping * pull
                    adj_damping_inout[w, k] = adj_damping_inout[w, k] + (rate_in[w, c] - v) * pull + dt * soft
                    adj_viscous_inout[w, k] = adj_viscous_inout[w, k] + dt * easing - v * tau
                    if a >= 0:
                        stiffness = stiffness_in[w, k]
                        missing = target_in[w, c] + since * rate_in[w, c] - q_in[w, a] - dt * v
                        through = through - dt * stiffness * pull
                        adj_target_inout[w, c] = adj_target_inout[w, c] + stiffness * pull
                        adj_rate_inout[w, c] = adj_rate_inout[w, c] + since * stiffness * pull
                        adj_q_inout[w, a] = adj_q_inout[w, a] - stiffness * pull
                        adj_stiffness_inout[w, k] = adj_stiffness_inout[w, k] + missing * pull + dt * dt * soft
                    adj_v_inout[w, k] = adj_v_inout[w, k] + through

    return SimpleNamespace(Told=Told, drive=drive, drive_adjoint=drive_adjoint, real=real)

# SPDX-License-Identifier: Apache-2.0
"""Singular value and polar decompositions of 3x3 matrices as Warp functions, with exact hand-written adjoints.

Warp's built-in ``svd3`` returns a wrong gradient at repeated singular values, which is the state of every solid at
rest. Nothing here is differentiated by Warp: the adjoints below are closed forms that have no singularity there.

Convention: ``F = U diag(sigma) V^T`` with ``U`` and ``V`` proper rotations (determinant +1),
``sigma[0] >= sigma[1] >= |sigma[2]|`` (to rounding), and ``sigma[2]`` carrying the sign of ``det F``. ``R = U V^T`` is
then a rotation, the closest one to ``F``, for every ``F`` including inverted ones. Errors are some units of rounding of
the largest singular value.

Sources: Hestenes (1958) for the one-sided Jacobi method; Higham (1986) for the Newton iteration of the polar factor.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

wp.set_module_options({"enable_backward": False})

_MATRIX = {wp.float32: wp.mat33f, wp.float64: wp.mat33d}
_VECTOR = {wp.float32: wp.vec3f, wp.float64: wp.vec3d}
# Relative tolerance, smallest safe square, smallest safe magnitude.
_LIMITS = {wp.float32: (1.1920929e-07, 1.0e-35, 1.0e-36), wp.float64: (2.220446049250313e-16, 1.0e-290, 1.0e-300)}


def scalar_types(real: type) -> tuple[type, type]:
    """Return Warp's ``(mat33, vec3)`` types of a scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        The 3x3 matrix type and the 3-vector type.

    Raises:
        ValueError: if ``real`` is another type.
    """
    if real not in _MATRIX:
        raise ValueError(f"scalar type is {real!r}, but only wp.float32 and wp.float64 are supported; pass one of them")
    return _MATRIX[real], _VECTOR[real]


@built_once
def svd_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions; ``mat33`` and ``vec3`` have the scalar type ``real``, all matrices are
        dimensionless when ``F`` is a deformation gradient:

        * ``svd3(F) -> (U, sigma, V)``: the signed decomposition. A non-finite ``F`` gives non-finite results.
        * ``polar_rotation(F) -> R``: the rotation closest to ``F``.
        * ``newton_polar(F) -> (R, found)``: the same without a decomposition, or ``found = 0`` and no rotation.
        * ``polar_rotation_adjoint(U, sigma, V, adj_R) -> adj_F`` from a decomposition at hand.
        * ``polar_adjoint(F, R, adj_R) -> adj_F``: the same without a decomposition (one 3x3 solve).
        * ``cofactor(F)``: the derivative of ``det F`` with respect to ``F``.

        ``R`` is not differentiable where ``sigma[1] + sigma[2] = 0`` (an inverted element). The adjoints stay finite
        there by dropping (``polar_adjoint``) or bounding the singular direction, but have no meaning.

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, vec3 = scalar_types(real)
    eps_value, tiny_square, tiny_value = _LIMITS[real]
    tolerance_square = wp.constant(real((2.0 * eps_value) ** 2))
    tiny2 = wp.constant(real(tiny_square))
    tiny = wp.constant(real(tiny_value))
    eps = wp.constant(real(eps_value))
    max_rotations = wp.constant(36)
    max_newton = wp.constant(20)

    @wp.func
    def cofactor(F: mat33):
        # The columns of cof F are the cross products of the columns of F; cof F = det(F) F^-T, also for singular F.
        a = vec3(F[0, 0], F[1, 0], F[2, 0])
        b = vec3(F[0, 1], F[1, 1], F[2, 1])
        c = vec3(F[0, 2], F[1, 2], F[2, 2])
        return wp.matrix_from_cols(wp.cross(b, c), wp.cross(c, a), wp.cross(a, b))

    @wp.func
    def rotate_pair(p: vec3, q: vec3, vp: vec3, vq: vec3):
        # One Jacobi rotation that makes the columns p and q orthogonal.
        alpha = wp.dot(p, p)
        beta = wp.dot(q, q)
        gamma = wp.dot(p, q)
        rotated = wp.int32(0)
        p_out = p
        q_out = q
        vp_out = vp
        vq_out = vq
        if gamma * gamma > tolerance_square * alpha * beta + tiny2:
            # Cosine and sine of the smaller angle, with one division and two square roots: their latency sets the time.
            d = beta - alpha
            w = wp.abs(d) + wp.sqrt(d * d + real(4.0) * gamma * gamma)
            g = real(2.0) * gamma
            if d < real(0.0):
                g = -g
            scale = real(1.0) / wp.sqrt(w * w + g * g)
            c = w * scale
            s = g * scale
            p_out = c * p - s * q
            q_out = s * p + c * q
            vp_out = c * vp - s * vq
            vq_out = s * vp + c * vq
            rotated = wp.int32(1)
        return p_out, q_out, vp_out, vq_out, rotated

    @wp.func
    def order_pair(p: vec3, q: vec3, vp: vec3, vq: vec3):
        # The longer column first; a quarter turn rather than an exchange, so that det V stays +1.
        p_out = p
        q_out = q
        vp_out = vp
        vq_out = vq
        if wp.dot(p, p) < wp.dot(q, q):
            p_out = q
            q_out = -p
            vp_out = vq
            vq_out = -vp
        return p_out, q_out, vp_out, vq_out

    @wp.func
    def any_perpendicular(u: vec3):
        # The axis with the smallest component of u is the farthest from being parallel to it.
        axis = vec3(real(1.0), real(0.0), real(0.0))
        if wp.abs(u[1]) < wp.abs(u[0]) and wp.abs(u[1]) <= wp.abs(u[2]):
            axis = vec3(real(0.0), real(1.0), real(0.0))
        elif wp.abs(u[2]) < wp.abs(u[0]):
            axis = vec3(real(0.0), real(0.0), real(1.0))
        return wp.normalize(wp.cross(u, axis))

    @wp.func
    def safe_scale(F: mat33):
        # Squares and fourth powers of entries must neither overflow nor underflow. Usual F needs no scaling.
        frobenius = wp.ddot(F, F)
        scale = real(1.0)
        if frobenius < real(1.0e-4) or frobenius > real(1.0e4):
            largest = wp.max(wp.max(wp.abs(F[0])), wp.max(wp.max(wp.abs(F[1])), wp.max(wp.abs(F[2]))))
            scale = largest
        return scale

    @wp.func
    def svd3(F: mat33):
        scale = safe_scale(F)
        U = wp.identity(n=3, dtype=real)
        V = wp.identity(n=3, dtype=real)
        sigma = vec3(real(0.0), real(0.0), real(0.0))
        if not (scale < tiny):  # written so that NaN goes through
            inverse_scale = real(1.0) / scale
            b0 = vec3(F[0, 0], F[1, 0], F[2, 0]) * inverse_scale
            b1 = vec3(F[0, 1], F[1, 1], F[2, 1]) * inverse_scale
            b2 = vec3(F[0, 2], F[1, 2], F[2, 2]) * inverse_scale
            v0 = vec3(real(1.0), real(0.0), real(0.0))
            v1 = vec3(real(0.0), real(1.0), real(0.0))
            v2 = vec3(real(0.0), real(0.0), real(1.0))
            # One rotation per turn, then a cyclic exchange of the columns (an even permutation): the code stays small.
            # Done when the two pairs after the last rotated one are orthogonal already.
            idle = wp.int32(-1)
            turn = wp.int32(0)
            while idle < 2 and turn < max_rotations:
                p, q, vp, vq, rotated = rotate_pair(b0, b1, v0, v1)
                b0 = q
                b1 = b2
                b2 = p
                v0 = vq
                v1 = v2
                v2 = vp
                idle = wp.where(rotated > 0, 0, idle + 1)
                turn = turn + 1
            b0, b1, v0, v1 = order_pair(b0, b1, v0, v1)
            b0, b2, v0, v2 = order_pair(b0, b2, v0, v2)
            b1, b2, v1, v2 = order_pair(b1, b2, v1, v2)
            # Rounding of some ten rotations is removed from V; U is orthonormal by construction for any rank.
            v0 = wp.normalize(v0)
            v1 = wp.normalize(v1 - wp.dot(v0, v1) * v0)
            v2 = wp.cross(v0, v1)
            s0 = wp.length(b0)
            u0 = b0 / s0
            rest = b1 - wp.dot(u0, b1) * u0
            rest_square = wp.dot(rest, rest)
            u1 = rest / wp.sqrt(rest_square)
            # A column that is not orthogonal to the first one by now is rounding noise of a matrix of rank one.
            if rest_square < tiny2 or rest_square < real(0.25) * wp.dot(b1, b1):
                u1 = any_perpendicular(u0)
            u2 = wp.cross(u0, u1)
            U = wp.matrix_from_cols(u0, u1, u2)
            V = wp.matrix_from_cols(v0, v1, v2)
            sigma = vec3(s0, wp.dot(u1, b1), wp.dot(u2, b2)) * scale
        return U, sigma, V

    @wp.func
    def newton_polar(F: mat33):
        # Newton's iteration X <- (X + X^-T)/2 takes few steps at the strains of a solid and no decomposition. Gives up
        # (found = 0) where F is inverted or its condition number could exceed about 800, which these limits imply.
        X = F
        found = wp.int32(0)
        if wp.determinant(F) > real(0.1) and wp.ddot(F, F) < real(30.0):
            found = wp.int32(1)
            iteration = wp.int32(0)
            active = wp.int32(1)
            while active > 0 and iteration < max_newton:
                D = real(0.5) * (cofactor(X) / wp.determinant(X) - X)
                X = X + D
                # The error left is half the square of the last correction.
                if wp.ddot(D, D) <= eps:
                    active = wp.int32(0)
                iteration = iteration + 1
        return X, found

    @wp.func
    def polar_rotation(F: mat33):
        R, found = newton_polar(F)
        if found == 0:
            U, _sigma, V = svd3(F)
            R = U * wp.transpose(V)
        return R

    @wp.func
    def bounded_sum(a: real, b: real, scale: real):
        # Keeps the division finite where the polar factor of an inverted matrix jumps.
        total = a + b
        least = eps * scale + tiny
        if wp.abs(total) < least:
            total = least
        return total

    @wp.func
    def polar_rotation_adjoint(U: mat33, sigma: vec3, V: mat33, adj_R: mat33):
        # dR = U [(P - P^T)_ij / (s_i + s_j)] V^T with P = U^T dF V is its own transpose.
        M = wp.transpose(U) * adj_R * V
        w01 = (M[0, 1] - M[1, 0]) / bounded_sum(sigma[0], sigma[1], sigma[0])
        w02 = (M[0, 2] - M[2, 0]) / bounded_sum(sigma[0], sigma[2], sigma[0])
        w12 = (M[1, 2] - M[2, 1]) / bounded_sum(sigma[1], sigma[2], sigma[0])
        zero = real(0.0)
        W = mat33(zero, w01, w02, -w01, zero, w12, -w02, -w12, zero)
        return U * W * wp.transpose(V)

    @wp.func
    def polar_adjoint(F: mat33, R: mat33, adj_R: mat33):
        # dR = R [w]x with (tr(S) I - S) w = axial(R^T dF - dF^T R) and S = R^T F; the transpose of that linear map.
        Rt = wp.transpose(R)
        S = Rt * F
        N = Rt * adj_R
        n = vec3(N[2, 1] - N[1, 2], N[0, 2] - N[2, 0], N[1, 0] - N[0, 1])
        xy = real(-0.5) * (S[0, 1] + S[1, 0])
        xz = real(-0.5) * (S[0, 2] + S[2, 0])
        yz = real(-0.5) * (S[1, 2] + S[2, 1])
        G = mat33(S[1, 1] + S[2, 2], xy, xz, xy, S[0, 0] + S[2, 2], yz, xz, yz, S[0, 0] + S[1, 1])
        return R * wp.skew(wp.inverse(G) * n)

    return SimpleNamespace(
        svd3=svd3,
        polar_rotation=polar_rotation,
        newton_polar=newton_polar,
        polar_rotation_adjoint=polar_rotation_adjoint,
        polar_adjoint=polar_adjoint,
        cofactor=cofactor,
    )

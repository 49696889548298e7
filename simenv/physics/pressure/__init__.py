# SPDX-License-Identifier: Apache-2.0
"""Pressure on staggered grids: the Poisson equation with face weights, by multigrid, by fast diagonalisation, and its
adjoint.
"""

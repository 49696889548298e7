# SPDX-License-Identifier: Apache-2.0
"""Solvers: Warp kernels in ``kernels_*.py`` and the classes that launch them."""

# SPDX-License-Identifier: Apache-2.0
"""Constant tensors for tasks and measures, made once per device."""

from simenv.physics.constants import constant

__all__ = ["constant"]

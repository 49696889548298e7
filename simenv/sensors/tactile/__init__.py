# SPDX-License-Identifier: Apache-2.0
"""Tactile sensors: force fields, images and markers, batched over worlds and differentiable."""

# SPDX-License-Identifier: Apache-2.0
"""Incompressible gas on a staggered grid: smoke, heat, walls, inlets, outlets and obstacles."""

# SPDX-License-Identifier: Apache-2.0
"""Incompressible liquid with a free surface: particles that carry it, and a staggered grid that holds its volume."""

# SPDX-License-Identifier: Apache-2.0
"""Sensors that read the state of the world: tactile fields, cameras, probes."""

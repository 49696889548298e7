# SPDX-License-Identifier: Apache-2.0
"""Columns of a material's parameter vector, which the kernels read; what a column holds depends on the kind."""

DENSITY, LAME_LAMBDA, LAME_MU = range(3)  # [kg/m^3], [Pa]; a liquid's bulk modulus stands at LAME_LAMBDA

VISCOSITY, YIELD_STRESS = 3, 4  # [Pa s], [Pa]
EXPONENT = 5  # of a Herschel-Bulkley liquid, whose consistency [Pa s^n] stands at VISCOSITY

FRICTION_SLOPE, COHESION, DILATION_LIMIT = 3, 4, 5  # granular: |dev tau| <= COHESION + FRICTION_SLOPE * pressure

CRITICAL_COMPRESSION, CRITICAL_STRETCH, HARDENING, HARDENING_LIMIT = 3, 4, 5, 6  # snow

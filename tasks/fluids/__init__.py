# SPDX-License-Identifier: Apache-2.0
"""Fluid manipulation tasks."""

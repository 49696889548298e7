# SPDX-License-Identifier: Apache-2.0
"""What `simenv bench` runs: one module for each part of the report, and those that start programs and write it."""

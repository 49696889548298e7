# SPDX-License-Identifier: Apache-2.0
"""Tasks, one file each, grouped by subject; installed as ``simenv.tasks``."""

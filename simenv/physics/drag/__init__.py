# SPDX-License-Identifier: Apache-2.0
"""What gas and particles do to each other."""

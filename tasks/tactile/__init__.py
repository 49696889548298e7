# SPDX-License-Identifier: Apache-2.0
"""Tasks of touch."""

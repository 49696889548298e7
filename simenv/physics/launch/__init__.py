# SPDX-License-Identifier: Apache-2.0
"""Arrays with adjoints, launches, programs of them, and the graphs that run these."""

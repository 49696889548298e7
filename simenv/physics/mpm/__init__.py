# SPDX-License-Identifier: Apache-2.0
"""Moving-least-squares material point method: liquids, elastic and elasto-plastic solids."""

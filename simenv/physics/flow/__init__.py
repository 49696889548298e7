# SPDX-License-Identifier: Apache-2.0
"""What flow on a staggered grid meets: solids on frames, the shares of faces they leave open, and what pushes them."""

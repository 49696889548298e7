# SPDX-License-Identifier: Apache-2.0
"""Parts of a scene, by subject."""

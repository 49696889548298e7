# SPDX-License-Identifier: Apache-2.0
"""The one error type of recordings."""

from simenv.errors import SimEnvError


class RolloutError(SimEnvError, ValueError):
    """A recording, manifest or motion file cannot be used; the message names the file, the cause and the remedy."""

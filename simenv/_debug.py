# SPDX-License-Identifier: Apache-2.0
"""Whether the user wants to see everything: tracebacks of expected errors, and what Warp prints."""

import os

ENVIRONMENT_VARIABLE = "SIMENV_DEBUG"


def debugging() -> bool:
    """Whether ``SIMENV_DEBUG`` is set, to something else than 0."""
    return os.environ.get(ENVIRONMENT_VARIABLE, "") not in ("", "0")

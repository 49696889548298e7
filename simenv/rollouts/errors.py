# SPDX-License-Identifier: Apache-2.0
"""The one error type of recordings."""

import contextlib
from collections.abc import Iterator

from simenv.errors import FileWriteError, SimEnvError


class RolloutError(SimEnvError, ValueError):
    """A recording, manifest or motion file cannot be used; the message names the file, the cause and the remedy."""


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Say as a `RolloutError` what the file system refused of a recording."""
    try:
        yield
    except FileWriteError as error:
        raise RolloutError(str(error)) from error

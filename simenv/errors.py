# SPDX-License-Identifier: Apache-2.0
"""The exceptions simenv raises on purpose.

Each one also derives from the built-in exception a caller would expect, so ``except ValueError`` keeps working. Every
message names the offending value, the limit it broke and the remedy. A world that diverges during a step raises
nothing: it carries a status bitmask (``simenv.physics.status``) and is terminated alone.
"""


class SimEnvError(Exception):
    """Base of every exception that simenv raises on purpose."""


class AssetError(SimEnvError, ValueError):
    """A mesh, robot or calibration file is missing, malformed, or outside the limits the simulation accepts."""


class ActionError(SimEnvError, ValueError):
    """An action has the wrong shape or dtype, is not finite, or lies outside the action space."""


class SimulationError(SimEnvError, RuntimeError):
    """A scene, parameter or state cannot be simulated (unstable step, empty scene, mismatched shapes)."""


class OutOfMemoryError(SimEnvError, MemoryError):
    """Buffers would need more memory than the device, or the machine, has free; nothing of them was made."""


class DeviceError(SimEnvError, RuntimeError):
    """A device was asked for that this machine, or this build of Warp or torch, does not have."""


class FileWriteError(SimEnvError, OSError):
    """The file system refused a file (full, read-only, no permission); the message names it, the cause and the room."""


class UnpairedBodiesWarning(UserWarning):
    """Bodies of a scene would pass through each other, as neither a gel nor contact points pair them."""


__all__ = [
    "ActionError",
    "AssetError",
    "DeviceError",
    "FileWriteError",
    "OutOfMemoryError",
    "SimEnvError",
    "SimulationError",
    "UnpairedBodiesWarning",
]

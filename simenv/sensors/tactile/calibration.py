# SPDX-License-Identifier: Apache-2.0
"""What makes a tactile sensor's image its own: pitch, background, membrane and photometric table, in two small files.

`NAME.json` holds numbers and where they come from, `NAME.safetensors` the background and the table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simenv._files import write_bytes, write_text
from simenv.errors import AssetError
from simenv.sensors.tactile.membrane import Membrane
from simenv.sensors.tactile.photometry import NormalTable, centred, monomials

__all__ = ["TactileCalibration"]

FORMAT = "simenv tactile calibration 1"


@dataclass(frozen=True)
class TactileCalibration:
    """A calibrated sensor.

    Attributes:
        name: of the sensor.
        pixel: pitch on the gel [m].
        background: (H, W, 3) uint8, the image without contact, red, green, blue.
        membrane: the gel's surface under an imprint.
        table: colours of slopes.
        about: source, licence, attribution, metrics; free text and numbers for JSON.
    """

    name: str
    pixel: float
    background: np.ndarray
    membrane: Membrane
    table: NormalTable
    about: dict[str, Any]

    def __post_init__(self) -> None:
        shape = self.background.shape
        if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < 2 or self.background.dtype != np.uint8:
            raise AssetError(f"a background must be uint8 (H, W, 3), not {self.background.dtype} {shape}")
        if not (np.isfinite(self.pixel) and self.pixel > 0.0):
            raise AssetError(f"pixel = {self.pixel!r} m must be positive and finite")

    @property
    def rows(self) -> int:
        """H."""
        return self.background.shape[0]

    @property
    def columns(self) -> int:
        """W."""
        return self.background.shape[1]

    def save(self, folder: str | Path) -> Path:
        """Write NAME.json and NAME.safetensors into a folder; returns the path of the first."""
        from safetensors.numpy import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "background": np.ascontiguousarray(self.background),
            "table": np.ascontiguousarray(self.table.values, dtype=np.float32),
        }
        write_bytes(folder / f"{self.name}.safetensors", save(arrays))
        numbers = {
            "format": FORMAT,
            "name": self.name,
            "pixel_m": self.pixel,
            "scale": list(self.table.scale),
            "sigmas_m": list(self.membrane.sigmas),
            "weights": list(self.membrane.weights),
            "about": self.about,
        }
        path = folder / f"{self.name}.json"
        write_text(path, json.dumps(numbers, indent=2) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> TactileCalibration:
        """Read NAME.json and the NAME.safetensors beside it.

        Raises:
            AssetError: a file is missing or is not such a calibration.
        """
        from safetensors.numpy import load_file

        path = Path(path)
        arrays_path = path.with_suffix(".safetensors")
        for file in (path, arrays_path):
            if not file.is_file():
                raise AssetError(f"{file} is missing: a calibration is a .json and a .safetensors of the same name")
        try:
            numbers = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise AssetError(f"{path} is not JSON ({error}); write it with `simenv calibrate-tactile`") from error
        if not isinstance(numbers, dict) or numbers.get("format") != FORMAT:
            raise AssetError(f'{path} does not say "format": "{FORMAT}"; write it with `simenv calibrate-tactile`')
        arrays = load_file(arrays_path)
        try:
            membrane = Membrane(tuple(numbers["sigmas_m"]), tuple(numbers["weights"]))
            first, second = numbers["scale"]
            # stored in single precision, of which zero at zero slope should be exact
            table = NormalTable(centred(arrays["table"].astype(np.float64)), (first, second))
            return cls(numbers["name"], numbers["pixel_m"], arrays["background"], membrane, table, numbers["about"])
        except KeyError as error:
            raise AssetError(f"{path} or {arrays_path.name} lacks {error}") from error

    def resized(self, rows: int, columns: int, pixel: float | None = None) -> TactileCalibration:
        """The same sensor with another number of pixels; `pixel` is their pitch [m], by default the same view."""
        from PIL import Image

        resized = Image.fromarray(self.background).resize((columns, rows), Image.Resampling.BOX)
        scale = (self.table.scale[0] * self.columns / columns, self.table.scale[1] * self.rows / rows)
        pitch = self.pixel * self.columns / columns if pixel is None else pixel
        return replace(self, pixel=pitch, background=np.array(resized), table=replace(self.table, scale=scale))

    def turned(self) -> TactileCalibration:
        """The same sensor turned by a quarter: column c and row r become column H - 1 - r and row c."""
        background = np.ascontiguousarray(np.rot90(self.background, -1))
        sx, sy = self.table.scale
        last = (self.rows - 1) * sy
        # new (x', y') = (last - y, x): coefficients of monomials of (x, y) as those of (x', y')
        x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5)))
        change = np.linalg.lstsq(monomials(last - y, x), monomials(x, y), rcond=None)[0]
        # normals turn alike: n'_x = -n_y, n'_y = n_x
        values = self.table.values[::-1].transpose(1, 0, 2, 3) @ change.T
        return replace(self, background=background, table=NormalTable(centred(values), (sy, sx)))

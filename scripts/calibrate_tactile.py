# SPDX-License-Identifier: Apache-2.0
"""``simenv calibrate-tactile``: fit a tactile camera to images of a pressed ball."""

import csv
import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from simenv._extras import missing
from simenv._files import replacing, write_text

SOURCES = {"taxim:gelsight": "gelsight", "taxim:gelsight_mini": "gelsight_mini"}
# The folder's params.json says 0.0295 mm for both. TacSL's table of the Mini has 0.065 mm for 320 columns.
PIXELS = {"gelsight": 0.0295e-3, "gelsight_mini": 0.0325e-3}
# 2.0 mm is what the table of the GelSight was made with; the Mini's ball is not stated, and taken to be the same one.
BALL_RADIUS = 2.0e-3
ABOUT = {
    "source": "PyPI package taxim 1.4.1, calib/{folder}/dataPack.npz",
    "licence": "MIT",
    "attribution": "Taxim (Si, Yuan 2022), Copyright (c) 2021 CMURoboTouch; packaged by Tim Schneider",
}
COLUMNS = ("file", "x", "y", "radius")


@dataclasses.dataclass(frozen=True)
class CalibrateTactile:
    """Fit the colours and the membrane of a tactile camera to images of a ball pressed into its gel.

    SOURCE is taxim:gelsight or taxim:gelsight_mini (real images in the package `taxim`), or a folder with
    background.png, images, and contacts.csv with the columns file, x, y, radius [pixels] of each contact circle. OUT
    gets NAME.json and NAME.safetensors (for TactileCalibration.load), report.md and comparison.png.
    """

    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SOURCE")]]
    """taxim:gelsight, taxim:gelsight_mini, or a folder."""
    name: str = ""
    """Of the sensor; by default that of the source."""
    ball_radius: float | None = None
    """Of the ball [m]."""
    pixel: float | None = None
    """Distance on the gel between neighbouring pixels [m]."""
    hold_out: int = 3
    """Every such image, from the third on if 3, is kept out of the fit to judge it."""
    refine: bool = False
    """Also fit the contact circles of the images that are fitted, where they were drawn by a less steady hand."""
    rows: int | None = None
    """Rows of the background that is stored; those of the images by default."""
    out: Path = Path("runs/tactile")
    """Where the results go."""

    def run(self) -> int:
        """Fit, write, print the metrics; 0 when the fit is better than no model on every one, else 1."""
        from dataclasses import asdict, replace

        import numpy as np

        from simenv.sensors.tactile.candidates import limits
        from simenv.sensors.tactile.fitting import averaged_background, choose, fit_calibration, refined

        data, about, shipped = self._read()
        count = len(data.images)
        if not 2 <= self.hold_out <= count:
            raise ValueError(f"--hold-out {self.hold_out} must lie between 2 and the number of images, {count}")
        held = np.arange(count) % self.hold_out == self.hold_out - 1
        judged, fitted = data.subset(held), data.subset(~held)
        fitted = replace(fitted, background=averaged_background(fitted))
        fit = choose(fitted, print)
        if self.refine:
            fitted = refined(fitted, fit)
            fit = choose(fitted, print)
        warnings = limits(fit.found(), fitted.ball_radius, fitted.radii * fitted.pixel)
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        name = self.name or about["name"]
        del about["name"]
        calibration = fit_calibration(name, fitted, fit, about)
        pictures = predictions(calibration, judged, fit, shipped)
        if self.refine:
            redrawn = refined(replace(judged, background=fitted.background), fit, fitted)
            pictures["fit, circles refined"] = predictions(calibration, redrawn, fit, None)["fit"]
        table = metrics(pictures, judged.images)
        about |= {"calibrated": True, "ball_radius_m": data.ball_radius, "images": int((~held).sum())}
        about |= {"fit": _plain(asdict(fit)), "held_out": int(held.sum()), "metrics": table}
        about["warnings"] = warnings
        small = calibration
        if self.rows is not None:
            small = calibration.resized(self.rows, round(self.rows * calibration.columns / calibration.rows))
        path = small.save(self.out)
        comparison(self.out / f"{name}.png", pictures, judged)
        text = report(name, about, table)
        write_text(self.out / f"{name}.md", text)
        print(text)
        print(f"wrote {path}, {name}.safetensors, {name}.md and {name}.png")
        ours, nothing = table["fit"], table["constant background"]
        better = ours["psnr"] > nothing["psnr"] and ours["ssim"] > nothing["ssim"] and ours["mae"] < nothing["mae"]
        return 0 if better else 1

    def _read(self) -> tuple[Any, dict[str, Any], Any]:
        if self.source in SOURCES:
            folder = SOURCES[self.source]
            about = {key: text.format(folder=folder) for key, text in ABOUT.items()}
            pixel = PIXELS[folder] if self.pixel is None else self.pixel
            radius = BALL_RADIUS if self.ball_radius is None else self.ball_radius
            data, shipped = taxim_images(folder, radius, pixel)
            return data, {**about, "name": folder}, shipped
        if self.source.startswith("taxim:"):
            raise ValueError(f"there is no source {self.source!r}; known are {', '.join(SOURCES)}, or a folder")
        if self.ball_radius is None or self.pixel is None:
            raise ValueError(
                "a folder does not say how large things are; give --ball-radius and --pixel, both in metres"
            )
        data = folder_images(Path(self.source), self.ball_radius, self.pixel)
        return data, {"source": Path(self.source).name, "name": Path(self.source).resolve().name}, None


def taxim_images(folder: str, ball_radius: float, pixel: float) -> tuple[Any, Any]:
    """The real images that the package `taxim` ships for a sensor, and the table that it ships with them."""
    import numpy as np

    from simenv.sensors.tactile.fitting import BallImages
    from simenv.sensors.tactile.photometry import load_taxim

    spec = importlib.util.find_spec("taxim")
    if spec is None or spec.origin is None:
        raise missing("taxim", "calibration", "the calibration by taxim's real images")
    files = Path(spec.origin).parent / "calib" / folder
    with np.load(files / "dataPack.npz") as pack:
        images, background = pack["imgs"], pack["f0"]
        centres, radii = pack["touch_center"].astype(float), pack["touch_radius"].astype(float)
    # OpenCV's order of colours
    data = BallImages(images[..., ::-1], background[..., ::-1], centres, radii, ball_radius, pixel)
    return data, load_taxim(files / "polycalib.npz", pixel, background.shape[1])


def folder_images(folder: Path, ball_radius: float, pixel: float) -> Any:
    """A user's images: background.png and contacts.csv with the files' names and contact circles."""
    import numpy as np
    from PIL import Image

    from simenv.errors import AssetError
    from simenv.sensors.tactile.fitting import BallImages

    listing = folder / "contacts.csv"
    for file in (folder / "background.png", listing):
        if not file.is_file():
            raise AssetError(f"{file} is missing: a source folder has background.png, contacts.csv and the images")
    with listing.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise AssetError(f"{listing} has the columns {reader.fieldnames}; it needs {', '.join(COLUMNS)}")
        rows = list(reader)
    try:
        numbers = np.array([[float(row[key]) for key in COLUMNS[1:]] for row in rows]).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise AssetError(f"{listing}: {error}; x, y and radius must be numbers [pixels]") from error

    def read(name: str) -> np.ndarray:
        with Image.open(folder / name) as image:
            return np.array(image.convert("RGB"))

    background = read("background.png")
    images = [read(row["file"]) for row in rows]
    for row, image in zip(rows, images, strict=True):
        if image.shape != background.shape:
            raise AssetError(f"{row['file']} is {image.shape}, but background.png {background.shape}; use one size")
    stack = np.stack(images) if images else np.empty((0, *background.shape), np.uint8)
    return BallImages(stack, background, numbers[:, :2], numbers[:, 2], ball_radius, pixel)


def predictions(calibration: Any, data: Any, fit: Any, shipped: Any) -> dict[str, Any]:
    """Images (n, H, W, 3) of the held-out contacts by each model.

    The shipped table is read in its own way twice: with the bare ball, as it was made, and with our surface.
    """
    import numpy as np
    import torch

    from simenv.sensors.tactile.fitting import ball_depth
    from simenv.sensors.tactile.image import TableShader, TactileImage

    sensor = TactileImage(calibration)
    depth = torch.from_numpy(ball_depth(data, fit.sink)).float()
    made = {"fit": np.concatenate([sensor.render(d[None]).numpy() for d in depth])}
    if shipped is not None:
        background = np.ascontiguousarray(data.background)
        shade = TableShader(shipped, background, data.pixel, torch.float32, torch.device("cpu"))
        bare = torch.from_numpy(ball_depth(data, 1.0)).float()
        made["shipped table, bare ball"] = np.concatenate([shade(d[None]).numpy() for d in bare])
        made["shipped table, our surface"] = np.concatenate([shade(sensor.membrane(d[None])).numpy() for d in depth])
    made["constant background"] = np.broadcast_to(data.background, data.images.shape)
    made["constant background, averaged"] = np.broadcast_to(calibration.background, data.images.shape)
    return made


def metrics(pictures: dict[str, Any], real: Any) -> dict[str, dict[str, float]]:
    """Mean metrics of each model."""
    from simenv.sensors.tactile.metrics import compare

    table = {}
    for model, images in pictures.items():
        each = [compare(a, b) for a, b in zip(images, real, strict=True)]
        table[model] = {key: sum(one[key] for one in each) / len(each) for key in each[0]}
    return table


def report(name: str, about: dict[str, Any], table: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    lines = [
        f"# Calibration of {name}",
        "",
        f"{about['images']} images fitted, {about['held_out']} held out. Mean over the held-out images:",
        "",
        "| model | PSNR [dB] | SSIM | MAE [grey levels] |",
        "|---|---|---|---|",
    ]
    lines += [f"| {model} | {m['psnr']:.2f} | {m['ssim']:.4f} | {m['mae']:.3f} |" for model, m in table.items()]
    fit = about["fit"]
    lines += [
        "",
        f"Membrane: widths {fit['membrane']['sigmas']} m, weights {fit['membrane']['weights']}; ball {fit['sink']:g} "
        f"times as deep as its contact circle; polynomials of order {fit['degree']} in the normal and "
        f"{fit['position_degree']} in the position; regularisation {fit['ridge']:g}.",
        "",
    ]
    for warning in about["warnings"]:
        lines += [f"Warning: {warning}.", ""]
    return "\n".join(lines)


def comparison(path: Path, pictures: dict[str, Any], data: Any, columns: int = 4) -> None:
    """A picture: real held-out images above, predicted ones below."""
    import numpy as np
    from PIL import Image

    shown = np.linspace(0, len(data.images) - 1, min(columns, len(data.images))).astype(int)
    rows = [np.concatenate([data.images[i] for i in shown], 1)]
    predicted = np.clip(np.round(pictures["fit"]), 0, 255).astype(np.uint8)
    rows.append(np.concatenate([predicted[i] for i in shown], 1))
    picture = Image.fromarray(np.concatenate(rows))
    width = min(picture.width, 1600)
    with replacing(path, path.suffix) as temporary:
        picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS).save(temporary)


def _plain(value: Any) -> Any:
    """The same with lists and floats, for JSON."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value

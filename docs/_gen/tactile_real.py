# SPDX-License-Identifier: Apache-2.0
"""Make docs/images/tactile_gelsight.png and tactile_gelsight_mini.png: held-out real images above, predicted below.

Needs the package `taxim` (`pip install --no-deps taxim==1.4.1`).
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv import assets
from simenv.scripts.calibrate_tactile import BALL_RADIUS, PIXELS, comparison, taxim_images
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.fitting import ball_depth
from simenv.sensors.tactile.image import TactileImage

OUT = Path(__file__).resolve().parents[1] / "images"
WIDTH = 920  # of a picture [pixels]


def main() -> None:
    """Write both pictures, in full colour: with few colours, shades become patches."""
    for name, pixel in PIXELS.items():
        data, _ = taxim_images(name, BALL_RADIUS, pixel)
        data = data.subset(np.arange(len(data.images)) % 3 == 2).coarser(240)
        calibration = TactileCalibration.load(assets.path(f"tactile/{name}.json"))
        depth = torch.from_numpy(ball_depth(data, calibration.about["fit"]["sink"])).float()
        file = OUT / f"tactile_{name}.png"
        real = np.clip(np.round(data.images), 0, 255).astype(np.uint8)
        comparison(file, {"fit": TactileImage(calibration).render(depth).numpy()}, type(data)(
            real, data.background, data.centres, data.radii, data.ball_radius, data.pixel
        ))  # fmt: skip
        with Image.open(file) as picture:
            small = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        small.save(file, optimize=True)


if __name__ == "__main__":
    main()

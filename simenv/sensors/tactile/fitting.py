# SPDX-License-Identifier: Apache-2.0
"""Calibration of a tactile camera from images of a pressed ball.

A ball of known radius pressed to a contact circle of known centre and radius gives the depth of the rigid imprint. The
membrane turns it into a surface, whose normals (n_x, n_y) and positions (x, y) explain the change of each pixel:

    I - I_0 = sum_jk C_jk P_j(n_x, n_y) Q_k(x, y),

with polynomials P without a constant (so that no contact changes nothing) and Q up to the second order. C is a
regularised least-squares fit, well-conditioned because both are Legendre products on the range of the data. The
membrane, how much deeper than its contact circle the ball sits, the order of P and the regularisation are those of the
least error of images left out in turn, among the training images alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.polynomial import legendre

from simenv.errors import AssetError
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.candidates import FIRST, TOGETHER, TRIED, candidates
from simenv.sensors.tactile.membrane import Membrane, MembraneFilter
from simenv.sensors.tactile.photometry import NormalTable, monomials

__all__ = ["BallImages", "Fit", "averaged_background", "ball_depth", "choose", "fit_calibration", "refined"]

DEGREES = (3, 5, 7)
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2)
FOLDS = 4
SPAN = 0.4  # part of the image that the contacts must cover before colours may depend on position
COARSE = 60  # rows of the images that the search looks at
REFINEMENTS = 6
CLEAR = 3.5
FLAT = 1e-3  # |n| below which a pixel says nothing


@dataclass(frozen=True)
class BallImages:
    """Images of a ball pressed into a gel.

    Attributes:
        images: (n, H, W, 3) uint8, red, green, blue.
        background: (H, W, 3) uint8, without contact.
        centres: (n, 2) column and row of the contact's middle [pixels].
        radii: (n,) of the contact circle [pixels].
        ball_radius: [m].
        pixel: pitch [m].
    """

    images: np.ndarray
    background: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    ball_radius: float
    pixel: float

    def __post_init__(self) -> None:
        n = len(self.images)
        if n == 0 or self.images.shape != (n, *self.background.shape) or self.background.shape[-1] != 3:
            raise AssetError(
                f"images {self.images.shape} must be (n, H, W, 3) with the background's {self.background.shape}, n > 0"
            )
        if self.centres.shape != (n, 2) or self.radii.shape != (n,):
            raise AssetError(
                f"{n} images need centres ({n}, 2) and radii ({n},), not {self.centres.shape}, {self.radii.shape}"
            )
        widest = float(np.max(self.radii)) * self.pixel
        if not 0.0 < widest < self.ball_radius:
            raise AssetError(
                f"the widest contact has a radius of {widest * 1e3:.3g} mm, but the ball's is "
                f"{self.ball_radius * 1e3:.3g} mm; check the ball radius, the pitch {self.pixel * 1e3:.4g} mm and the "
                "radii"
            )

    def subset(self, rows: np.ndarray) -> BallImages:
        """Only the images `rows`."""
        return replace(self, images=self.images[rows], centres=self.centres[rows], radii=self.radii[rows])

    def coarser(self, rows: int) -> BallImages:
        """The same images with about `rows` rows, by averaging blocks."""
        k = max(1, self.background.shape[0] // rows)
        if k == 1:
            return self
        h, w = self.background.shape[0] // k, self.background.shape[1] // k

        def shrink(a: np.ndarray) -> np.ndarray:
            return a[..., : h * k, : w * k, :].reshape(*a.shape[:-3], h, k, w, k, 3).mean((-4, -2))

        images = np.stack([shrink(image.astype(np.float32)) for image in self.images])
        # the middle of pixel c lies at c + 1/2
        centres = (self.centres + 0.5) / k - 0.5
        background = shrink(self.background.astype(np.float32))
        return BallImages(images, background, centres, self.radii / k, self.ball_radius, self.pixel * k)


@dataclass(frozen=True)
class Fit:
    """What a calibration chose.

    Attributes:
        sink: depth of the ball over that of its contact circle.
        membrane: widths and weights.
        degree: of the polynomials of the normal; `position_degree`: of those of the position.
        ridge: regularisation relative to the mean of the normal matrix' diagonal.
        error: mean squared error of left-out training images [grey levels^2].
    """

    sink: float
    membrane: Membrane
    degree: int
    position_degree: int
    ridge: float
    error: float

    def found(self) -> dict[str, float]:
        """What the search chose, by the names of its candidates."""
        near, far = self.membrane.sigmas
        return {"sink": self.sink, "near": near, "far": far, "share": self.membrane.weights[1]}


def averaged_background(data: BallImages) -> np.ndarray:
    """The background (H, W, 3) uint8 with less noise: its mean with the images' parts far from contact.

    A part is far beyond `CLEAR` radii of the contact circle.
    """
    rows, columns = data.background.shape[:2]
    y, x = np.mgrid[:rows, :columns]
    total, count = data.background.astype(np.float64), np.ones((rows, columns, 1))
    for image, centre, a in zip(data.images, data.centres, data.radii, strict=True):
        far = (np.hypot(x - centre[0], y - centre[1]) > CLEAR * a)[..., None]
        total += far * image
        count += far
    return np.round(total / count).astype(np.uint8)


def ball_depth(data: BallImages, sink: float) -> np.ndarray:
    """Depth (n, H, W) [m] of the rigid ball below the undeformed gel.

    The cap over the contact circle has the height R - sqrt(R^2 - a^2); since the gel around is drawn in, the ball sits
    `sink` times as deep (2 for a small contact of an elastic half-space, Hertz).
    """
    rows, columns = data.background.shape[:2]
    y, x = np.mgrid[:rows, :columns]
    radius = data.ball_radius
    depth = np.empty((len(data.radii), rows, columns))
    for i, (centre, a) in enumerate(zip(data.centres, data.radii, strict=True)):
        r2 = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) * data.pixel**2
        tip = sink * (radius - np.sqrt(radius**2 - (a * data.pixel) ** 2))
        depth[i] = np.where(r2 < radius**2, tip - radius + np.sqrt(np.maximum(radius**2 - r2, 0.0)), 0.0)
    return np.maximum(depth, 0.0)


def normals(data: BallImages, sink: float, membrane: Membrane) -> np.ndarray:
    """First two components (n, H, W, 2) of the surfaces' normals, as the sensor's kernels define them."""
    rows, columns = data.background.shape[:2]
    smooth = MembraneFilter(membrane, rows, columns, data.pixel, torch.float64, torch.device("cpu"))
    surface = smooth(torch.from_numpy(ball_depth(data, sink))).numpy()
    g = np.stack([np.gradient(surface, data.pixel, axis=2), np.gradient(surface, data.pixel, axis=1)], -1)
    return g / np.sqrt(1.0 + (g**2).sum(-1, keepdims=True))


def _legendre(u: np.ndarray, v: np.ndarray, degree: int) -> np.ndarray:
    """Products of Legendre polynomials (..., K), total degree at most `degree`, lowest first."""
    a, b = legendre.legvander(u, degree), legendre.legvander(v, degree)
    pairs = [(k - j, j) for k in range(degree + 1) for j in range(k + 1)]
    return np.stack([a[..., i] * b[..., j] for i, j in pairs], -1)


def _response(n: np.ndarray, widest: float, degree: int) -> np.ndarray:
    """Polynomials P of normals (..., 2), zero at zero slope; constant along rays beyond the range of the data."""
    size = np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-300)
    n = n * np.minimum(1.0, widest / size) / widest
    flat = _legendre(np.zeros(1), np.zeros(1), degree)
    return (_legendre(n[..., 0], n[..., 1], degree) - flat)[..., 1:]


def _place(x: np.ndarray, y: np.ndarray, degree: int) -> np.ndarray:
    """Polynomials Q of positions from 0 to 1."""
    return _legendre(2.0 * x - 1.0, 2.0 * y - 1.0, degree)


@dataclass(frozen=True)
class _Model:
    """Coefficients C and the range of normals that they hold for."""

    coefficients: np.ndarray
    widest: float
    fit: Fit

    def change(self, data: BallImages) -> np.ndarray:
        """Predicted I - I_0 of images, (n, H, W, 3)."""
        rows, columns = data.background.shape[:2]
        y, x = np.mgrid[:rows, :columns]
        place = _place(x / columns, y / rows, self.fit.position_degree)
        n = normals(data, self.fit.sink, self.fit.membrane)
        result = np.zeros((*n.shape[:3], 3))
        seen = np.linalg.norm(n, axis=-1) > FLAT
        p, q = _response(n[seen], self.widest, self.fit.degree), np.broadcast_to(place, (len(n), *place.shape))[seen]
        result[seen] = (p[:, :, None] * q[:, None, :]).reshape(len(p), -1) @ self.coefficients
        return result


@dataclass(frozen=True)
class _System:
    """Normal equations of each image, so that leaving images out costs nothing."""

    matrices: np.ndarray
    vectors: np.ndarray
    squares: np.ndarray
    widest: float
    groups: np.ndarray  # degree of P of each unknown

    def solve(self, rows: np.ndarray, degree: int, ridge: float) -> np.ndarray:
        keep = self.groups <= degree
        matrix = self.matrices[rows].sum(0)[np.ix_(keep, keep)]
        matrix = matrix + ridge * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
        return np.linalg.solve(matrix, self.vectors[rows].sum(0)[keep])

    def error(self, rows: np.ndarray, degree: int, solution: np.ndarray) -> float:
        """Squared error summed over the pixels of images `rows`."""
        keep = self.groups <= degree
        matrix = self.matrices[rows].sum(0)[np.ix_(keep, keep)]
        vector = self.vectors[rows].sum(0)[keep]
        fitted = np.einsum("ic,ij,jc->", solution, matrix, solution)
        return float(self.squares[rows].sum() - 2.0 * (solution * vector).sum() + fitted)


def _system(data: BallImages, n: np.ndarray, position_degree: int) -> _System:
    rows, columns = data.background.shape[:2]
    y, x = np.mgrid[:rows, :columns]
    place = _place(x / columns, y / rows, position_degree)
    size = np.linalg.norm(n, axis=-1)
    widest = float(np.quantile(size[size > FLAT], 0.999))
    degree = max(DEGREES)
    orders = np.array([k for k in range(1, degree + 1) for _ in range(k + 1)])
    matrices, vectors, squares = [], [], []
    for image, normal, s in zip(data.images, n, size, strict=True):
        change = image.astype(np.float64) - data.background
        seen = s > FLAT
        p, q = _response(normal[seen], widest, degree), place[seen]
        features = (p[:, :, None] * q[:, None, :]).reshape(len(p), -1)
        matrices.append(features.T @ features)
        vectors.append(features.T @ change[seen])
        squares.append((change**2).sum())
    return _System(
        np.stack(matrices), np.stack(vectors), np.array(squares), widest, np.repeat(orders, place.shape[-1])
    )  # fmt: skip


def _best(data: BallImages, sink: float, membrane: Membrane, position_degree: int) -> Fit:
    system = _system(data, normals(data, sink, membrane), position_degree)
    count, everything = len(data.images), np.arange(len(data.images))
    folds = min(FOLDS, count)
    best: Fit | None = None
    for degree, ridge in product(DEGREES, RIDGES):
        total = 0.0
        for fold in range(folds):
            out = everything % folds == fold
            total += system.error(everything[out], degree, system.solve(everything[~out], degree, ridge))
        error = total / data.images.size
        if best is None or error < best.error:
            best = Fit(sink, membrane, degree, position_degree, ridge, error)
    assert best is not None  # there are degrees and ridges to choose from
    return best


def choose(data: BallImages, report=None) -> Fit:
    """Search membrane and regularisation, one or two numbers at a time until none gets better."""
    coarse = data.coarser(COARSE)
    span = np.ptp(coarse.centres, axis=0) / np.array(coarse.background.shape[1::-1])
    position_degree = 2 if span.min() >= SPAN else 0
    tried = candidates(data.ball_radius, data.radii * data.pixel)
    known: dict[tuple[int, ...], Fit] = {}

    def evaluate(at: dict[str, int]) -> Fit:
        key = tuple(at[name] for name in TRIED)
        if key not in known:
            sink, near, far, share = (tried[name][i] for name, i in zip(TRIED, key, strict=True))
            known[key] = _best(coarse, sink, Membrane((near, far), (1.0 - share, share)), position_degree)
        return known[key]

    here, moved = dict(FIRST), True
    while moved:
        moved = False
        for names in TOGETHER:
            for numbers in product(*(range(len(tried[name])) for name in names)):
                there = {**here, **dict(zip(names, numbers, strict=True))}
                if evaluate(there).error < evaluate(here).error:
                    here, moved = there, True
            if report is not None:
                values = ", ".join(f"{name} = {tried[name][here[name]]:.3g}" for name in names)
                report(f"{values}: left-out mean squared error {evaluate(here).error:.3f}")
    return evaluate(here)


def _model(data: BallImages, fit: Fit) -> _Model:
    system = _system(data, normals(data, fit.sink, fit.membrane), fit.position_degree)
    return _Model(system.solve(np.arange(len(data.images)), fit.degree, fit.ridge), system.widest, fit)


def moved(data: BallImages, model: _Model, shared: bool) -> BallImages:
    """One Gauss-Newton step of every contact circle (column, row, logarithm of the radius) towards its image.

    Args:
        data: images.
        model: of their colours.
        shared: keep the mean of the circles, which a model fitted to them could follow.
    """
    steps = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.05]])

    def at(step: np.ndarray) -> BallImages:
        grown = np.minimum(data.radii * np.exp(step[..., 2]), 0.98 * data.ball_radius / data.pixel)
        return replace(data, centres=data.centres + step[..., :2], radii=grown)

    here = model.change(data)
    rest = (data.images.astype(float) - data.background - here).reshape(len(here), -1)
    tangents = [(model.change(at(step)) - here).reshape(len(here), -1) for step in steps]
    slopes = np.stack(tangents, 1) / steps.max(1)[:, None]
    limit = np.array([*(0.25 * data.radii.mean(),) * 2, 0.15])
    wanted = np.empty((len(here), 3))
    for i, (a, b) in enumerate(zip(slopes, rest, strict=True)):
        normal = a @ a.T
        wanted[i] = np.linalg.solve(normal + 0.01 * np.diag(np.diag(normal)) + 1e-9 * np.eye(3), a @ b)
    wanted = np.clip(wanted, -limit, limit)
    return at(wanted - wanted.mean(0) if shared else wanted)


def refined(data: BallImages, fit: Fit, model_of: BallImages | None = None) -> BallImages:
    """Images with contact circles that fit them better than those an annotator drew.

    Circles and colours are fitted in turn at low resolution; the circles' mean stays where it was.

    Args:
        data: images.
        fit: the choices for the colours.
        model_of: images whose colours to use unchanged, instead of those of `data`: only circles move then.
    """
    coarse = data.coarser(COARSE)
    model = None if model_of is None else _model(model_of.coarser(COARSE), fit)
    for _ in range(REFINEMENTS):
        coarse = moved(coarse, _model(coarse, fit) if model is None else model, model is None)
    k = data.background.shape[0] // coarse.background.shape[0]
    return replace(data, centres=(coarse.centres + 0.5) * k - 0.5, radii=coarse.radii * k)


def fit_calibration(name: str, data: BallImages, fit: Fit, about: dict) -> TactileCalibration:
    """The calibration of a sensor from all images of `data`, with the choices of `fit`."""
    fine = data.coarser(4 * COARSE)
    model = _model(fine, fit)
    # polynomials of the position as monomials
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5)))
    change = np.linalg.lstsq(monomials(x, y), _place(x, y, fit.position_degree), rcond=None)[0]
    terms = model.coefficients.reshape(-1, change.shape[1], 3)

    def response(nx: np.ndarray, ny: np.ndarray) -> np.ndarray:
        p = _response(np.stack([nx, ny], -1), model.widest, fit.degree)
        return np.einsum("abj,jkc,mk->abcm", p, terms, change)

    rows, columns = data.background.shape[:2]
    table = NormalTable.sample(response, (1.0 / columns, 1.0 / rows))
    background = np.ascontiguousarray(data.background)
    return TactileCalibration(name, data.pixel, background, fit.membrane, table, about)

"""Rule: colour changes touch what a pixel looks like and never where it is; uint8 throughout."""

from __future__ import annotations

import cv2
import numpy as np


def recolour(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Jitter saturation, tint, contrast, gamma, grey, inversion, blur, noise and compression.

    Parameters
    ----------
    rng : numpy.random.Generator
    rgb : (H, W, 3) uint8

    Returns
    -------
    (H, W, 3) uint8
        A new array.
    """
    grey = rng.random() < 0.12
    if grey or rng.random() < 0.5:
        plain = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 0.0 if grey else rng.uniform(0.4, 1.5)
        rgb = cv2.addWeighted(rgb, keep, plain, 1.0 - keep, 0.0)
    # a grey picture stays grey: one curve for its three channels
    rgb = cv2.LUT(rgb, _curves(rng, tinted=not grey))
    if rng.random() < 0.15:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.2:
        noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(2, 14))
        if grey:
            noise[..., 1:] = noise[..., :1]
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.08:
        coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 80))])[1]
        rgb = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return rgb


def recolour_mildly(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """SegNext's colour changes: brightness and contrast, then a shift of each colour, each in three of four pictures.

    Parameters
    ----------
    rng : numpy.random.Generator
    rgb : (H, W, 3) uint8

    Returns
    -------
    (H, W, 3) uint8
    """
    gain, offset = 1.0, np.zeros(3)
    if rng.random() < 0.75:
        gain = 1 + rng.uniform(-0.15, 0.40)
        offset = offset + 255 * rng.uniform(-0.25, 0.25)
    if rng.random() < 0.75:
        offset = offset + rng.uniform(-10, 10, 3)
    level = np.arange(256)[:, None] * gain + offset
    return cv2.LUT(rgb, np.clip(np.round(level), 0, 255).astype(np.uint8)[:, None, :])


def _curves(rng: np.random.Generator, *, tinted: bool) -> np.ndarray:
    """(256, 1, 3) uint8 table: contrast, brightness, gamma and tint in one look-up."""
    level = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
    if rng.random() < 0.04:
        level = 1.0 - level
    if rng.random() < 0.5:
        level = level ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    gain = np.full((1, 3), rng.uniform(0.75, 1.25))
    if tinted and rng.random() < 0.5:
        gain = gain * rng.uniform(0.88, 1.12, (1, 3))
    level = (level - 0.5) * gain + 0.5 + rng.uniform(-0.12, 0.12)
    return np.clip(np.round(level * 255), 0, 255).astype(np.uint8)[:, None, :]

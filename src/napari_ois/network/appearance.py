"""How much each colour of an image speaks for the object: a likelihood ratio of two histograms.

The rule of this file: plain image processing without a weight, on half the input's resolution. A convolution sees
neighbours; that a colour is the object's wherever it occurs has to be counted over the whole image. Two histograms
as a prompt's regional term follow interactive graph cuts (Boykov and Jolly, 2001) and GrabCut (Rother et al., 2004),
which count by hard seeds and iterate; here the weights are soft, and the network decides what they are worth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_ois.network.precision import exactly

APPEARANCES = 4
"""Channels of :func:`appearance`."""

BINS = 16
"""Steps of a histogram along lightness and along each of the two opponent colours."""

_REACH = 2.5
"""Standard deviations of lightness on either side of its mean that the bins divide; opponent colours vary half as
much."""

_SPREAD = 1.0
"""Each pixel counts in the bins around its own too, by a Gaussian of so many bins."""

_DOUBT = 1e-4
"""Added to both shares of a bin: a colour that hardly occurs says nothing. Evenly, a bin has 2.4e-4."""

_UNIT = 4096
"""Weights are counted in whole parts of so many, so that their sum is the same in any order, on any device."""


def appearance(surface: Tensor, near: Tensor, far: Tensor, previous: Tensor | None) -> Tensor:
    """What colours say, by the clicks' neighbourhoods and by the mask before; from -1, background, to 1, object.

    Parameters
    ----------
    surface : (B, 4, h, w) float tensor
        From :func:`napari_ois.network.surface.surface_of`.
    near, far : (B, 1, h, w) float tensors
        From 0 to 1: how surely a place is the object's, and the background's, by the clicks alone.
    previous : (B, 1, 2 h, 2 w) float tensor, optional
        Probability of the mask before; None in the first round.

    Returns
    -------
    (B, 4, h, w) float32 tensor
        By the clicks' neighbourhoods: each pixel's own colour, and the mean around it; the same two by the mask
        before, 0 in the first round.
    """
    bins = colour_bins(surface)
    maps = [likelihood(bins, near, far)]
    if previous is not None:
        inside = F.avg_pool2d(previous.float(), 2)
        maps.append(likelihood(bins, inside, 1 - inside))
    else:
        maps.append(torch.zeros_like(maps[0]))
    own = torch.cat(maps, dim=1)
    around = F.avg_pool2d(own, 5, stride=1, padding=2, count_include_pad=False)
    return torch.stack([own, around], dim=2).flatten(1, 2)


def colour_bins(surface: Tensor) -> Tensor:
    """Which bin the colour of each pixel is in, (B, h, w) int64; lightness counts in steps of its own deviation."""
    red, green, blue = surface[:, :3].float().unbind(dim=1)
    light = (red + green + blue) / 3
    unit = light.flatten(1).std(dim=1).clamp_min(1e-3)[:, None, None]
    bins = torch.zeros_like(light, dtype=torch.long)
    for axis, reach in ((light, _REACH), (red - blue, _REACH / 2), (green - (red + blue) / 2, _REACH / 2)):
        middle = axis.mean(dim=(1, 2), keepdim=True)
        step = ((axis - middle) / unit / (2 * reach) + 0.5) * BINS
        bins = bins * BINS + step.floor().clamp(0, BINS - 1).long()
    return bins


def likelihood(bins: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """How much more often a pixel's colour occurs inside than outside, as shares.

    Parameters
    ----------
    bins : (B, h, w) int64 tensor
        From :func:`colour_bins`.
    inside, outside : (B, 1, h, w) float tensors
        Weights from 0 to 1.

    Returns
    -------
    (B, 1, h, w) float32 tensor
        (i - o) / (i + o) of the two shares; 0 where nothing is inside, or nothing outside.
    """
    flat = bins.flatten(1)[:, None].expand(-1, 2, -1)
    weights = (torch.cat([inside, outside], dim=1).float().flatten(2) * _UNIT).round().long()
    counts = torch.zeros(len(bins), 2, BINS**3, dtype=torch.long, device=bins.device).scatter_add_(2, flat, weights)
    spread = _spread(bins.device)
    shares = counts.float().view(-1, 2, BINS, BINS, BINS)
    with exactly(bins.device):  # counts run to millions: half precision holds 65,504
        for _ in range(3):  # along one axis, which then goes to the back
            shares = torch.einsum("bkxyz,xw->bkyzw", shares, spread)
    shares = shares.reshape(-1, 2, BINS**3)
    total = shares.sum(dim=2, keepdim=True)
    shares = (shares / total.clamp_min(1)) + _DOUBT
    ratio = (shares[:, :1] - shares[:, 1:]) / (shares[:, :1] + shares[:, 1:])
    ratio = ratio * (total > 0).all(dim=1, keepdim=True)
    return ratio.gather(2, flat[:, :1]).view(-1, 1, *bins.shape[1:])


def _spread(device: torch.device) -> Tensor:
    """(BINS, BINS) Gaussian weights between bins; each row sums to 1."""
    place = torch.arange(BINS, dtype=torch.float32, device=device)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * _SPREAD**2))
    return weights / weights.sum(dim=1, keepdim=True)

"""How far a click's neighbourhood reaches: travelling distances over the image, and likeness of colour.

The rule of this file: plain image processing without a weight, on half the input's resolution, so that a small
network need not learn from a few thousand pictures that an object mostly ends where the colour changes. Geodesic
distance as a prompt follows DeepIGeoS (Wang et al., 2018); the distance to the border of the image as a sign of the
background follows geodesic saliency (Wei et al., 2012).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_ois.network.order import pixel_under

CUES = 10
"""Channels of :func:`click_cues`."""

NEAR, FAR, BORDER = 1, 4, 7
"""Of them: closeness to the positive clicks, to the negative ones, and to the border, each at a middle scale."""

ROUNDS = 3
"""Sweeps down, up, right and left, so often: paths with so many bends are followed to the end."""

_STEP = 0.1
"""Cost of a step over constant colour; the mean step of an image costs 1 more."""

_NEAR = (3.0, 12.0, 40.0)
_FAR = (4.0, 20.0)
_LIKE = 6.0
"""Distances, in mean steps of the image, at which a cue has faded to a third."""

_OUTSIDE = 1e4


def surface_of(image: Tensor) -> Tensor:
    """All that the cues need of an image.

    Parameters
    ----------
    image : (B, 3, H, W) float tensor
        RGB in [0, 1]; even sides.

    Returns
    -------
    (B, 4, H / 2, W / 2) float32 tensor
        Smoothed colour, scaled so that the sum of the three channels' differences between neighbours is 1 in the
        mean over the image, whatever its contrast; and the travelling distance to the image's border.
    """
    half = F.avg_pool2d(image.float(), 2)
    smooth = F.avg_pool2d(F.pad(half, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    down, across = _steps(smooth)
    mean = (down.mean(dim=(1, 2)) + across.mean(dim=(1, 2))) / 2
    colour = smooth / mean.clamp_min(2e-3)[:, None, None, None]
    border = torch.full_like(colour[:, :1], _OUTSIDE)
    border[..., 0, :] = border[..., -1, :] = border[..., 0] = border[..., -1] = 0
    return torch.cat([colour, travel(border, colour)], dim=1)


def travel(start: Tensor, colour: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Geodesic distance over an image: the cheapest path, where a step costs what the colour changes.

    Parameters
    ----------
    start : (B, K, h, w) float tensor
        Distances to begin with: 0 where paths start, large elsewhere. K maps are swept at once.
    colour : (B, 3, h, w) float tensor
    rounds : int
        Of four sweeps. A sweep along a line is exact: with the costs added up along it, the shortest way to
        a place from any before it is a running minimum.

    Returns
    -------
    (B, K, h, w) float tensor
    """
    rows, columns = _steps(colour)
    down = F.pad(rows + _STEP, (0, 0, 1, 0)).cumsum(dim=1)[:, None]
    across = F.pad(columns + _STEP, (1, 0)).cumsum(dim=2)[:, None]
    distance = start
    for _ in range(rounds):
        for cost, dim in ((down, 2), (across, 3)):
            onward = cost + _running_minimum(distance - cost, dim)
            back = _running_minimum((distance + cost).flip(dim), dim).flip(dim) - cost
            distance = torch.minimum(onward, back)
    return distance


def click_cues(surface: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """What an image says about clicks, between 0 and 1.

    Parameters
    ----------
    surface : (B, 4, h, w) float tensor
        From :func:`surface_of`.
    points, labels : (B, N, 2) and (B, N) tensors
        Row, column in pixels of the network's input, twice the surface's; 1, 0, or -1 for no click.

    Returns
    -------
    (B, 10, h, w) float tensor
        Closeness to the positive clicks at three scales, to the negative ones at two; the share of the way from a
        positive to a negative click, and to the border; closeness to the border; likeness of colour to a positive
        click, and to a negative one. What compares with clicks that are not there is 0.
    """
    batch, _, height, width = surface.shape
    colour, border = surface[:, :3], surface[:, 3:]
    place = pixel_under((points - 0.5) / 2, height, width)  # pixels 2 k and 2 k + 1 are averaged into k
    kinds = torch.stack([labels == 1, labels == 0], dim=1)
    start = torch.full((batch, 2, height * width), _OUTSIDE, device=surface.device)
    source = torch.full(kinds.shape, _OUTSIDE, device=surface.device).masked_fill(kinds, 0)
    start = start.scatter_reduce(2, place[:, None].expand(-1, 2, -1), source, "amin")
    distance = travel(start.view(batch, 2, height, width), colour)
    near, far = distance[:, :1], distance[:, 1:]
    under = colour.flatten(2).gather(2, place[:, None].expand(-1, 3, -1))
    unlike = torch.full((batch, 2, height, width), _OUTSIDE, device=surface.device)
    for click in range(points.shape[1]):
        gap = (colour - under[:, :, click, None, None]).abs().sum(dim=1, keepdim=True)
        unlike = torch.where(kinds[:, :, click, None, None], torch.minimum(unlike, gap), unlike)
    some = kinds.any(dim=2)[..., None, None]
    channels = [
        *(torch.exp(-near / scale) for scale in _NEAR),
        *(torch.exp(-far / scale) for scale in _FAR),
        near / (near + far + 1) * some[:, 1:],
        near / (near + border + 1) * some[:, :1],
        torch.exp(-border / _NEAR[1]),
        torch.exp(-unlike / _LIKE),
    ]
    return torch.cat(channels, dim=1)


def _steps(colour: Tensor) -> tuple[Tensor, Tensor]:
    """Change of colour from each row to the next (B, h - 1, w), and from each column (B, h, w - 1)."""
    down = (colour[:, :, 1:] - colour[:, :, :-1]).abs().sum(dim=1)
    return down, (colour[..., 1:] - colour[..., :-1]).abs().sum(dim=1)


def _running_minimum(values: Tensor, dim: int) -> Tensor:
    """Smallest value so far along a dimension, by doubling: faster than ``cummin``, which also says where."""
    length, reach = values.shape[dim], 1
    while reach < length:
        rest = length - reach
        later = torch.minimum(values.narrow(dim, reach, rest), values.narrow(dim, 0, rest))
        values = torch.cat([values.narrow(dim, 0, reach), later], dim=dim)
        reach *= 2
    return values

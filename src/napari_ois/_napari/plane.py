"""One rule: a plane is two axes of an image layer at one index, and only its pixels are read.

A plane also says how a 2D array becomes data of a layer that lies on the image in the world: the
layer has all of the image's axes, those not displayed with a single element, moved to the plane's
index by ``translate``. Of a pyramid the plane may be seen at a coarser level: its arrays are then smaller and
their pixels larger, while clicks, objects and labels stay in pixels of the full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""What places a layer in the world: names of layer attributes and of their events."""
LARGE_PLANE = 2**24
"""Pixels of a plane up to which it is worked on at its full resolution unless the user wants otherwise."""


@dataclass(frozen=True)
class Plane:
    """Where the work happens.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the plane, at its level.
    axes : (int, int)
        The image's axes that the rows and the columns run along.
    index : tuple of int
        One a non-colour axis of the image; the two at ``axes`` mean nothing and are 0. At full resolution.
    level : int
        Of a pyramid: 0 is the finest.
    full : (int, int)
        Rows and columns at full resolution; by default the same as ``shape``.
    """

    shape: tuple[int, int]
    axes: tuple[int, int]
    index: tuple[int, ...]
    level: int = 0
    full: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not any(self.full):
            object.__setattr__(self, "full", self.shape)

    @property
    def ndim(self) -> int:
        """Axes of the image, without colour."""
        return len(self.index)

    @property
    def step(self) -> NDArray[np.float64]:
        """Pixels of the full resolution that a pixel of the plane is high and wide."""
        return np.asarray(self.full, dtype=np.float64) / self.shape

    # -- image -> plane ---------------------------------------------------------------------------

    def view(self, data: Any) -> Any:
        """Cut the plane out of a full-resolution array of any kind without computing it; rows and columns in place.

        Parameters
        ----------
        data : array of ``ndim`` axes, or one more for colour
            numpy, dask, zarr...

        Returns
        -------
        array of shape ``full``, or with the colour axis behind
        """
        cut = data[tuple(slice(None) if a in self.axes else i for a, i in enumerate(self.index))]
        return cut.swapaxes(0, 1) if self.axes[0] > self.axes[1] else cut

    def cut(self, image: Image) -> Any:
        """Cut the plane out of an image layer at the plane's level, without computing it.

        Of axes that are not displayed a coarser level has fewer planes: the one that lies there is taken.

        Returns
        -------
        array of shape ``shape``, or with the colour axis behind
        """
        if not self.level:
            return self.view(image_array(image))
        data = image.data[self.level]
        fine, coarse = image_shape(image), data.shape
        here = [min(int((i + 0.5) * c / f), c - 1) for i, c, f in zip(self.index, coarse, fine, strict=False)]
        return Plane(self.shape, self.axes, tuple(here)).view(data)

    # -- level -> full resolution -----------------------------------------------------------------

    def enlarged(self, mask: NDArray[Any]) -> NDArray[Any]:
        """An array of ``shape`` -> of ``full``: each pixel of it is as the one that it lies in."""
        if self.shape == self.full:
            return mask
        rows, columns = (
            np.minimum((np.arange(n) + 0.5) * m // n, m - 1).astype(np.intp)
            for n, m in zip(self.full, self.shape, strict=True)
        )
        return mask[rows[:, None], columns[None, :]]

    def reduced(self, mask: NDArray[Any]) -> NDArray[Any]:
        """An array of ``full`` -> of ``shape``: each pixel is as the middle of what it covers."""
        if self.shape == self.full:
            return mask
        rows, columns = (
            np.minimum((np.arange(m) + 0.5) * n // m, n - 1).astype(np.intp)
            for n, m in zip(self.full, self.shape, strict=True)
        )
        return mask[rows[:, None], columns[None, :]]

    def reduced_points(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) row, column at full resolution -> at the plane's level."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return flat if self.shape == self.full else (flat + 0.5) / self.step - 0.5

    # -- plane -> layer ---------------------------------------------------------------------------

    def lift(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give an array of ``shape`` the image's axes; a view where that is possible."""
        turned = array.T if self.axes[0] > self.axes[1] else array
        shape = [1] * self.ndim
        for axis, size in zip(self.axes, self.shape, strict=True):
            shape[axis] = size
        return turned.reshape(shape)

    def lower(self, data: NDArray[Any]) -> NDArray[Any]:
        """Give the data of a plane layer back as (H, W): the other way of :meth:`lift`."""
        here = Plane(self.shape, self.axes, (0,) * self.ndim)
        return np.asarray(here.view(data))

    def lift_indices(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp], *, whole: bool = False
    ) -> tuple[NDArray[np.intp], ...]:
        """Index plane pixels in a plane layer, or with ``whole`` in an array of the image's shape."""
        full = [np.full_like(rows, i if whole else 0) for i in self.index]
        full[self.axes[0]], full[self.axes[1]] = rows, columns
        return tuple(full)

    def lift_points(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) row, column -> (N, ndim) data coordinates of a plane layer; both at full resolution."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        full = np.zeros((len(flat), self.ndim))
        full[:, self.axes] = flat
        return full

    def points(self, data: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Turn data coordinates of a plane layer into pixels, both at full resolution.

        Returns
        -------
        points : (N, 2) float64
            Row, column.
        inside : (N,) bool
            Whether each lies on the plane and in the image, borders included.
        """
        full = np.asarray(data, dtype=np.float64).reshape(-1, self.ndim)
        flat = full[:, self.axes]
        others = np.delete(full, self.axes, axis=1)
        high = np.asarray(self.full) - 0.5
        inside = np.all((flat >= -0.5) & (flat <= high), axis=1)
        inside &= np.all(np.abs(others) <= 0.5, axis=1)  # NaN is outside too
        return flat, np.asarray(inside)

    def geometry(self, image: Image, *, full: bool = False) -> dict[str, Any]:
        """Say where a plane layer lies, as keyword arguments of a layer: all that places the image.

        Parameters
        ----------
        image : Image
        full : bool
            For a layer in pixels of the full resolution, as clicks are; else for one in those of the plane.
        """
        size, middle = np.ones(self.ndim), np.asarray(self.index, dtype=np.float64)
        if not full:
            size[list(self.axes)] = self.step
            middle[list(self.axes)] = (self.step - 1) / 2
        shift = Affine(
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            ndim=self.ndim,
        )
        return {
            "scale": np.asarray(image.scale) * size,
            "translate": shift(middle),
            "rotate": image.rotate,
            "shear": image.shear,
            "affine": image.affine.affine_matrix,
            "units": image.units,
            "axis_labels": image.axis_labels,
        }


def image_array(image: Image) -> Any:
    """The image's data at full resolution: of a pyramid, its finest level."""
    return image.data[0] if image.multiscale else image.data


def image_shape(image: Image) -> tuple[int, ...]:
    """Shape of the full resolution without the colour axis."""
    return tuple(image_array(image).shape[: image.ndim])


def same_place(one: Layer, other: Layer) -> bool:
    """Whether two layers put the same data coordinates at the same place in the world."""
    if one.ndim != other.ndim:
        return False
    corners = np.vstack([np.zeros(one.ndim), np.eye(one.ndim)])
    return all(np.allclose(one.data_to_world(c), other.data_to_world(c)) for c in corners)


def usual_level(image: Image, axes: tuple[int, int]) -> int:
    """The finest level of a pyramid whose planes have at most :data:`LARGE_PLANE` pixels; else its coarsest."""
    if not image.multiscale:
        return 0
    areas = [int(data.shape[axes[0]]) * int(data.shape[axes[1]]) for data in image.data]
    return next((level for level, area in enumerate(areas) if area <= LARGE_PLANE), len(areas) - 1)


def displayed_plane(viewer: napari.Viewer, image: Image, level: int | None = 0) -> Plane:
    """Find the plane of an image that the viewer shows now.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    level : int, optional
        Of a pyramid; None for :func:`usual_level`.

    Raises
    ------
    InputError
        If the view is 3D, or does not show two axes of this image at an index inside it.
    """
    if viewer.dims.ndisplay == 3:
        raise InputError("Clicks need the 2D view: press the 2D/3D button (Ctrl+Y), then Start again.")
    if image.ndim < 2:
        raise InputError(f'"{image.name}" has no plane to click on: choose an image of two axes or more.')
    missing = viewer.dims.ndim - image.ndim  # a layer has the viewer's last axes
    rows, columns = (axis - missing for axis in viewer.dims.displayed)
    if min(rows, columns) < 0:
        raise InputError(
            f'The view shows an axis that "{image.name}" does not have: change the order of the axes '
            "with the roll button, then Start again."
        )
    shape = image_shape(image)
    nearest = np.round(image.world_to_data(viewer.dims.point)).astype(int)
    index = tuple(0 if a in (rows, columns) else int(i) for a, i in enumerate(nearest))
    if not all(0 <= i < size for i, size in zip(index, shape, strict=True)):
        raise InputError(
            f'The view shows a place outside "{image.name}": move the sliders until you see it, then Start again.'
        )
    axes, full = (rows, columns), (shape[rows], shape[columns])
    level = usual_level(image, axes) if level is None else min(level, len(image.data) - 1 if image.multiscale else 0)
    coarse = image.data[level].shape if level else shape
    return Plane((int(coarse[rows]), int(coarse[columns])), axes, index, level, full)


def show_plane(viewer: napari.Viewer, image: Image, axes: tuple[int, int], index: tuple[int, ...]) -> None:
    """Have the viewer show a plane of an image, so that :func:`displayed_plane` finds it.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image
    axes, index
        As :class:`Plane` has them.
    """
    missing = viewer.dims.ndim - image.ndim
    seen = [axis + missing for axis in axes]
    if viewer.dims.ndisplay == 3:
        viewer.dims.ndisplay = 2
    if list(viewer.dims.displayed) != seen:
        viewer.dims.order = (*(axis for axis in range(viewer.dims.ndim) if axis not in seen), *seen)
    place = image.data_to_world(np.asarray(index, dtype=np.float64))
    for axis in range(missing, viewer.dims.ndim):
        if axis not in seen:
            viewer.dims.set_point(axis, place[axis - missing])

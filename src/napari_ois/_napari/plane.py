"""One rule: a plane is two axes of an image layer at one index, and only its pixels are read.

A plane also says how a 2D array becomes data of a layer that lies on the image in the world: the
layer has all of the image's axes, those not displayed with a single element, moved to the plane's
index by ``translate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import ArrayLike, NDArray

from napari_ois.errors import InputError
from napari_ois.segmentation.frame import Frame
from napari_ois.segmentation.lazy_plane import LazyPlane, is_large

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""What places a layer in the world: names of layer attributes and of their events."""


@dataclass(frozen=True)
class Plane:
    """Where the work happens.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the plane.
    axes : (int, int)
        The image's axes that the rows and the columns run along.
    index : tuple of int
        One a non-colour axis of the image; the two at ``axes`` mean nothing and are 0.
    """

    shape: tuple[int, int]
    axes: tuple[int, int]
    index: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Axes of the image, without colour."""
        return len(self.index)

    # -- image -> plane ---------------------------------------------------------------------------

    def view(self, data: Any) -> Any:
        """Cut the plane out of an array of any kind without computing it; rows and columns in place.

        Parameters
        ----------
        data : array of ``ndim`` axes, or one more for colour
            numpy, dask, zarr...

        Returns
        -------
        array of shape ``shape``, or with the colour axis behind
        """
        if not isinstance(data, np.ndarray):
            return LazyPlane(data, self.axes, self.index)  # a zarr or HDF5 array would be read by cutting
        cut = data[tuple(slice(None) if a in self.axes else i for a, i in enumerate(self.index))]
        return cut.swapaxes(0, 1) if self.axes[0] > self.axes[1] else cut

    # -- plane -> layer ---------------------------------------------------------------------------

    def lift(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give a (h, w) array the image's axes, or a (h, w, C) one with colour behind; a view where possible."""
        turned = array.swapaxes(0, 1) if self.axes[0] > self.axes[1] else array
        shape = [1] * self.ndim
        for axis, size in zip(self.axes, array.shape[:2], strict=True):
            shape[axis] = size
        return turned.reshape(*shape, *array.shape[2:])

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
        """(N, 2) row, column -> (N, ndim) data coordinates of a plane layer."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        full = np.zeros((len(flat), self.ndim))
        full[:, self.axes] = flat
        return full

    def points(self, data: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Turn data coordinates of a plane layer into pixels.

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
        high = np.asarray(self.shape) - 0.5
        inside = np.all((flat >= -0.5) & (flat <= high), axis=1)
        inside &= np.all(np.abs(others) <= 0.5, axis=1)  # NaN is outside too
        return flat, np.asarray(inside)

    def geometry(self, image: Image, frame: Frame | None = None) -> dict[str, Any]:
        """Say where a plane layer lies, as keyword arguments of a layer: all that places the image.

        Parameters
        ----------
        image : Image
        frame : Frame, optional
            The part of the plane that the layer covers, and its cells; by default all of it in its pixels.
        """
        shift = Affine(
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            ndim=self.ndim,
        )
        scale, first = np.array(image.scale, dtype=np.float64), np.asarray(self.index, dtype=np.float64)
        if frame is not None:
            for axis, cell, start in zip(self.axes, frame.cell, (frame.view.top, frame.view.left), strict=True):
                scale[axis] *= cell
                first[axis] = start + (cell - 1) / 2  # the middle of the first cell
        return {
            "scale": scale,
            "translate": shift(first),
            "rotate": image.rotate,
            "shear": image.shear,
            "affine": image.affine.affine_matrix,
            "units": image.units,
            "axis_labels": image.axis_labels,
        }


def sampled(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Bring (h, w) or (h, w, C) to other rows and columns: each pixel is as the one that its middle lies in."""
    if array.shape[:2] == tuple(shape):
        return array
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(np.intp)
        for n, m in zip(shape, array.shape[:2], strict=True)
    )
    return np.ascontiguousarray(array[rows[:, None], columns[None, :]])


def image_array(image: Image) -> Any:
    """The image's data at full resolution: of a pyramid, its finest level."""
    return image.data[0] if image.multiscale else image.data


def read_plane(plane: Plane, image: Image) -> Any:
    """The pixels of a plane: an array; of a large one something read in windows, or the levels of a pyramid of such."""
    if not is_large(plane.shape):
        return np.asarray(plane.view(image_array(image)))
    levels = list(image.data) if image.multiscale else [image.data]
    full = levels[0].shape
    planes = []
    for level in levels:
        index = [i * level.shape[axis] // full[axis] for axis, i in enumerate(plane.index)]
        planes.append(LazyPlane(level, plane.axes, index))
    return planes if len(planes) > 1 else planes[0]


def image_shape(image: Image) -> tuple[int, ...]:
    """Shape of the full resolution without the colour axis."""
    return tuple(image_array(image).shape[: image.ndim])


def same_place(one: Layer, other: Layer) -> bool:
    """Whether two layers put the same data coordinates at the same place in the world."""
    if one.ndim != other.ndim:
        return False
    return np.allclose(corners_of(one), corners_of(other))


def corners_of(layer: Layer) -> NDArray[np.float64]:
    """Where a layer puts its origin and one step along each axis, (ndim + 1, ndim) in the world."""
    return np.array([layer.data_to_world(corner) for corner in (np.zeros(layer.ndim), *np.eye(layer.ndim))])


def displayed_plane(viewer: napari.Viewer, image: Image) -> Plane:
    """Find the plane of an image that the viewer shows now.

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
    return Plane(shape=(shape[rows], shape[columns]), axes=(rows, columns), index=index)


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

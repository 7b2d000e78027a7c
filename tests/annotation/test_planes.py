"""A plane is cut out, indexed and written as JSON whatever axes are seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ois.annotation import PlaneKey
from napari_ois.errors import InputError


@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (0, 2), (2, 0)])
def test_indices_point_at_what_the_view_shows(axes) -> None:
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    plane = PlaneKey(axes, (1, 2, 1))
    view = plane.view(data)
    assert view.shape == plane.shape_in(data.shape) == (data.shape[axes[0]], data.shape[axes[1]])
    rows, columns = np.nonzero(np.ones(view.shape))
    np.testing.assert_array_equal(data[plane.indices(rows, columns)], view[rows, columns])


def test_planes_are_the_same_where_only_seen_axes_differ() -> None:
    assert PlaneKey((1, 2), (3, 7, 8)) == PlaneKey((1, 2), (3, 0, 0))
    assert PlaneKey((1, 2), (3, 0, 0)).moved(0, 4) == PlaneKey((1, 2), (4, 0, 0))
    assert str(PlaneKey((2, 1), (3, 0, 0))) == "[3, :, :]"


def test_json_gives_the_plane_back() -> None:
    plane = PlaneKey((2, 1), (3, 0, 0))
    assert PlaneKey.from_record(plane.to_record()) == plane
    with pytest.raises(InputError, match="axes and index"):
        PlaneKey.from_record({"axes": [0]})


@pytest.mark.parametrize(
    ("say", "make"),
    [
        ("cannot have the axes", lambda: PlaneKey((0, 0), (0, 0))),
        ("cannot have the axes", lambda: PlaneKey((0, 2), (0, 0))),
        ("has no plane", lambda: PlaneKey((1, 2), (3, 0, 0)).shape_in((3, 4, 5))),
        ("cannot be moved", lambda: PlaneKey((1, 2), (3, 0, 0)).moved(1, 0)),
    ],
)
def test_what_is_no_plane_is_refused(say, make) -> None:
    with pytest.raises(InputError, match=say):
        make()

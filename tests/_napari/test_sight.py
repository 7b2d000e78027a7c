"""What the network is shown follows the choice, the layers and the document, and a replay shows it the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ois._napari.plane import displayed_plane, sampled
from napari_ois._napari.sight import CHANNELS, VISIBLE, Choice, Sight
from napari_ois._napari.sight_panel import SightPanel
from napari_ois.annotation import ImageSignature
from napari_ois.annotation import Session as SessionFile
from napari_ois.annotation.playback import looks_missing, play_session
from napari_ois.errors import InputError
from napari_ois.segmentation.appearance import PLAIN, SEEN, Appearance

GREY = np.linspace(0, 200, 40 * 50).reshape(40, 50)


def sight_of(viewer: Any, image: Any, choice: Choice = Choice()) -> Sight:  # noqa: B008
    return Sight(viewer, image, displayed_plane(viewer, image), choice, lambda layer: layer.name.startswith("mine"))


def seen_by(sight: Sight) -> np.ndarray:
    return np.asarray(sight.reader(sight.appearance())())


def test_by_itself_the_pixels_are_handed_on(viewer) -> None:
    image = viewer.add_image(GREY)
    sight = sight_of(viewer, image)
    assert sight.appearance() == PLAIN
    np.testing.assert_array_equal(seen_by(sight), GREY)


def test_as_seen_is_what_the_layer_shows(viewer) -> None:
    image = viewer.add_image(GREY, contrast_limits=(50, 150), gamma=0.5, colormap="viridis")
    seen = seen_by(sight_of(viewer, image, Choice(SEEN)))
    np.testing.assert_allclose(seen[..., 0], np.clip((GREY - 50) / 100, 0, 1) ** 0.5, atol=1e-6)
    np.testing.assert_array_equal(seen[..., 0], seen[..., 2])  # a colour map is for people


def test_channels_of_an_axis_become_colours(viewer) -> None:
    data = np.stack([GREY, 200 - GREY, np.full_like(GREY, 7)])
    image = viewer.add_image(data)
    seen = seen_by(sight_of(viewer, image, Choice(SEEN, source=CHANNELS, channels=(1, 0))))
    np.testing.assert_allclose(seen[..., 0], 1 - GREY / 200, atol=1e-6)
    np.testing.assert_allclose(seen[..., 1], GREY / 200, atol=1e-6)
    assert not seen[..., 2].any()


def test_visible_layers_on_the_same_place_are_summed_in_their_colours(viewer) -> None:
    options = {"blending": "additive", "contrast_limits": (0, 200), "scale": (0.5, 0.5)}
    image = viewer.add_image(GREY, colormap="red", name="a", **options)
    viewer.add_image(200 - GREY, colormap="green", name="b", opacity=0.5, **options)
    viewer.add_image(GREY, name="hidden", visible=False, **options)
    viewer.add_image(GREY, name="mine", **options)
    viewer.add_image(GREY, name="elsewhere", translate=(3, 0), contrast_limits=(0, 200))
    sight = sight_of(viewer, image, Choice(SEEN, source=VISIBLE))
    assert [layer.name for layer in sight.layers()] == ["a", "b"]
    seen = seen_by(sight)
    np.testing.assert_allclose(seen[..., 0], GREY / 200, atol=1e-5)
    np.testing.assert_allclose(seen[..., 1], 0.5 * (1 - GREY / 200), atol=1e-5)
    was = sight.appearance()
    viewer.layers["b"].visible = False  # what was seen then does not depend on what is shown now
    np.testing.assert_array_equal(sight.reader(was)(), seen)
    viewer.layers.remove("b")
    with pytest.raises(InputError, match='"b", which is not here'):
        sight.reader(was)


def test_a_coarser_level_is_read_and_brought_to_full_size(viewer) -> None:
    fine = np.arange(3 * 40 * 50, dtype=float).reshape(3, 40, 50)
    image = viewer.add_image([fine, fine[:, ::2, ::2], fine[:, ::4, ::4]], multiscale=True)
    viewer.dims.set_current_step(0, 2)
    seen = seen_by(sight_of(viewer, image, Choice(level=1)))
    np.testing.assert_array_equal(seen, np.repeat(np.repeat(fine[2, ::2, ::2], 2, 0), 2, 1))
    with pytest.raises(InputError, match="levels 0 to 2"):
        sight_of(viewer, image).choose(Choice(level=3))


@pytest.mark.parametrize("shapes", [((3, 4), (6, 8)), ((3, 4), (7, 9)), ((2, 2, 3), (5, 5)), ((7, 9), (3, 4))])
def test_each_pixel_is_as_the_one_that_it_lies_in(shapes) -> None:
    small, large = shapes
    array = np.arange(np.prod(small)).reshape(small)
    out = sampled(array, large)
    assert out.shape[:2] == large
    for row in range(large[0]):
        for column in range(large[1]):
            at = int((row + 0.5) * small[0] / large[0]), int((column + 0.5) * small[1] / large[1])
            np.testing.assert_array_equal(out[row, column], array[at])


def test_what_does_not_fit_is_said_and_the_choice_before_stays(viewer, notes) -> None:
    image = viewer.add_image(np.zeros((3, 40, 50)))
    sight = sight_of(viewer, image, Choice(SEEN))
    for wrong in (Choice(source=CHANNELS, channel_axis=1), Choice(source=CHANNELS, channels=(3,)), Choice("loud")):
        with pytest.raises(InputError):
            sight.choose(wrong)
        assert sight.choice == Choice(SEEN)
    other = sight_of(viewer, image, Choice(source=CHANNELS, channels=(9,)))
    assert other.choice == Choice() and "channels 0 to 2" in notes[-1]
    film = viewer.add_image(np.zeros((3, 40, 50, 3)), rgb=True)
    with pytest.raises(InputError, match="RGB, and its colours are its channels"):
        sight_of(viewer, film, Choice(SEEN)).choose(Choice(source=CHANNELS, channels=(0,)))


# -- in a session -----------------------------------------------------------------------------------


@pytest.fixture
def panel(started) -> SightPanel:
    return started.findChild(SightPanel)


def test_contrast_that_is_moved_is_seen_after_a_rest(started, click, qtbot, panel) -> None:
    click(started, 20, 30)
    with qtbot.waitSignal(started.answered):
        panel.stretch.value = SEEN
    first = started.session.object.settings.look
    assert first.stretch == SEEN and first == started.session.look
    embedded: list[Any] = []
    started.embedded.connect(embedded.append)
    with qtbot.waitSignal(started.answered):
        for high in (0.9, 0.8, 0.7):
            started.session.image.contrast_limits = (0.1, high)
    assert len(embedded) == 1
    assert started.session.object.settings.look.tints[0].limits == (0.1, 0.7)


def test_a_look_that_cannot_be_read_does_not_lock_the_image(started, click, qtbot, panel, monkeypatch) -> None:
    click(started, 20, 30)
    paint = Appearance.paint

    def broken(self: Appearance, *args: Any, **kwargs: Any) -> Any:
        if self != PLAIN:
            raise InputError("That cannot be read.")
        return paint(self, *args, **kwargs)

    monkeypatch.setattr(Appearance, "paint", broken)
    started.see_shown()
    qtbot.waitUntil(lambda: started.session is None)
    with qtbot.waitSignal(started.embedded):
        started.start()
    assert started.session.look == PLAIN and started.session.object is None
    assert len(started.session.document) == 1  # it is in the list, with its click


def test_a_composite_is_seen_again_when_its_layer_is_back(started, viewer, click, qtbot, panel, notes) -> None:
    other = viewer.add_image(np.random.default_rng(1).random((60, 80)), name="other", blending="additive")
    with qtbot.waitSignal(started.embedded):
        started.see_composite()
    click(started, 20, 30)
    both, worker = started.session.look, started.session._embedding
    viewer.layers.remove(other)
    qtbot.waitUntil(lambda: started.session.look != both)
    with qtbot.waitSignal(started.embedded):
        started.undo()  # the object as it was seen before
    assert "other" in notes[-1] and started.session.look == both and not worker._seen
    viewer.layers.append(other)
    qtbot.waitUntil(lambda: worker._seen)
    assert started.session.look == both


def test_undo_brings_back_what_was_seen(started, click, qtbot, panel) -> None:
    click(started, 20, 30)
    with qtbot.waitSignal(started.answered):
        panel.stretch.value = SEEN
    with qtbot.waitSignal(started.answered):
        started.undo()
    assert started.session.look == PLAIN == started.session.object.settings.look
    with qtbot.waitSignal(started.answered):
        started.redo()
    assert started.session.look.stretch == SEEN


def test_objects_are_reopened_as_they_were_seen(started, click, qtbot, panel) -> None:
    click(started, 20, 30)
    started.accept()
    with qtbot.waitSignal(started.embedded):
        panel.stretch.value = SEEN
    click(started, 40, 60)
    started.accept()
    with qtbot.waitSignal(started.answered):
        started.reopen_object(1)
    assert started.session.look == PLAIN
    with qtbot.waitSignal(started.answered):
        started.reopen_object(2)
    assert started.session.look.stretch == SEEN


def test_the_panel_shows_what_the_model_sees(started, qtbot, panel) -> None:
    assert panel.picture.pixmap().isNull()
    panel.show_button.click()
    qtbot.waitUntil(lambda: not panel.picture.pixmap().isNull())
    before = panel.picture.pixmap().toImage()
    started.session.image.contrast_limits = (0.4, 0.6)
    with qtbot.waitSignal(started.embedded):
        panel.stretch.value = SEEN
    panel.draw()
    qtbot.waitUntil(lambda: panel.picture.pixmap().toImage() != before)


def test_what_cannot_be_done_is_put_back_in_the_panel(started, panel, notes) -> None:
    panel.source.value = CHANNELS
    assert panel.choice() == Choice() == started.session.sight.choice
    assert "no axis" in notes[-1]


def test_the_choice_stays_with_the_image(viewer, make, qtbot) -> None:
    image = viewer.add_image(np.random.default_rng(0).random((4, 60, 80)), name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    with qtbot.waitSignal(widget.embedded):
        widget.see(Choice(source=CHANNELS, channels=(2, 0, 1)))
    viewer.dims.set_current_step(0, 3)
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    assert widget.session.look.channels == (2, 0, 1)
    panel = widget.findChild(SightPanel)
    assert [part.value for part in panel.colours] == [2, 0, 1] and panel.source.value == CHANNELS
    with qtbot.waitSignal(widget.embedded):
        widget.see_plain()
    with qtbot.waitSignal(widget.embedded):
        widget.see_shown()
    assert panel.stretch.value == SEEN  # the form follows the palette
    with qtbot.waitSignal(widget.embedded):
        widget.see_composite()
    assert widget.session.look.composite and widget.session.look.tints[0].layer == image.name


@pytest.mark.parametrize("choice", [Choice(SEEN), Choice("percentiles", (5.0, 80.0)), Choice(source=CHANNELS)])
def test_a_replay_shows_the_network_the_same(viewer, make, click, qtbot, choice, fake) -> None:
    shown: list[np.ndarray] = []
    plain_set = fake.set_image
    fake.set_image = lambda self, image, **kw: (shown.append(np.asarray(image)), plain_set(self, image))[1]
    data = np.random.default_rng(0).random((3, 60, 80))
    viewer.add_image(data, name="scan", contrast_limits=(0.2, 0.7))
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    with qtbot.waitSignal(widget.embedded):
        widget.see(choice)
    index = widget.session.plane.index
    click(widget, 0, 20, 30)
    widget.accept()
    session = SessionFile(ImageSignature.of(data), objects=widget.session.document.objects)
    assert looks_missing(session) == []
    live = shown[-1]

    class Player(fake):
        def set_image(self, image: Any, channel_axis: Any = None) -> None:
            plain_set(self, image)
            self.seen = np.asarray(image)

    player = Player()
    played = list(play_session(session, data, player))
    assert played[0].differs == 0 and session.objects[0].plane.index == tuple(index)
    np.testing.assert_array_equal(player.seen, live)
    assert live.shape == (60, 80, 3)


def test_a_replay_says_what_one_image_does_not_give(viewer, make, click, qtbot) -> None:
    data = np.random.default_rng(0).random((60, 80))
    viewer.add_image(data, name="scan")
    widget = make()
    with qtbot.waitSignal(widget.embedded):
        widget.start()
    with qtbot.waitSignal(widget.embedded):
        widget.see_composite()
    click(widget, 20, 30)
    widget.accept()
    session = SessionFile(ImageSignature.of(data), objects=widget.session.document.objects)
    assert looks_missing(session) == ['a composite of the layers "scan"']
    assert isinstance(session.objects[0].settings.look, Appearance)

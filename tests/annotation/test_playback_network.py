"""With the embedded model itself - close-ups, thresholds, strengths, seeds, slices - a session plays the same bits."""

from __future__ import annotations

import json

import numpy as np

from napari_ois import Predictor
from napari_ois.annotation import (
    ArrayCanvas,
    Clicks,
    Document,
    ImageSignature,
    PlaneKey,
    Replay,
    Session,
    StackObject,
    StackSlice,
    load_session,
    save_session,
)
from napari_ois.annotation.objects import Settings
from napari_ois.annotation.playback import paint_session, play_session
from napari_ois.annotation.stack_answers import SliceAnswers
from napari_ois.segmentation.volumes import made_volume


def plane(z: int) -> PlaneKey:
    return PlaneKey((1, 2), (z, 0, 0))


def test_the_same_labels_bit_for_bit(tmp_path) -> None:
    volume = made_volume(0, (5, 96, 160))
    places = {body: np.argwhere(volume.labels[2] == body).mean(axis=0) for body in (7, 2, 5)}
    predictor = Predictor(device="cpu")
    document = Document(ArrayCanvas(np.zeros(volume.labels.shape, np.int32)))
    # A small object, so that it is looked at in a close-up; another threshold, another strength of order.
    predictor.set_image(volume.stack[2])
    replay = Replay(predictor)
    clicks = Clicks().added(*places[7]).added(5, 150, positive=False)
    first = document.start(plane(2), clicks=clicks, settings=Settings(0.5, threshold=0.3, connected=True))
    answer = replay.answer(clicks, order_strength=0.5)
    assert answer.view.shape != volume.stack[2].shape
    mask = first.mask(answer)
    assert mask.sum() != answer.mask.sum() > 0
    document.accept(first.number, mask, score=answer.score)
    # Seeded from a label and refined, over the first.
    seeded = document.start_from_label(plane(2), volume.labels[2], 2, source="nuclei")
    document.set_clicks(seeded.number, Clicks().added(*places[2]))
    answer = replay.answer(document[seeded.number].clicks, seed=seeded.seed)
    document.accept(seeded.number, document[seeded.number].mask(answer), rule="overwrite")
    # Through the stack.
    answers = SliceAnswers(predictor.twin(), lambda z: volume.stack[z])
    clicks = Clicks().added(*places[5])
    mask, score, _ = answers(2, clicks, None)
    whole = StackObject(0, 4)
    whole.set_key(2, mask, score=score, clicks=clicks)
    list(whole.run(answers, answers.see))
    number = document.start(plane(2), clicks=clicks).number
    document.accept_stack(number, [StackSlice.of(one, plane(one.index)) for one in whole.slices])
    assert len(document.parts(number)) == 5

    path = tmp_path / "session.json"
    save_session(path, Session(ImageSignature.of(volume.stack), document.objects))
    assert len(json.loads(path.read_text())["objects"]) == 7
    played = list(play_session(load_session(path), volume.stack, Predictor(device="cpu")))
    assert [one.differs for one in played] == [0] * 7
    labels = paint_session(played, volume.labels.shape)["labels"]
    np.testing.assert_array_equal(labels, document.canvas.arrays["labels"])

"""Rule: speed is measured on the path that a user takes, warm, and said with and without the embedding.

SPC is seconds per click. With the embedding it is the wall time of the whole loop (embedding, robot,
IoU) over its clicks, as the published evaluation code counts, but for reading files; without, only
`predict`, as the paper's words suggest. SAT latency is the time to answer 256 prompts, one positive click
each at the cell centres of a 16 x 16 grid, embedding included: one by one (comparable with the paper), and
in batches; our networks answer them from that one embedding, without the close-ups of a user's click.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ois.errors import OISError
from napari_ois.evaluation.methods import CLASSICAL, Method, load_network, parse_model
from napari_ois.evaluation.protocol import evaluate_object
from napari_ois.evaluation.run import ClickPredictor, whole_mask
from napari_ois.evaluation.samples import EvalImage
from napari_ois.segmentation.everything import BATCH, GRID, grid_points
from napari_ois.segmentation.predictor import Predictor
from napari_ois.segmentation.runner import MASK_THRESHOLD
from napari_ois.segmentation.view import View

if TYPE_CHECKING:
    from napari_ois.network import OIS


@dataclass(frozen=True)
class Speed:
    """What was measured; seconds, but for the last two.

    Attributes
    ----------
    device : str
    spc, spc_with_embedding : float
        Seconds per click.
    sat_sequential : float or None
        None for methods that embed nothing: 256 prompts are then 256 times a click.
    sat_batched : float or None
        None for methods that answer one prompt at a time.
    peak_mb : float or None
        Peak memory: of the device where it is CUDA, else of the process, libraries included.
    parameters : int or None
        None for methods without a network.
    """

    device: str
    spc: float
    spc_with_embedding: float
    sat_sequential: float | None
    sat_batched: float | None
    peak_mb: float | None
    parameters: int | None


def measure_speed(method: Method, images: Sequence[EvalImage], *, max_clicks: int = 20, grid: int = GRID) -> Speed:
    """Measure a method; in a process of its own, if the peak memory is to be its own.

    Parameters
    ----------
    method : Method
    images : sequence of EvalImage
        At least one; the first serves for the warm-up and the SAT latency.
    max_clicks : int
        Clicks for each object.
    grid : int
        Prompts of the SAT latency along a side.
    """
    import torch

    predictor = method.make()
    device = str(getattr(predictor, "device", "cpu"))
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    finish = partial(_finish, device)
    _click_loop(predictor, images[:1], 2, finish)  # warm-up
    clicks, inside, whole = _click_loop(predictor, images, max_clicks, finish)
    sequential, batched, parameters = None, None, getattr(predictor, "parameters", None)
    if not method.is_model and method.name not in CLASSICAL:
        sequential = sat_sequential(predictor, images[0].image, grid=grid, finish=finish)
    peak = peak_memory(device)  # before a second network is loaded for the grid of prompts
    if method.is_model:
        network, info = load_network(method.name)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        sequential, batched = _sat_of(method, network, info.preset, images[0].image, device, grid)
    return Speed(
        device=device,
        spc=inside / clicks,
        spc_with_embedding=whole / clicks,
        sat_sequential=sequential,
        sat_batched=batched,
        peak_mb=peak,
        parameters=parameters,
    )


def _click_loop(
    predictor: ClickPredictor, images: Sequence[EvalImage], max_clicks: int, finish: Callable[[], None]
) -> tuple[int, float, float]:
    """Run the robot; clicks made, seconds in `predict`, seconds in all."""
    clicks, inside, shape = 0, 0.0, (0, 0)

    def answer(points: NDArray[Any], labels: NDArray[Any], state: Any) -> tuple[NDArray[Any], Any]:
        nonlocal clicks, inside
        before = time.perf_counter()
        prediction = predictor.predict(points, labels, previous=state)
        inside += time.perf_counter() - before
        clicks += 1
        return whole_mask(prediction, shape), prediction.state

    start = time.perf_counter()
    for sample in images:
        shape = (sample.image.shape[0], sample.image.shape[1])
        predictor.set_image(sample.image)
        for entry in sample.objects:
            evaluate_object(answer, entry.target, max_clicks)
    finish()
    return max(clicks, 1), inside, time.perf_counter() - start


def sat_sequential(
    predictor: ClickPredictor, image: Any, *, grid: int = GRID, finish: Callable[[], None] = lambda: None
) -> float:
    """Seconds for the embedding and one prompt after the other, each mask copied to the host."""
    shape = np.shape(image)
    points = grid_points(View.whole((shape[0], shape[1])), grid).clip(min=0)
    start = time.perf_counter()
    predictor.set_image(image)
    for point in points:
        predictor.predict(point[None], np.ones(1, np.int64))
    finish()
    return time.perf_counter() - start


def sat_batched(
    predictor: Predictor, image: Any, *, grid: int = GRID, batch: int = BATCH, finish: Callable[[], None] = lambda: None
) -> float:
    """Seconds for the embedding and the prompts in batches, one of our networks answering.

    Masks are thresholded on the device at the image's resolution and copied to the host. One batch is run
    before, to be warm.
    """
    import torch
    from torch.nn import functional

    def run(batches: int | None = None) -> None:
        predictor.set_image(image)
        whole = View.whole(predictor.image_shape)
        points = grid_points(whole, grid)
        for start in list(range(0, len(points), batch))[:batches]:
            logits = predictor.answer_each(points[start : start + batch], whole)
            full = functional.interpolate(logits[:, None], size=whole.shape, mode="bilinear", antialias=True)
            (full.sigmoid() > MASK_THRESHOLD).cpu()

    with torch.inference_mode():
        run(1)
        finish()
        start = time.perf_counter()
        run()
        finish()
        return time.perf_counter() - start


def _sat_of(method: Method, network: OIS, preset_name: str, image: Any, device: str, grid: int) -> tuple[float, float]:
    """The SAT latency of one of our networks, one by one and in batches, with a method's own options."""
    from napari_ois.network import PRESETS
    from napari_ois.segmentation.quality import choose_input_size

    preset = PRESETS[preset_name]
    wanted: int | str = parse_model(method.name)[1].get("input_size") or method.input_size or "full"
    predictor = Predictor.from_network(
        network,
        input_size=choose_input_size(wanted, preset, "cpu"),
        multiple=preset.multiple,
        device=device,
        precision=method.precision,
    )
    finish = partial(_finish, device)
    sequential = sat_sequential(predictor, image, grid=grid, finish=finish)
    return sequential, sat_batched(predictor, image, grid=grid, finish=finish)


def peak_memory(device: str = "cpu") -> float | None:
    """Peak memory in MB: of a CUDA device as torch counts it, else of this process; None if not known here."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.is_file():
        # Of this program only; getrusage would begin with the memory of the process that started it.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on a Mac, kilobytes elsewhere.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _finish(device: str) -> None:
    """Wait for what the device still has to do."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def measure_apart(method: Method, images: Sequence[EvalImage], *, max_clicks: int = 20) -> Speed:
    """:func:`measure_speed` in a process of its own, so that its peak memory is its own too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure_speed, method, images, max_clicks=max_clicks).result()
        except BrokenProcessPool as error:
            raise OISError(f"The speed of {method.name} could not be measured: its process died.") from error

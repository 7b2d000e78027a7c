"""Time ours against SAM ViT-B, SAM-HQ ViT-B and SAM 2 base-plus: one machine, one run, one after the other in turn.

Every network has random weights (time does not depend on them) and a process of its own, so that its peak memory is
its own; only one works at a time, and the measurements go round: whatever else the machine does falls on all alike.

    embed       all that depends on the image alone, once
    click       the answer to clicks on one object as a bool mask of the image's size on the host; the first click,
                then later ones with the logits before; median
    SAT one     256 prompts of a 16 x 16 grid one at a time, embedding included, as the paper measures it
    SAT batch   the same in batches

With fewer than 256 prompts (--sat-prompts), both SAT latencies are the embedding plus 256 times what one prompt took.
`ois plain` is the paper's own model of a click: the whole decoder, nothing kept of it (napari_ois.network.plain).

    python benchmarks/peers.py --threads 1
    python benchmarks/peers.py --quick
    python benchmarks/peers.py --device cuda --input 1022 2044 --precision fp32 bf16 --compiled --sat-prompts 0
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

GRID = 16


@dataclass(frozen=True)
class Setup:
    """What one process builds; see :func:`contestants.make`."""

    name: str
    image: int = 1024
    side: int = 1022
    device: str = "cpu"
    precision: str = "fp32"
    compiled: bool = False
    tiny: bool = False
    threads: int | None = None
    clock: str = "wall"
    batch: int = 16


@dataclass
class Times:
    """Seconds of each measurement of one contestant."""

    embed: list[float] = field(default_factory=list)
    click: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    """A first click, one prompt of the grid at a time."""
    batched: list[float] = field(default_factory=list)
    """Of one prompt in a batch."""


def sat_latency(embed: float, prompts: Sequence[float], count: int = GRID * GRID) -> float:
    """Seconds for the embedding and ``count`` prompts, of which some were timed."""
    return embed + count * statistics.mean(prompts)


def summary(times: Times) -> dict[str, float | None]:
    """Medians and latencies in seconds; None for what was not measured."""
    embed = statistics.median(times.embed) if times.embed else None
    return {
        "embed": embed,
        "click": statistics.median(times.click),
        "SAT one": sat_latency(embed, times.one) if embed is not None and times.one else None,
        "SAT batch": sat_latency(embed, times.batched) if embed is not None and times.batched else None,
    }


def ratios(rows: dict[str, dict[str, float | None]], reference: str) -> dict[str, dict[str, float | None]]:
    """Each number over the reference's."""
    base = rows[reference]

    def over(value: float | None, of: float | None) -> float | None:
        return None if value is None or of is None else value / of

    return {name: {key: over(row[key], base[key]) for key in row} for name, row in rows.items()}


def table(rows: dict[str, dict[str, Any]], *, digits: int = 2) -> str:
    """Rows as aligned text; "-" for what is not there."""
    columns = list(next(iter(rows.values())))
    lines = ["".join([f"{'':12s}", *(f"{column:>14s}" for column in columns)])]
    for name, row in rows.items():
        cells = ("-" if v is None else f"{v:.{digits}f}" if isinstance(v, float) else str(v) for v in row.values())
        lines.append("".join([f"{name:12s}", *(f"{cell:>14s}" for cell in cells)]))
    return "\n".join(lines)


def grid_points(image: int, count: int) -> np.ndarray:
    """``count`` of the grid's prompts, spread evenly over it, (count, 2) float32 row and column."""
    from napari_ois.segmentation.everything import grid_points as whole
    from napari_ois.segmentation.view import View

    points = whole(View.whole((image, image)), GRID)
    return points[np.linspace(0, len(points) - 1, count).round().astype(int)]


class Timer:
    """Answers the orders of :func:`measure` in the process of one contestant."""

    def __init__(self, setup: Setup) -> None:
        import torch
        from contestants import make

        if setup.threads:
            torch.set_num_threads(setup.threads)
        self._torch, self._setup = torch, setup
        options = {k: v for k, v in asdict(setup).items() if k not in ("name", "threads", "clock", "batch")}
        self._contestant = make(setup.name, **options)
        generator = torch.Generator().manual_seed(1)
        self._points = torch.rand(4, 2, generator=generator) * (setup.image - 1)
        self._labels = torch.tensor([1, 0, 1, 0])

    def about(self) -> dict[str, Any]:
        """Parameters, and peak memory in MB up to now."""
        from napari_ois.evaluation.speed import peak_memory

        return {"parameters": self._contestant.parameters, "peak MB": round(peak_memory(self._setup.device) or 0)}

    def embed(self) -> float:
        """Seconds."""
        return self._time(self._contestant.embed)

    def click(self, number: int) -> float:
        """Seconds of click ``number``; every fourth begins a new object."""
        count = number % 4 + 1
        later = count > 1
        return self._time(lambda: self._contestant.click(self._points[:count], self._labels[:count], later=later))

    def one(self, point: np.ndarray) -> float:
        """Seconds of one prompt of the grid."""
        place = self._torch.from_numpy(point[None])
        return self._time(lambda: self._contestant.click(place, self._labels[:1], later=False))

    def batched(self, points: np.ndarray) -> float:
        """Seconds of one prompt in a batch."""
        places = self._torch.from_numpy(points)
        return self._time(lambda: self._contestant.prompts(places)) / len(points)

    def _time(self, call: Any) -> float:
        cuda = self._setup.device.startswith("cuda")
        if cuda:
            self._torch.cuda.synchronize()
        now = time.perf_counter if self._setup.clock == "wall" else time.process_time
        start = now()
        call()
        if cuda:
            self._torch.cuda.synchronize()
        return now() - start


def serve(connection: Connection, setup: Setup) -> None:
    """Do as told until told to stop: the main of a contestant's process."""
    timer = Timer(setup)
    connection.send("ready")
    while (order := connection.recv()) is not None:
        verb, *arguments = order
        connection.send(getattr(timer, verb)(*arguments))


class Remote:
    """A :class:`Timer` in a process of its own."""

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, setup), daemon=True)
        self._process.start()
        other.close()

    def wait(self) -> None:
        """Until it has built its network."""
        self._connection.recv()

    def __getattr__(self, verb: str) -> Any:
        def ask(*arguments: Any) -> Any:
            self._connection.send((verb, *arguments))
            return self._connection.recv()

        return ask

    def stop(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


def measure(
    timers: dict[str, Any], image: int, *, embeds: int, clicks: int, plain_clicks: int, prompts: int, batch: int
) -> dict[str, Times]:
    """Let all contestants do the same, in turn; every measurement is told on stderr as it comes.

    Parameters
    ----------
    timers : dict of name to :class:`Timer` or :class:`Remote`
    embeds, clicks, plain_clicks : int
        Timed rounds; one before each kind is not counted, but where ``embeds`` is 0 the only embedding is. The
        plain path embeds once: nothing of it is compared.
    prompts : int
        Prompts of the grid for each SAT latency.
    batch : int
        Prompts in one batch.
    """
    times = {name: Times() for name in timers}
    points = grid_points(image, prompts)

    fast = [name for name in timers if name != "ois plain"]

    def turn(kind: str, names: Sequence[str], *arguments: Any) -> None:
        for name in names:
            seconds = getattr(timers[name], kind)(*arguments)
            getattr(times[name], kind).append(seconds)
            print(f"{name}\t{kind}\t{seconds:.6f}", file=sys.stderr, flush=True)

    turn("embed", list(timers))
    for number in range(clicks + 1):
        turn("click", list(timers) if number <= plain_clicks else fast, number % 4)
    # No warm-up for prompts: a first click was answered just before.
    for point in points:
        turn("one", fast, point)
    for first in range(0, len(points), batch):
        turn("batched", fast, points[first : first + batch])
    for _ in range(embeds):
        turn("embed", fast)
    for found in times.values():
        found.click = found.click[1:]
        found.embed = found.embed[1:] or found.embed
    return times


def run(setup: Setup, names: Sequence[str], counts: dict[str, int]) -> None:
    """One combination of input, precision and compiling: measure and print."""
    timers = {name: Remote(replace(setup, name=name)) for name in names}
    for timer in timers.values():
        timer.wait()
    times = measure(timers, setup.image, batch=setup.batch, **counts)
    rows = {name: summary(found) for name, found in times.items()}
    about = {name: timer.about() for name, timer in timers.items()}
    for timer in timers.values():
        timer.stop()
    way = "compiled" if setup.compiled else "not compiled"
    print(f"\nours at {setup.side}, {setup.device}, {setup.precision}, {way}; seconds by the {setup.clock} clock")
    print(table({name: {**rows[name], **about[name]} for name in names}, digits=3 if setup.tiny else 2))
    for reference in (name for name in ("sam", "ois plain") if name in names):
        print(f"\nover {reference}")
        print(table(ratios(rows, reference)))
    print(json.dumps({"setup": asdict(setup), "times": {name: asdict(found) for name, found in times.items()}}))


def main() -> int:
    """Parse the command line and run every combination."""
    from contestants import NAMES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contestants", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--image", type=int, default=1024, help="side of the square image in pixels")
    parser.add_argument("--input", type=int, nargs="*", default=[1022], help="sides of our input; multiples of 14")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="*", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--compiled", action="store_true", help="time ours compiled as well")
    parser.add_argument("--threads", type=int, help="torch threads; default: torch's own choice")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: seconds of processor time, for one thread on a machine that is shared",
    )
    parser.add_argument("--embeds", type=int, default=3)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--plain-clicks", type=int, default=8, help="of the plain path, which is slow")
    parser.add_argument("--sat-prompts", type=int, default=8, help="of 256 that are timed; 0 = all")
    parser.add_argument("--batch", type=int, default=4, help="prompts in a batch")
    parser.add_argument("--quick", action="store_true", help="tiny networks, to see that it runs")
    options = parser.parse_args()
    counts = {
        "embeds": 1 if options.quick else options.embeds,
        "clicks": 4 if options.quick else options.clicks,
        "plain_clicks": 4 if options.quick else options.plain_clicks,
        "prompts": options.sat_prompts or GRID * GRID,
    }
    for side in [56] if options.quick else options.input:
        for precision in options.precision:
            for compiled in (False, True) if options.compiled else (False,):
                setup = Setup(
                    "",
                    image=64 if options.quick else options.image,
                    side=side,
                    device=options.device,
                    precision=precision,
                    compiled=compiled,
                    tiny=options.quick,
                    threads=options.threads,
                    clock=options.clock,
                    batch=options.batch,
                )
                run(setup, options.contestants, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())

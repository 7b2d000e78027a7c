"""Time the click path of every preset on this machine, beside the multiply-adds that it takes and the machine's limit.

Weights do not matter for timing, so presets without weights run on random ones. Every preset runs in a
process of its own, which makes its peak memory its own too.

    GMAC                of an embedding and of a click: thousand millions of multiply-adds, counted by torch
    GMAC/s              the same over the time it took; the limit is what a large matrix product reaches here, and
                        "of limit" is the click's part of it
    whole / click       the whole network for every click, over a click on the kept embedding
    plain / click       the encoder's maps kept, the whole decoder for every click (the paper's own model of a click,
                        napari_ois.network.plain), over a click; timed alternately in one run
    later / click       a later click refined in a box of a quarter of the input

    python benchmarks/click_path.py --presets ois-compact ois-vits --image 1024 --clicks 20 --threads 2
    python benchmarks/click_path.py --presets ois-vits --input 518 770 1022 --threads 1 --clock cpu
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

COLUMNS = (
    *("preset", "input", "parameters", "embed GMAC", "embed ms", "embed GMAC/s", "click GMAC", "click ms"),
    *("click GMAC/s", "limit", "of limit", "peak MB", "whole / click", "plain / click", "later / click"),
)


def main() -> int:
    """Parse the command line; without ``--only`` start one process a preset and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--presets", nargs="*", help="default: all that can be built here")
    parser.add_argument("--image", type=int, default=1024, help="side of the square image in pixels")
    parser.add_argument("--input", type=int, nargs="*", help="longest sides of the network's input; default: full")
    parser.add_argument("--clicks", type=int, default=20, help="timed clicks after the warm-up")
    parser.add_argument("--plain", type=int, default=3, help="timed runs of the plain paths; 0 = none")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: processor time, for one thread on a machine that is shared",
    )
    parser.add_argument("--threads", type=int, help="torch threads; default: torch's own choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options)))
        return 0
    from napari_ois.network import PRESETS

    widths = [max(14, len(name) + 2) for name in COLUMNS]
    print("".join(name.rjust(width) for name, width in zip(COLUMNS, widths, strict=True)))
    failed = 0
    for name in options.presets or PRESETS:
        for side in options.input or [None]:
            command = [sys.executable, __file__, "--only", name, *_forward(options, side)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                failed += 1
                print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            print("".join(str(row[c]).rjust(width) for c, width in zip(COLUMNS, widths, strict=True)), flush=True)
    return 1 if failed else 0


def _forward(options: argparse.Namespace, side: int | None) -> list[str]:
    """The options that a preset's own process needs."""
    given = [(name, getattr(options, name)) for name in ("image", "clicks", "plain", "threads", "device", "clock")]
    given.append(("input", side))
    return [text for name, value in given if value is not None for text in (f"--{name}", str(value))]


def measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Build one preset and time it; the median of the timed runs, in milliseconds."""
    import torch
    from counting import gmacs, machine_limit

    from napari_ois.network import PRESETS, build
    from napari_ois.network.plain import plain_click
    from napari_ois.segmentation.image import Geometry

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    preset = PRESETS[name]
    model = build(preset).to(options.device).eval()
    side = options.input[0] if options.input else preset.input_size
    geometry = Geometry.fit((options.image, options.image), input_size=side, multiple=preset.multiple)
    image = torch.rand(1, 3, *geometry.input_shape, device=options.device)
    count = 4
    points = torch.rand(1, count, 2, device=options.device) * min(geometry.input_shape)
    labels = torch.tensor([[1, 1, 0, 0]], device=options.device)
    once = partial(_once, device=options.device, clock=options.clock)
    kept: list[float] = []
    other: dict[str, list[float]] = {"whole": [], "plain": [], "later": []}
    with torch.inference_mode():
        embed = _median(once, lambda: model.embed_image(image), 3)
        embedding = model.embed_image(image)
        previous = model.decode_clicks(embedding, points, labels)
        click = _median(once, lambda: model.decode_clicks(embedding, points, labels, previous), options.clicks)
        height, width = geometry.input_shape
        box = (height // 4, width // 4, height * 3 // 4, width * 3 // 4)
        maps = model.encoder(image) if options.plain else ()
        given = (points, labels, previous)
        for _ in range(options.plain):
            kept.append(once(lambda: model.decode_clicks(embedding, points, labels, previous)))
            other["whole"].append(once(lambda: model(image, points, labels, previous)))
            other["plain"].append(
                once(partial(plain_click, model, maps, embedding.depth, *given, surface=embedding.surface))
            )
            other["later"].append(once(lambda: model.decode_clicks(embedding, points, labels, previous, window=box)))
        limit = machine_limit(once, options.device)
    ratios = [round(statistics.median(runs) / statistics.median(kept), 2) if runs else "-" for runs in other.values()]
    count = gmacs(name, geometry.input_shape)
    # ru_maxrss counts kilobytes on Linux and bytes on a Mac.
    scale = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    values = (
        name,
        "x".join(map(str, geometry.input_shape)),
        sum(p.numel() for p in model.parameters()),
        round(count["embed"], 1),
        round(1000 * embed),
        round(count["embed"] / embed, 1),
        round(count["click"], 2),
        round(1000 * click),
        round(count["click"] / click, 1),
        round(limit, 1),
        f"{count['click'] / click / limit:.0%}",
        round(peak),
        *ratios,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _once(call: Callable[[], object], device: str, clock: str) -> float:
    import torch

    now = time.perf_counter if clock == "wall" else time.process_time
    start = now()
    call()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return now() - start


def _median(once: Callable[[Callable[[], object]], float], call: Callable[[], object], runs: int) -> float:
    once(call)  # warm-up
    return statistics.median(once(call) for _ in range(runs))


if __name__ == "__main__":
    sys.exit(main())

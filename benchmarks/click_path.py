"""Time the click path of every preset on this machine: embedding, one click, peak memory.

Weights do not matter for timing, so presets without weights run on random ones. Every preset runs in a
process of its own, which makes its peak memory its own too. The last column compares a click on the kept
embedding with the plain path, which runs the whole network for every click, timed alternately in one run.

    python benchmarks/click_path.py --presets ois-compact ois-vits --image 1024 --clicks 20 --threads 2
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

COLUMNS = ("preset", "input", "parameters", "embed ms", "click ms", "peak MB", "plain / kept")


def main() -> int:
    """Parse the command line; without ``--only`` start one process a preset and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--presets", nargs="*", help="default: all that can be built here")
    parser.add_argument("--image", type=int, default=1024, help="side of the square image in pixels")
    parser.add_argument("--input", type=int, help="longest side of the network's input; default: the preset's")
    parser.add_argument("--clicks", type=int, default=20, help="timed clicks after the warm-up")
    parser.add_argument("--plain", type=int, default=3, help="timed runs of the plain path; 0 = none")
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
        command = [sys.executable, __file__, "--only", name, *_forward(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            failed += 1
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        print("".join(str(row[c]).rjust(width) for c, width in zip(COLUMNS, widths, strict=True)))
    return 1 if failed else 0


def _forward(options: argparse.Namespace) -> list[str]:
    """The options that a preset's own process needs."""
    names = ("image", "input", "clicks", "plain", "threads", "device")
    given = [(n, getattr(options, n)) for n in names if getattr(options, n) is not None]
    return [text for name, value in given for text in (f"--{name}", str(value))]


def measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Build one preset and time it; the median of the timed runs, in milliseconds."""
    import torch

    from napari_ois.network import PRESETS, build
    from napari_ois.segmentation.image import Geometry

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    preset = PRESETS[name]
    model = build(preset).to(options.device).eval()
    side = options.input or preset.input_size
    geometry = Geometry.fit((options.image, options.image), input_size=side, multiple=preset.multiple)
    image = torch.rand(1, 3, *geometry.input_shape, device=options.device)
    count = 4
    points = torch.rand(1, count, 2, device=options.device) * min(geometry.input_shape)
    labels = torch.tensor([[1, 1, 0, 0]], device=options.device)
    with torch.inference_mode():
        embed = _median(lambda: model.embed_image(image), 3, options.device)
        embedding = model.embed_image(image)
        previous = model.decode_clicks(embedding, points, labels)
        click = _median(
            lambda: model.decode_clicks(embedding, points, labels, previous), options.clicks, options.device
        )
        ratio: float | str = "-"
        if options.plain:
            kept, plain = [], []
            for _ in range(options.plain):
                kept.append(_once(lambda: model.decode_clicks(embedding, points, labels, previous), options.device))
                plain.append(_once(lambda: model(image, points, labels, previous), options.device))
            ratio = round(statistics.median(plain) / statistics.median(kept), 1)
    # ru_maxrss counts kilobytes on Linux and bytes on a Mac.
    scale = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    values = (
        name,
        "x".join(map(str, geometry.input_shape)),
        sum(p.numel() for p in model.parameters()),
        round(1000 * embed),
        round(1000 * click),
        round(peak),
        ratio,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _once(call: Callable[[], object], device: str) -> float:
    import torch

    start = time.perf_counter()
    call()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _median(call: Callable[[], object], runs: int, device: str) -> float:
    _once(call, device)  # warm-up
    return statistics.median(_once(call, device) for _ in range(runs))


if __name__ == "__main__":
    sys.exit(main())

"""One rule: what the user measures on annotated images of theirs; nothing here changes a model."""

from __future__ import annotations

import json
from pathlib import Path

import click
from click.core import ParameterSource

from napari_ois.cli.parts import model_options, progress_bar, spoken_warnings
from napari_ois.errors import InputError

_SPEED_IMAGES = 5


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--method", "names", multiple=True, help="What answers the clicks; repeatable. Default: --model.")
@click.option("--set", "sets", multiple=True, help="Only this set; repeatable.")
@click.option("--max-clicks", default=20, show_default=True, type=click.IntRange(1, 100))
@click.option("--limit", type=click.IntRange(1), help="At most so many objects of each set.")
@click.option("--measured-depth", is_flag=True, help="Use the collection's depth where there is one.")
@click.option("--report", type=click.Path(path_type=Path), help="Folder for tables, plots and pictures.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes, one thread each.")
@click.option("--speed", is_flag=True, help="Measure seconds per click, SAT latency and memory too.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs.")
@model_options
@click.pass_context
def evaluate(
    ctx: click.Context,
    data: tuple[Path, ...],
    names: tuple[str, ...],
    sets: tuple[str, ...],
    max_clicks: int,
    limit: int | None,
    measured_depth: bool,
    report: Path | None,
    jobs: int,
    speed: bool,
    as_json: bool,
    model: str,
    device: str,
    precision: str,
    input_size: int | str | None,
) -> None:
    """Measure methods on the objects of DATA by robot clicks.

    DATA: folders with MANIFEST.csv, with images and masks (instance ids), with img and gt (DAVIS),
    HQSeg-44K, or COCO files. A method is a model's name or checkpoint file, the same with other switches
    (ois-compact:use_order=false) or another strength of order (ois-compact:order_strength=0), grabcut,
    random-walker, flood-fill, sam:FOLDER or sam-hq:FOLDER.

    With --report, results are written as they come; the same command again goes on where it stopped.
    """
    if names and ctx.get_parameter_source("model") is ParameterSource.COMMANDLINE:
        raise InputError("Give --model or --method, not both; a model's name is a method too.")
    if len(set(names)) < len(names):
        raise InputError("A method is given twice; give each once.")
    from napari_ois.evaluation import bundle
    from napari_ois.evaluation.campaign import Campaign
    from napari_ois.evaluation.journal import Journal
    from napari_ois.evaluation.methods import Method
    from napari_ois.evaluation.readers import EvalCollection
    from napari_ois.evaluation.report import format_comparison, format_table
    from napari_ois.evaluation.speed import measure_apart
    from napari_ois.segmentation.files import check_target

    if report is not None:
        check_target(report)
    with spoken_warnings():
        collection = EvalCollection(*data, sets=sets or None, per_set=limit)
    methods = [Method(name, device, precision, input_size) for name in names or (model,)]
    campaign = Campaign(methods, collection, max_clicks, measured_depth)
    # All are made before the first click: what is missing is said now, not after hours.
    predictors = {number: method.make() for number, method in enumerate(methods)}
    about = [bundle.describe(method, predictors[number]) for number, method in enumerate(methods)]
    folders = {str(path.resolve()): form for path, form in collection.forms.items()}
    plan = bundle.plan_of(campaign, about, data=folders, sets=sorted(sets), limit=limit, input_size=input_size)
    journal = Journal(report, plan, max_clicks)
    total = sum(len(task.objects) for task in campaign.missing(journal))
    if journal.results and report is not None:
        click.echo(f"{report}: {len(journal.results)} results were there already, {total} to go.", err=True)
    with progress_bar(total, "objects") as step, spoken_warnings():
        campaign.run(journal, predictors, jobs=jobs, progress=step)
    speeds = {}
    if speed:
        step_width = max(len(collection) // _SPEED_IMAGES, 1)
        samples = [collection.read(index) for index in range(0, len(collection), step_width)][:_SPEED_IMAGES]
        with progress_bar(len(methods), "speed") as step:
            for method in methods:
                speeds[method.name] = measure_apart(method, samples, max_clicks=max_clicks)
                step(1)
    results = bundle.results_by_method(campaign, journal)
    summaries = bundle.summaries_of(results, about, speeds)
    if report is not None:
        words = ", ".join(f"{path.name} ({form})" for path, form in collection.forms.items())
        with spoken_warnings():
            left_out = bundle.write_report(report, campaign, results, summaries, predictors, data=words)
        for sentence in left_out:
            click.echo(f"Warning: {sentence}", err=True)
    if as_json:
        click.echo(json.dumps(bundle.joined(summaries), indent=2))
    elif len(summaries) > 1:
        click.echo(format_comparison(summaries))
    else:
        click.echo(format_table(next(iter(summaries.values()))))

"""The commands that treat pictures, one or many: enhance and develop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scotopic.cli_calibrate import ProfileOption
from scotopic.cli_options import (
    Again,
    BalanceOption,
    ColourSpaceName,
    ColourSpaceOption,
    DngCompression,
    DngCompressionName,
    DryRun,
    Ev,
    FormatName,
    FormatOption,
    Json,
    LookOption,
    ModelOption,
    Output,
    Paths,
    Ratio,
    SkipExisting,
    StripGps,
    TierName,
    TierOption,
    look_named,
)
from scotopic.cli_report import DeviceName, Overwrite, errors, line_of, progress_of, told
from scotopic.errors import SettingsError


def enhance_command(
    paths: Paths,
    output: Output = None,
    ratio: Ratio = None,
    ev: Ev = None,
    format: FormatOption = None,
    tier: TierOption = TierName.fast,
    model: ModelOption = None,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="0: only demosaiced. 1: the full effect.")
    ] = 1.0,
    look: LookOption = None,
    wb: BalanceOption = "camera",
    colour_space: ColourSpaceOption = ColourSpaceName.srgb,
    dng_compression: DngCompression = DngCompressionName.none,
    device: Annotated[DeviceName, typer.Option(help="Where the network runs.")] = DeviceName.auto,
    profile: ProfileOption = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    strip_gps: StripGps = False,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Brighten and clean RAW photos shot in the dark.

    IMG_1.ARW becomes IMG_1-scotopic.jpg beside it. How much to brighten is judged from the picture
    unless --ratio or --ev says so. A file that cannot be read is named, and the rest go on.
    """
    from scotopic.balance import parse
    from scotopic.calibration.apply import chosen
    from scotopic.enhance import check_settings
    from scotopic.run import Models

    with told():
        chosen_look = look_named(look)
        balance = parse(wb)
        models = Models(model, tier=tier.value, device=device.value)
        check_settings(models.card(), strength, chosen_look, balance, colour_space.value)
        _run_files(
            paths,
            output,
            format,
            models,
            as_json,
            way="scotopic",
            ratio=ratio,
            ev=ev,
            strength=strength,
            look=chosen_look,
            wb=balance,
            space=colour_space.value,
            dng_compression=dng_compression.value,
            overwrite=overwrite,
            skip_existing=skip_existing,
            dry_run=dry_run,
            strip_gps=strip_gps,
            again=again,
            profiles=chosen(profile),
        )


def develop_command(
    paths: Paths,
    output: Output = None,
    ratio: Ratio = None,
    ev: Ev = None,
    format: FormatOption = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    strip_gps: StripGps = False,
    as_json: Json = False,
) -> None:
    """Develop the traditional way (LibRaw), brightened as much, to judge against.

    IMG_1.ARW becomes IMG_1-traditional.jpg. Give --ratio 1 for no brightening.
    """
    with told():
        _run_files(
            paths,
            output,
            format,
            None,
            as_json,
            way="traditional",
            ratio=ratio,
            ev=ev,
            overwrite=overwrite,
            skip_existing=skip_existing,
            dry_run=dry_run,
            strip_gps=strip_gps,
        )


def _run_files(
    paths: list[Path],
    output: Path | None,
    format_name: FormatName | None,
    models: Any,
    as_json: bool,
    **choices: Any,
) -> None:
    """Lay out the jobs, run them, report each, and leave with 1 if any failed."""
    from scotopic import batch
    from scotopic.exposure import check
    from scotopic.jobs.layout import find_files, lay_out

    if choices["overwrite"] and choices["skip_existing"]:
        raise SettingsError("--overwrite and --skip-existing contradict each other: give one")
    check(choices["ratio"], choices["ev"])
    # Results of an earlier run beside the RAW files are no pictures to enhance; nor would they be replaced.
    files = find_files(paths, enhanced=choices["way"] != "scotopic" or choices["again"])
    kind: batch.Kind | None = format_name.value if format_name else None
    jobs, chosen = lay_out(files, output, kind, choices["way"])
    batch.check_kind(chosen, choices["way"], models.card() if models is not None else None)
    settings = batch.Settings(kind=chosen, **choices)
    batch.check_output(settings)
    failed = 0
    with progress_of(len(jobs), as_json) as (tell, say, count):
        for outcome in batch.run(jobs, settings, models, tell):
            failed += outcome.status == "failed"
            count()
            if as_json:
                typer.echo(json.dumps(outcome.to_json()))
            elif outcome.status == "failed":
                say(f"{outcome.job.source}: FAILED: {outcome.error}", True)
            else:
                say(line_of(outcome), False)
                if outcome.facts.get("warning"):
                    say(f"{outcome.job.source.name}: note: {outcome.facts['warning']}", True)
    if failed:
        if len(jobs) > 1:
            errors.print(f"{failed} of {len(jobs)} files failed")
        raise typer.Exit(1)

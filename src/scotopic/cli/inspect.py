"""The commands that show what is there: info and compare."""

from __future__ import annotations

import json
from typing import Any

import typer

from scotopic.cli.calibrate import ProfileOption
from scotopic.cli.options import (
    Again,
    BalanceOption,
    ComparedLook,
    Ev,
    Json,
    ModelOption,
    PassesOption,
    Ratio,
    ResultsFolder,
    Sandbox,
    Source,
    Sources,
    TierOption,
    check_here,
)
from scotopic.cli.report import Overwrite, exit_on_error, one_line, print_facts
from scotopic.disk.files import is_there
from scotopic.disk.folders import ANOTHER_RESULTS, making
from scotopic.errors import SettingsError, naming


def info_command(
    paths: Sources,
    ratio: Ratio = None,
    ev: Ev = None,
    profile: ProfileOption = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """Say what RAW files hold and what enhance would do with them."""

    from scotopic import batch
    from scotopic.calibration.apply import chosen
    from scotopic.enhance import plan, sensor_of
    from scotopic.exposure import check
    from scotopic.facts import describe
    from scotopic.jobs.layout import find_files
    from scotopic.read import read
    from scotopic.sandbox import read_sandboxed

    failed = 0
    with exit_on_error():
        check_here(*paths)
        check(ratio, ev)
        profiles = chosen(profile)
        files = find_files(paths)
    for source, *_ in files:
        facts: dict[str, Any] = {"file": str(source), "status": "ok", "error": None}
        try:
            captured = read_sandboxed(source) if sandbox else read(source)
            facts |= describe(captured, None)
            with naming(source.name):
                sensor_of(captured)
            facts |= describe(captured, plan(captured, ratio=ratio, ev=ev, profiles=profiles))
        except Exception as error:
            # A fault of ours must not cost what is to be told of the other files.
            failed += 1
            facts |= {
                "status": "failed",
                "error": batch.failed(batch.Job(source, source), error, 0.0, {}).error,
            }
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            print_facts(facts)
    if failed:
        raise typer.Exit(1)


def compare_command(
    path: Source,
    output: ResultsFolder = None,
    ratio: Ratio = None,
    ev: Ev = None,
    tier: TierOption = "fast",
    model: ModelOption = None,
    passes: PassesOption = 1,
    look: ComparedLook = None,
    wb: BalanceOption = "camera",
    profile: ProfileOption = None,
    overwrite: Overwrite = False,
    again: Again = False,
) -> None:
    """Put traditional and enhanced side by side: one labelled picture, one page with a wipe."""
    from scotopic import compare
    from scotopic.balance import parse
    from scotopic.calibration.apply import chosen
    from scotopic.effort import check_settings
    from scotopic.enhance import check_fresh, finished, plan, sensor_of
    from scotopic.jobs.layout import is_one_picture
    from scotopic.read import read
    from scotopic.run import Models
    from scotopic.traditional import develop_traditional
    from scotopic.write import check_place, refusal

    with exit_on_error():
        check_here(path)
        check_here(output, otherwise="give another with -o")
        balance = parse(wb)
        if output is not None and is_one_picture(output) and not is_there(output):
            raise SettingsError(
                f"{output}: is named as a picture, and -o is a folder: a comparison is two files"
            )
        models = Models(model, tier=tier)
        check_settings(models.card(), 1.0, look, balance)
        captured = read(path)
        with naming(path.name):
            if not again:
                check_fresh(captured)
            sensor = sensor_of(captured)
        folder = output or path.parent
        picture, page = (folder / f"{path.stem}-compare.{kind}" for kind in ("jpg", "html"))
        for target in (picture, page):
            if is_there(target) and not overwrite:
                raise refusal(target)
        with making(folder, ANOTHER_RESULTS):
            for target in (picture, page):
                check_place(target)
            opened = models.open(sensor)
            made = plan(captured, ratio=ratio, ev=ev, profiles=chosen(profile))
            before = develop_traditional(path, captured, ratio=made.exposure.ratio)
            after = finished(
                captured, opened, plan_made=made, passes=passes, again=again, look=look, wb=balance
            )
            labels = (f"LibRaw, brightened x{made.exposure.ratio:.3g}", "scotopic")
            compare.write_picture(picture, before, after, labels, overwrite=overwrite)
            compare.write_page(page, before, after, labels, path.name, overwrite=overwrite)
        for target in (picture, page):
            typer.echo(one_line(str(target)))

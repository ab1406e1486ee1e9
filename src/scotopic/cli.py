"""The command line: parses, calls, reports. No arithmetic here."""

from __future__ import annotations

import io
import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from scotopic.cli_calibrate import ProfileOption, calibrate_command
from scotopic.cli_evaluate import evaluate_app
from scotopic.cli_report import DeviceName, Overwrite, errors, line_of, print_facts, progress_of, told
from scotopic.cli_research import models_app, simulate_app, train_command
from scotopic.errors import FileExistsRefusal, ScotopicError, SettingsError
from scotopic.version import __version__

app = typer.Typer(
    help="See in the dark: RAW photos shot in near darkness become bright, clean pictures in true colour.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(models_app, name="models")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(simulate_app, name="simulate")
app.command("train")(train_command)
app.command("calibrate")(calibrate_command)


class FormatName(StrEnum):
    """Formats as named on the command line."""

    jpg = "jpg"
    png = "png"
    tiff = "tiff"
    dng = "dng"
    avif = "avif"
    jxl = "jxl"


class DngCompressionName(StrEnum):
    """Ways to store a DNG's light, as named on the command line; none loses anything."""

    none = "none"
    lossless_jpeg = "lossless-jpeg"
    jxl = "jxl"


class LookName(StrEnum):
    """Looks as named on the command line."""

    natural = "natural"
    libraw = "libraw"
    linear = "linear"


class ColourSpaceName(StrEnum):
    """Colour spaces as named on the command line."""

    srgb = "srgb"
    p3 = "p3"
    rec2020_linear = "rec2020-linear"


Paths = Annotated[
    list[Path], typer.Argument(help="RAW files, or folders to look through.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="A file for one picture, else a folder. Default: beside each RAW."),
]
Ratio = Annotated[
    float | None,
    typer.Option(help="How many times longer the exposure should have been, such as 100."),
]
Ev = Annotated[float | None, typer.Option(help="The same in stops, such as 6.5.")]
FormatOption = Annotated[
    FormatName | None,
    typer.Option(
        "--format",
        help="jpg, png or avif (8 bit), tiff or jxl (16 bit), dng (linear light). Default: as -o says, else jpg.",
    ),
]
DngCompression = Annotated[
    DngCompressionName,
    typer.Option(
        "--dng-compression",
        help="How a DNG is stored, always without loss: none opens everywhere, lossless-jpeg nearly so, jxl is "
        "smallest and needs editors that know DNG 1.7.",
    ),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Pass by files whose result exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
StripGps = Annotated[bool, typer.Option("--strip-gps", help="Leave the place out of the result.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per file, and nothing else there.")
]
LookOption = Annotated[
    LookName | None,
    typer.Option(
        help="natural (the default): soft highlights. libraw: exactly LibRaw's colours and curve. "
        "linear: light as it is (TIFF only)."
    ),
]
BalanceOption = Annotated[
    str,
    typer.Option(
        "--wb",
        metavar="camera|auto|daylight|R,G,B",
        help="White balance: the camera's, judged from the picture, daylight's, or gains.",
    ),
]
ColourSpaceOption = Annotated[
    ColourSpaceName,
    typer.Option(
        "--colour-space", "--color-space", help="p3: not for jxl and dng. rec2020-linear: TIFF only."
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Enhance even what scotopic has enhanced already.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model's name (see 'scotopic models') or a model folder. Default: the one for the sensor.",
    ),
]


class TierName(StrEnum):
    """Tiers as named on the command line."""

    fast = "fast"
    best = "best"


TierOption = Annotated[TierName, typer.Option("--tier", help="fast, or best where there is such a model.")]


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM; not KeyboardInterrupt, which the argument parser would swallow."""


def main() -> None:
    """Run the command line; the entry point of the `scotopic` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be valid text.
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except _Stopped:
        errors.print("stopped; finished pictures are kept, nothing half-written is left")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _look(name: LookName | None) -> Literal["natural", "libraw", "linear"] | None:
    return None if name is None else name.value


def _version(value: bool) -> None:
    if value:
        typer.echo(f"scotopic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command("enhance")
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
        chosen_look = _look(look)
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


@app.command("develop")
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

    if choices["overwrite"] and choices["skip_existing"]:
        raise SettingsError("--overwrite and --skip-existing contradict each other: give one")
    check(choices["ratio"], choices["ev"])
    # Results of an earlier run beside the RAW files are no pictures to enhance; nor would they be replaced.
    files = batch.find_files(paths, enhanced=choices["way"] != "scotopic" or choices["again"])
    kind: batch.Kind | None = format_name.value if format_name else None
    jobs, chosen = batch.lay_out(files, output, kind, choices["way"])
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


@app.command("info")
def info_command(
    paths: Paths,
    ratio: Ratio = None,
    ev: Ev = None,
    profile: ProfileOption = None,
    as_json: Json = False,
) -> None:
    """Say what RAW files hold and what enhance would do with them."""
    from scotopic import batch
    from scotopic.calibration.apply import chosen
    from scotopic.enhance import plan, sensor_of
    from scotopic.exposure import check
    from scotopic.read import read

    failed = 0
    with told():
        check(ratio, ev)
        profiles = chosen(profile)
        files = batch.find_files(paths)
    for source, _ in files:
        facts: dict[str, Any] = {"file": str(source), "status": "ok", "error": None}
        try:
            captured = read(source)
            facts |= batch.describe(captured, None)
            sensor_of(captured)
            facts |= batch.describe(captured, plan(captured, ratio=ratio, ev=ev, profiles=profiles))
        except ScotopicError as error:
            failed += 1
            facts |= {"status": "failed", "error": str(error)}
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            print_facts(facts)
    if failed:
        raise typer.Exit(1)


@app.command("compare")
def compare_command(
    path: Annotated[Path, typer.Argument(help="One RAW file.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder. Default: beside the RAW.")
    ] = None,
    ratio: Ratio = None,
    ev: Ev = None,
    tier: TierOption = TierName.fast,
    model: ModelOption = None,
    look: LookOption = None,
    wb: BalanceOption = "camera",
    profile: ProfileOption = None,
    overwrite: Overwrite = False,
    again: Again = False,
) -> None:
    """Put traditional and enhanced side by side: one labelled picture, one page with a wipe."""
    from scotopic import compare
    from scotopic.balance import parse
    from scotopic.calibration.apply import chosen
    from scotopic.develop import check_output
    from scotopic.enhance import check_fresh, check_settings, finished, plan, sensor_of
    from scotopic.read import read
    from scotopic.run import Models
    from scotopic.traditional import develop_traditional

    with told():
        chosen_look, balance = _look(look), parse(wb)
        check_output(chosen_look or "natural", "srgb", 8)
        captured = read(path)
        if not again:
            check_fresh(captured)
        sensor = sensor_of(captured)
        folder = output or path.parent
        picture, page = (folder / f"{path.stem}-compare.{kind}" for kind in ("jpg", "html"))
        for target in (picture, page):
            if target.exists() and not overwrite:
                raise FileExistsRefusal(f"{target}: exists already and is kept; use --overwrite")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"{folder}: is no folder that can be written to ({error.strerror})"
            ) from error
        opened = Models(model, tier=tier.value).open(sensor)
        check_settings(opened.card, 1.0, chosen_look, balance)
        made = plan(captured, ratio=ratio, ev=ev, profiles=chosen(profile))
        before = develop_traditional(path, captured, ratio=made.exposure.ratio)
        after = finished(captured, opened, plan_made=made, look=chosen_look, wb=balance)
        labels = (f"LibRaw, brightened x{made.exposure.ratio:.3g}", "scotopic")
        compare.write_picture(picture, before, after, labels, overwrite=overwrite)
        compare.write_page(page, before, after, labels, path.name, overwrite=overwrite)
        typer.echo(f"{picture}\n{page}")

"""The commands that treat pictures, one or many: enhance and develop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scotopic.cli.calibrate import ProfileOption
from scotopic.cli.files import RunOptions, run_files
from scotopic.cli.options import (
    AddressOption,
    Again,
    BalanceOption,
    BitsOption,
    ColourSpaceOption,
    DngCompression,
    DngWhiteOption,
    DryRun,
    EngineOption,
    Ev,
    FinishedOption,
    FormatOption,
    FringesOption,
    JournalOption,
    Json,
    LikeOption,
    LookOption,
    ModelOption,
    PassesOption,
    QualityOption,
    Ratio,
    Results,
    Resume,
    Sandbox,
    SkipExisting,
    Sources,
    StripGps,
    TierOption,
    WatchOption,
    Workers,
    check_here,
)
from scotopic.cli.report import Device, DeviceName, Overwrite, exit_on_error
from scotopic.errors import ReadError, SettingsError

if TYPE_CHECKING:
    from scotopic.settings import Settings


def enhance_command(
    paths: Sources,
    output: Results = None,
    ratio: Ratio = None,
    ev: Ev = None,
    like: LikeOption = None,
    format: FormatOption = None,
    bits: BitsOption = None,
    quality: QualityOption = None,
    tier: TierOption = "fast",
    model: ModelOption = None,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="0: only demosaiced. 1: the full effect.")
    ] = 1.0,
    passes: PassesOption = 1,
    fringes: FringesOption = "keep",
    look: LookOption = None,
    wb: BalanceOption = "camera",
    colour_space: ColourSpaceOption = "srgb",
    dng_compression: DngCompression = "none",
    dng_white: DngWhiteOption = "light",
    device: Device = DeviceName.auto,
    profile: ProfileOption = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    strip_gps: StripGps = False,
    sandbox: Sandbox = False,
    again: Again = False,
    workers: Workers = None,
    resume: Resume = False,
    journal: JournalOption = None,
    watch: WatchOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    as_json: Json = False,
) -> None:
    """Brighten and clean RAW photos shot in the dark.

    IMG_1.ARW becomes IMG_1-scotopic.jpg beside it. How much to brighten is judged from the picture
    unless --ratio or --ev says so. A file that cannot be read is named, and the rest go on.
    """
    from scotopic.balance import parse
    from scotopic.calibration.apply import chosen
    from scotopic.effort import check_settings
    from scotopic.jobs.worker import ModelChoice
    from scotopic.settings import Settings

    with exit_on_error():
        balance = parse(wb)
        if model is not None and tier != "fast":
            raise SettingsError(
                "--tier chooses among the packaged models, --model names one: leave one of them out"
            )
        choice = ModelChoice(model, tier, device.value)
        options = RunOptions(workers, resume, journal, watch, engine, address, as_json)
        check_settings(choice.models().card(), strength, look, balance, colour_space, fringes)
        settings = Settings(
            ratio=ratio,
            ev=ev,
            strength=strength,
            passes=passes,
            fringes=fringes,
            look=look,
            wb=balance,
            space=colour_space,
            bits=bits,
            quality=quality,
            dng_compression=dng_compression,
            dng_white=dng_white,
            overwrite=overwrite,
            skip_existing=skip_existing,
            dry_run=dry_run,
            strip_gps=strip_gps,
            sandbox=sandbox,
            again=again,
            profiles=chosen(profile),
        )
        run_files(
            paths, output, format, choice, options, settings if like is None else _held_to(like, settings)
        )


def _held_to(frame: Path, settings: Settings) -> Settings:
    """The settings with what a frame says in place of the amplification. It is read here, once: a run may last for days
    and on other machines, and its numbers are all that is needed there.

    Raises SettingsError.
    """
    from scotopic.batch import decoded
    from scotopic.exposure import check
    from scotopic.reference import ReferenceFrame

    check(settings.ratio, settings.ev)
    check_here(frame, otherwise="copy the frame of --like here first")
    if settings.wb == "auto":
        raise SettingsError(
            "--like holds one white balance for all pictures, and --wb auto judges one for each: leave --wb out for "
            "the frame's own, or give gains (R,G,B)"
        )
    if settings.again:
        raise SettingsError(
            "--like goes by ISO and exposure time, which no longer tell how bright a picture is that has been "
            "enhanced: leave --again out"
        )
    try:
        reference = ReferenceFrame.of(
            decoded(frame, settings),
            ratio=settings.ratio,
            ev=settings.ev,
            profiles=settings.profiles,
            name=frame.name,
        )
    except ReadError as error:
        raise SettingsError(f"--like: {error}") from error
    return replace(settings, ratio=None, ev=None, like=reference)


def develop_command(
    paths: Sources,
    output: Results = None,
    ratio: Ratio = None,
    ev: Ev = None,
    format: FinishedOption = None,
    bits: BitsOption = None,
    quality: QualityOption = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    strip_gps: StripGps = False,
    sandbox: Sandbox = False,
    workers: Workers = None,
    resume: Resume = False,
    journal: JournalOption = None,
    as_json: Json = False,
) -> None:
    """Develop the traditional way (LibRaw), brightened as much, to judge against.

    IMG_1.ARW becomes IMG_1-traditional.jpg. Give --ratio 1 for no brightening.
    """
    from scotopic.settings import Settings

    with exit_on_error():
        check_here(*paths)
        check_here(output, otherwise="give another with -o")
        options = RunOptions(workers, resume, journal, as_json=as_json)
        run_files(
            paths,
            output,
            format,
            None,
            options,
            Settings(
                way="traditional",
                bits=bits,
                quality=quality,
                ratio=ratio,
                ev=ev,
                overwrite=overwrite,
                skip_existing=skip_existing,
                dry_run=dry_run,
                strip_gps=strip_gps,
                sandbox=sandbox,
            ),
        )

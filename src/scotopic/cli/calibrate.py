"""The command for those who know their camera better than any table: calibrate."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from scotopic.cli.report import Overwrite, errors, exit_on_error
from scotopic.disk.files import is_folder, is_there
from scotopic.disk.folders import check_folder_of, making
from scotopic.errors import ReadError, SettingsError, WriteError

ADVICE = """What to shoot, with the camera set to RAW and everything that mends pictures in the camera switched off
(long-exposure and high-ISO noise reduction):

  dark   Lens cap on, viewfinder covered, in a dark room. At each ISO you use at night, with the shutter speed
         of your night pictures: 10 frames or more (2 are the least). Let the camera get as warm as it is then.
         Give the lowest and the highest ISO that you use, and some between; what lies between is interpolated.
  flat   An evenly lit wall or a white screen, out of focus, filling the picture; or a cloudy sky through
         paper. At one ISO or more, at two or three shutter speeds so that the picture is a quarter, half and three
         quarters bright, nowhere overexposed: 2 frames of each, without touching anything between them. Lamps on
         mains flicker: daylight, or 1/50 s and longer.

Then:  scotopic calibrate --dark DARK_FOLDER --flat FLAT_FOLDER -o my-camera.json --install
"""


ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile", help="Your camera's profile, from 'scotopic calibrate'. Default: the one installed."
    ),
]


def calibrate_command(
    dark: Annotated[
        list[Path] | None, typer.Option(help="Dark frames: RAW files or a folder. May be repeated.")
    ] = None,
    flat: Annotated[
        list[Path] | None, typer.Option(help="Flat frames: RAW files or a folder. May be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The profile to write, such as my-camera.json.")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Put the profile where enhance finds it by itself.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure your own camera from dark and flat frames: noise, true black, dark shading, hot pixels.

    Without --dark: says what to shoot. The profile is used by enhance --profile, or by itself once installed.
    A page with the fit's plots is written beside the profile.
    """
    if not dark:
        typer.echo(ADVICE)
        if flat or output or install:
            with exit_on_error():
                raise SettingsError("no dark frames: give --dark with a folder of them")
        return
    from scotopic.calibration.apply import profiles_folder

    with exit_on_error():
        if output is None and not install:
            raise SettingsError("where to? Give -o FILE for the profile, or --install")
        if output is not None and output.suffix.lower() != ".json":
            raise SettingsError(
                f"{output}: a profile is a JSON file, name it something like my-camera.json"
            )
        folder = profiles_folder() if install else None
        with making(folder, "leave --install out and use the profile with --profile"):
            _calibrate(dark, flat or [], output, folder, overwrite)


def _calibrate(
    dark: list[Path], flat: list[Path], output: Path | None, folder: Path | None, overwrite: bool
) -> None:
    """`folder` is the one that the profile is installed in; None where it is not."""
    from scotopic.calibration.calibrate import calibrate
    from scotopic.calibration.report_page import HEADS, rows, write_page
    from scotopic.metadata import camera_in_words
    from scotopic.write import check_place, refusal

    page = output.with_suffix(".html") if output is not None else None
    for target in (output, page):
        if target is None:
            continue
        check_folder_of(target)
        if is_there(target) and not overwrite:
            raise refusal(target)
        check_place(target)

    def place_of(camera: tuple[str, str, str]) -> Path | None:
        make, model, serial = camera
        name = _file_name(camera_in_words(make, model), serial)
        return folder / f"{name}.json" if folder is not None else None

    def check_installing(camera: tuple[str, str, str]) -> None:
        # Before anything is measured or written: half of what was asked for helps nobody.
        place = place_of(camera)
        if place is None:
            return
        if is_there(place) and not overwrite:
            raise refusal(place)
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise WriteError(
                f"{place.parent}: is read-only, so that nothing can be installed; leave out --install"
            )

    measured = calibrate(_files(dark), _files(flat), report=errors.print, known=check_installing)
    profile = measured.profile
    table = [HEADS, *rows(profile)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADS))]
    typer.echo(profile.name + (f", serial number {profile.serial}" if profile.serial else ""))
    for row in table:
        typer.echo("  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)))
    for note in profile.notes:
        errors.print(f"note: {note}")
    if output is not None and page is not None:
        profile.save(output, overwrite=overwrite)
        write_page(page, measured, overwrite=overwrite)
        typer.echo(f"{output}\n{page}")
    place = place_of((profile.make, profile.model, profile.serial))
    if place is None:
        typer.echo(
            f"use it with --profile {output}; with --install it is used by itself for this camera's files"
        )
        return
    profile.save(place, overwrite=overwrite)
    typer.echo(f"{place}\nis used by itself for this camera from now on")


def _files(named: list[Path]) -> list[Path]:
    """The RAW files of all that is named. Raises ReadError where one of them is not there, or has none.

    What is in a folder and cannot be read is a note; what was asked for and is missing is none.
    """
    from scotopic.jobs.layout import find_files

    for path in named:
        if not is_there(path):
            raise ReadError(f"{path}: there is no such file or folder; look at how it is spelt")
        if is_folder(path):
            find_files([path])
    return [found.source for found in find_files(named)] if named else []


def _file_name(name: str, serial: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{name} {serial}".strip()).strip("-.") or "camera"

"""Options that commands share, each in the words of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from scotopic.asked import kind_named
from scotopic.develop import ColourSpace, Look
from scotopic.dng.light import DngWhite
from scotopic.dng.write import Compression
from scotopic.effort import Fringes
from scotopic.errors import SettingsError
from scotopic.exposure import EV_RANGE
from scotopic.formats.table import BITS, FACTS, FORMATS, LINEAR, Kind, by_depth, in_words
from scotopic.inference.views import PASSES_MAX
from scotopic.models import Tier
from scotopic.write import JPEG_QUALITY, QUALITIES

Engine = Literal["local", "ray"]
"""What runs many files: this machine, or a cluster."""


def _place(words: str) -> Any:
    """A path of this machine, or an address elsewhere as it is; whether it can be read is told of each file apart."""
    if "://" in words:
        return words
    if not words:
        raise typer.BadParameter("a name is empty (an unset variable?): name a file, or . for this folder")
    return Path(words)


def check_here(*places: Any, otherwise: str = "copy the files here first") -> None:
    """Raise SettingsError for addresses among what are to be paths of this machine; `otherwise` is what to do."""
    for place in places:
        if isinstance(place, str) and place.casefold().startswith("file://"):
            raise SettingsError(f"{place}: give the plain path, without file://")
        if isinstance(place, str):
            raise SettingsError(f"{place}: is no file or folder of this machine; {otherwise}")


def _kind(words: str) -> Any:
    kind = kind_named(words)
    if kind not in FACTS:
        raise typer.BadParameter(f"{words!r} is not one of {', '.join(FACTS)}")
    return kind


def _target(words: str) -> Any:
    if words == "-":
        raise typer.BadParameter("pictures do not go to standard output: name a file or a folder")
    return _place(words)


Sources = Annotated[
    list[Any],
    typer.Argument(
        help="RAW files, or folders to look through.", show_default=False, parser=_place, metavar="PATHS"
    ),
]
Source = Annotated[
    Any, typer.Argument(help="One RAW file.", show_default=False, parser=_place, metavar="PATH")
]
ResultsFolder = Annotated[
    Any,
    typer.Option(
        "-o",
        "--output",
        help="A folder. Default: beside the RAW.",
        parser=_target,
        metavar="PATH",
    ),
]
Results = Annotated[
    Any,
    typer.Option(
        "-o",
        "--output",
        help="A file for one picture, else a folder. Default: beside each RAW.",
        parser=_target,
        metavar="PATH",
    ),
]
Ratio = Annotated[
    float | None,
    typer.Option(
        help="How many times longer the exposure should have been, such as 100: "
        f"{2.0 ** EV_RANGE[0]:g} to {2.0 ** EV_RANGE[1]:g}."
    ),
]
Ev = Annotated[
    float | None, typer.Option(help=f"The same in stops, such as 6.5: {EV_RANGE[0]} to {EV_RANGE[1]}.")
]
LikeOption = Annotated[
    Any,
    typer.Option(
        "--like",
        help="A RAW file, of the sequence for instance: equal light comes out as bright as in it, whatever ISO, "
        "exposure time and aperture, and in its white balance. --ratio and --ev then speak of that file.",
        parser=_place,
        metavar="FRAME",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Kind | None,
    typer.Option(
        "--format",
        parser=_kind,
        metavar="|".join(FACTS),
        help=f"{by_depth()}, dng (linear light). Default: as -o says, else jpg.",
    ),
]
FinishedOption = Annotated[
    Kind | None,
    typer.Option(
        "--format",
        parser=_kind,
        metavar="|".join(FORMATS),
        help=f"{by_depth()}. Default: as -o says, else jpg.",
    ),
]
BitsOption = Annotated[
    int | None,
    typer.Option(
        "--bits",
        metavar="|".join(map(str, BITS)),
        help="Bits a colour: 16 for deep PNG, 10 for deep AVIF. Default: the format's usual ones.",
        show_default=False,
    ),
]
QualityOption = Annotated[
    int | None,
    typer.Option(
        "--quality",
        min=QUALITIES[0],
        max=QUALITIES[-1],
        help=f"Of a JPEG, which alone has one. Default: {JPEG_QUALITY}.",
        show_default=False,
    ),
]
DngCompression = Annotated[
    Compression,
    typer.Option(
        "--dng-compression",
        help="How a DNG is stored, always without loss: none opens everywhere, lossless-jpeg nearly so, jxl is "
        "smallest and needs editors that know DNG 1.7.",
    ),
]
DngWhiteOption = Annotated[
    DngWhite,
    typer.Option(
        help="What a DNG's WhiteLevel stands for: the brightest light of each picture, or the sensor's saturation, "
        "the same for all frames of a sequence at one --ratio.",
    ),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Pass by files whose result exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
StripGps = Annotated[bool, typer.Option("--strip-gps", help="Leave the place out of the result.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per file, and nothing else there.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that share the work and the cores. One that crashes takes no other file with it. Default: 1.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted run: what it has done is passed by.")
]
JournalOption = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        help="Where a run over many files notes what is done. Default: .scotopic-journal.jsonl among the results.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option("--watch", help="Go on with the folders for ever: new files are treated as they arrive."),
]


EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="ray: the machines of a Ray cluster (docs/cluster.md); sources and output may be addresses such as "
        "s3://bucket/folder.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of the Ray cluster that this machine is part of: auto, or HOST:6379. Default: one of this machine alone.",
    ),
]
LookOption = Annotated[
    Look | None,
    typer.Option(
        help="natural (the default): soft highlights. libraw: exactly LibRaw's colours and curve. "
        f"linear: light as it is ({in_words(LINEAR, 'and')}, of 16 bits)."
    ),
]
ComparedLook = Annotated[
    Literal["natural", "libraw"] | None,
    typer.Option(
        "--look",
        help="natural (the default): soft highlights. libraw: exactly LibRaw's colours and curve.",
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
    ColourSpace,
    typer.Option(
        "--colour-space",
        "--color-space",
        help=f"Not for dng. rec2020-linear: {in_words(LINEAR, 'and')}, of 16 bits.",
    ),
]
Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="Decode files of strangers in a process of their own, without network, with limits on memory and time.",
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


TierOption = Annotated[Tier, typer.Option("--tier", help="fast, or best where there is such a model.")]

FringesOption = Annotated[
    Fringes,
    typer.Option(
        "--fringes",
        help="remove: red and blue that a lens has drawn beside green are laid upon it, as far as the picture tells. "
        "keep: they stay where editors' lens profiles look for them.",
    ),
]

PassesOption = Annotated[
    int,
    typer.Option(
        "--passes",
        min=1,
        max=PASSES_MAX,
        help="How often the network looks at the picture, each time turned otherwise: the mean of 2 or 4 is cleaner, "
        "in two or four times the time.",
    ),
]

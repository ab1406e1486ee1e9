"""The commands that measure: evaluate synthetic, sid, pairs and raw."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scotopic.cli.calibrate import ProfileOption
from scotopic.cli.report import Device, DeviceName, Overwrite, errors, exit_on_error, need
from scotopic.data.pairs import Camera, Split
from scotopic.disk.files import is_folder, is_there
from scotopic.disk.folders import check_folder_of
from scotopic.errors import SettingsError
from scotopic.inference.views import PASSES_MAX

evaluate_app = typer.Typer(
    help="Measure models and the traditional ways against known truth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class RatiosName(StrEnum):
    """Which amplification an evaluation uses."""

    both = "both"
    true = "true"
    automatic = "automatic"

    @property
    def ways(self) -> tuple[str, ...]:
        """As the protocols name them."""
        return ("true ratio", "automatic ratio") if self == "both" else (f"{self.value} ratio",)


EvaluatedPasses = Annotated[
    list[int] | None,
    typer.Option(
        "--passes",
        min=1,
        max=PASSES_MAX,
        help="How often models look at each picture, as for enhance; may be repeated. Default: once.",
    ),
]


@evaluate_app.command("synthetic")
def evaluate_synthetic(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A model's name, its folder, an ONNX file, or none; may be repeated. Those of kind srgb are refused.",
        ),
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="A folder of photos. Default: those that come with scotopic.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many scenes.")] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="Conditions by name, sony or all; may be repeated. Default: sony, four settings of one camera.",
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Other ways to measure beside: libraw, dht, fbdd, gaussians, bm3d, rawtherapee, darktable, all "
            "or none; may be repeated. Default: libraw, fbdd, gaussians, bm3d.",
        ),
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="Models also with true noise, and with automatic ratio.")
    ] = False,
    passes: EvaluatedPasses = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="The same as --method none.")] = False,
    multiple: Annotated[int, typer.Option(min=1, help="Size multiple of a bare ONNX file.")] = 32,
    device: Device = DeviceName.auto,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the JSON here.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure on simulated dark photos whose truth is known: PSNR and SSIM in 8-bit sRGB.

    Needs the evaluate extra.
    """
    with exit_on_error():
        _check_evaluation(output, None, overwrite)
        from scotopic.evaluate import protocols
        from scotopic.evaluate.conditions import conditions_named

        opened = _opened(models, multiple, device=device.value)
        result = protocols.synthetic(
            opened,
            scenes=scenes,
            limit=limit,
            conditions=conditions_named(conditions or ["sony"]),
            methods=protocols.methods_named([*(methods or ()), *(["none"] if no_peers else ())]),
            variants=variants,
            passes=_each_once(passes),
            progress=lambda words: errors.print(words),
        )
        _tell_figures(result, output, overwrite)


EvaluatedModels = Annotated[
    list[str] | None,
    typer.Option("--model", help="A model's name, its folder, an ONNX file, or none; may be repeated."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="Other ways to measure beside: libraw, fbdd, bm3d, rawtherapee, darktable (raw: input, bm3d), "
        "all or none; may be repeated. Default: all but the slow bm3d.",
    ),
]
Multiple = Annotated[int, typer.Option(min=1, help="Size multiple of a bare ONNX file.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many pairs, always the same.")]
Ratios = Annotated[RatiosName, typer.Option(help="Amplify by the true ratio, the automatic one, or both.")]
JsonOutput = Annotated[Path | None, typer.Option("-o", "--output", help="Write the JSON here.")]
Report = Annotated[Path | None, typer.Option(help="Write a report here: one HTML file.")]


@evaluate_app.command("sid")
def evaluate_sid(
    folder: Annotated[Path, typer.Argument(help="The See-in-the-Dark dataset, or a tree like it.")],
    models: EvaluatedModels = None,
    methods: Methods = None,
    camera: Annotated[Camera, typer.Option(help="Which of the dataset's cameras.")] = "Sony",
    split: Annotated[Split, typer.Option(help="Which part of the dataset.")] = "test",
    ratios: Ratios = RatiosName.both,
    limit: Limit = None,
    passes: EvaluatedPasses = None,
    multiple: Multiple = 32,
    profile: ProfileOption = None,
    output: JsonOutput = None,
    report: Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure as the See-in-the-Dark paper does, in every variant of its test set.

    Needs the evaluate extra.
    """
    with exit_on_error():
        _check_evaluation(output, report, overwrite)
        from scotopic.calibration.apply import chosen
        from scotopic.evaluate import methods as ways
        from scotopic.evaluate import real

        measured = real.sid(
            folder,
            ways.for_pictures(_opened(models, multiple, camera), methods or (), _each_once(passes)),
            camera=camera,
            split=split,
            limit=limit,
            ways=ratios.ways,
            with_wipes=report is not None,
            profiles=chosen(profile),
            progress=lambda words: errors.print(words),
        )
        _tell_evaluation(measured, output, report, overwrite)


@evaluate_app.command("pairs")
def evaluate_pairs(
    folder: Annotated[Path, typer.Argument(help="A folder with short and long, or with pairs.csv.")],
    models: EvaluatedModels = None,
    methods: Methods = None,
    split: Annotated[Split | None, typer.Option(help="Only this part. Default: all pairs.")] = None,
    ratios: Ratios = RatiosName.both,
    limit: Limit = None,
    passes: EvaluatedPasses = None,
    multiple: Multiple = 32,
    profile: ProfileOption = None,
    output: JsonOutput = None,
    report: Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure on your own pairs of a short and a long exposure.

    Needs the evaluate extra.
    """
    with exit_on_error():
        _check_evaluation(output, report, overwrite)
        from scotopic.calibration.apply import chosen
        from scotopic.evaluate import methods as ways
        from scotopic.evaluate import real

        measured = real.own(
            folder,
            ways.for_pictures(_opened(models, multiple), methods or (), _each_once(passes)),
            split=split,
            limit=limit,
            ways=ratios.ways,
            with_wipes=report is not None,
            profiles=chosen(profile),
            progress=lambda words: errors.print(words),
        )
        _tell_evaluation(measured, output, report, overwrite)


@evaluate_app.command("raw")
def evaluate_raw(
    folder: Annotated[Path, typer.Argument(help="The See-in-the-Dark dataset, or your own pairs.")],
    models: EvaluatedModels = None,
    methods: Methods = None,
    camera: Annotated[Camera, typer.Option(help="Which of the dataset's cameras.")] = "Sony",
    split: Annotated[
        Split | None, typer.Option(help="Only this part. Default: test, or all of your own pairs.")
    ] = None,
    limit: Limit = None,
    passes: EvaluatedPasses = None,
    multiple: Multiple = 32,
    profile: ProfileOption = None,
    output: JsonOutput = None,
    report: Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure mosaics before colour, as ELD does, with and without brightness correction.

    Needs the evaluate extra.
    """
    with exit_on_error():
        _check_evaluation(output, report, overwrite)
        from scotopic.calibration.apply import chosen
        from scotopic.evaluate import methods as ways
        from scotopic.evaluate import raw

        measured = raw.eld(
            folder,
            ways.for_mosaics(_opened(models, multiple), methods or (), _each_once(passes)),
            camera=camera,
            split=split,
            limit=limit,
            with_wipes=report is not None,
            profiles=chosen(profile),
            progress=lambda words: errors.print(words),
        )
        _tell_evaluation(measured, output, report, overwrite)


def _each_once(passes: list[int] | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys(passes or [1]))


def _opened(
    models: list[str] | None, multiple: int, camera: Camera = "Sony", device: str = "auto"
) -> list[Any]:
    from scotopic.evaluate.methods import open_model
    from scotopic.models import default_for

    names = models or [default_for("xtrans" if camera == "Fuji" else "bayer")]
    return [open_model(name, multiple=multiple, device=device) for name in names if name != "none"]


def _check_evaluation(output: Path | None, report: Path | None, overwrite: bool) -> None:
    """Raise before hours of measuring what would be raised after them."""
    need(("scipy", "skimage", "bm3d"), "evaluate")
    from scotopic.write import check_place, refusal

    if output is not None and report is not None and output.resolve() == report.resolve():
        raise SettingsError(f"{output}: is to be JSON and report at once; give them two names")
    for target in (output, report):
        if target is None:
            continue
        if is_folder(target):
            raise SettingsError(f"{target}: is a folder; give the name of a file")
        if is_there(target) and not overwrite:
            raise refusal(target)
        check_folder_of(target)
        check_place(target)


def _tell_evaluation(measured: Any, output: Path | None, report: Path | None, overwrite: bool) -> None:
    from scotopic.evaluate import report_page

    with ExitStack() as whatever_fails:
        if report is not None:
            whatever_fails.callback(report_page.write_page, report, measured, overwrite=overwrite)
        _tell_figures(measured.result, output, overwrite)


def _tell_figures(result: dict[str, Any], output: Path | None, overwrite: bool) -> None:
    """The table and the JSON; one is not lost with the other."""
    from scotopic.evaluate import report

    with ExitStack() as whatever_fails:
        if output is not None:
            whatever_fails.callback(report.write_json, output, result, overwrite=overwrite)
        typer.echo(report.table(result))

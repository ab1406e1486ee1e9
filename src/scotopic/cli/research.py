"""The commands for those who make models: models, train, simulate."""

from __future__ import annotations

import dataclasses
import json
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scotopic.cli.report import (
    Overwrite,
    TrainingDevice,
    asked_to_stop,
    errors,
    exit_on_error,
    need,
    training_progress,
)
from scotopic.disk.files import check_there
from scotopic.disk.folders import check_folder_of
from scotopic.errors import SettingsError
from scotopic.train.ranges import CHECKPOINT_SECONDS

models_app = typer.Typer(help="List, show, verify and export models.", rich_markup_mode=None)
simulate_app = typer.Typer(
    help="Make RAW files of dark photos from clean pictures.", no_args_is_help=True, rich_markup_mode=None
)


class PrecisionName(StrEnum):
    """Precisions as named on the command line."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


@models_app.callback(invoke_without_command=True)
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        models_list()


@models_app.command("list")
def models_list() -> None:
    """Name the models that come with the package."""
    from scotopic.models import available

    for card in available():
        size = f"{card.parameters / 1e6:.2f} M parameters"
        typer.echo(f"{card.name} {card.version}  {card.kind}, {card.cfa}, {size}  {card.folder}")


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="A name or a model folder.")]) -> None:
    """Print a model's card as JSON."""
    from scotopic.models import find

    with exit_on_error():
        typer.echo(json.dumps(find(name).raw, indent=2))


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names or folders; all if none.")] = None,
) -> None:
    """Check that models are what their cards say, and that they open."""
    from scotopic.models import available
    from scotopic.run import Model

    with exit_on_error():
        for name in names or [card.name for card in available()]:
            model = Model(name, device="cpu")
            typer.echo(f"{model.card.name} {model.card.version}: sound ({model.card.sha256[:12]}...)")


@models_app.command("export")
def models_export(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    folder: Annotated[Path, typer.Argument(help="The model folder to write.")],
    name: Annotated[str, typer.Option(help="The model's name.")] = "mine",
    version: Annotated[str, typer.Option(help="The model's version.")] = "1",
    overwrite: Overwrite = False,
    precision: Annotated[
        PrecisionName,
        typer.Option(help="float16: a file of half the size. int8: faster, a little less exact."),
    ] = PrecisionName.float32,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="For int8: a folder of clean photos that shows the ranges of values."),
    ] = None,
    facts: Annotated[Path | None, typer.Option(help="A JSON file whose entries go into the card.")] = None,
) -> None:
    """Turn a training run into a model folder (needs the train extra)."""
    with exit_on_error():
        need(("torch", "safetensors", "onnx"), "train")
        from scotopic.train.export import export

        more = _json_object(facts) if facts is not None else None
        export(
            run,
            folder,
            name=name,
            version=version,
            precision=precision.value,
            calibration=calibrate,
            facts=more,
            overwrite=overwrite,
            report=errors.print,
        )
        typer.echo(str(folder))


@models_app.command("resize")
def models_resize(
    start: Annotated[str, typer.Argument(help="A run's folder, a model's name or folder.")],
    output: Annotated[Path, typer.Argument(help="The file of weights to write: `train --from` takes it.")],
    data: Annotated[
        Path, typer.Option(help="A folder of clean photos that shows what channels are worth.")
    ],
    changes: Annotated[
        list[str],
        typer.Option("--set", help="The new sizes, such as architecture.fine=32; may be repeated."),
    ],
    overwrite: Overwrite = False,
) -> None:
    """A trained network in other sizes: a start for training a faster one, or a better one.

    Of fewer channels those are left out that are used least; more give the same pictures at first. Needs the
    train extra.
    """
    with exit_on_error():
        need(("torch", "safetensors", "onnx"), "train")
        from safetensors.torch import save

        from scotopic.train.resize import resized
        from scotopic.write import place_bytes

        check_folder_of(output)
        recipe, weights = resized(start, changes, data)
        place_bytes(output, save(weights), overwrite=overwrite)
        sizes = " ".join(
            "--set " + shlex.quote(f"architecture.{name}={_without_spaces(value)}")
            for name, value in recipe.architecture.to_dict().items()
        )
        typer.echo(f"{output}\ntrain on with: --from {output} {sizes}")


def _without_spaces(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def train_command(
    recipe: Annotated[str, typer.Argument(help="The recipe: scotopic, xtrans, article or paper.")],
    out: Annotated[Path, typer.Option(help="The folder for the run.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="What to learn from: the See-in-the-Dark dataset, your own pairs (short and long), or clean "
            "photos and daylight RAWs. May be repeated."
        ),
    ] = None,
    pairs: Annotated[
        list[Path] | None, typer.Option(help="The same as --data, for pairs of your own.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Stop after so many minutes.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Go on from a model (bayer-fast), a run's folder or a weights file."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that --out holds.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any field of the recipe: --set crop=256 --set noise.row_share_max=0.2."
        ),
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits every time, even if slower.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where pairs are decoded to. Default: cache in the run's folder.")
    ] = None,
    verify_cache: Annotated[
        bool, typer.Option("--verify-cache", help="Compare every decoded file's checksum first.")
    ] = False,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="A camera's profile, from 'scotopic calibrate': photos get the noise of that one alone, and pairs are "
            "put right by it. Default: pairs by those installed."
        ),
    ] = None,
    device: Annotated[TrainingDevice, typer.Option(help="Where to train.")] = TrainingDevice.auto,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="A run that is killed loses so much at most.")
    ] = CHECKPOINT_SECONDS,
) -> None:
    """Train a model (needs the train extra).

    Killed at any moment, a run goes on with --resume. Under torchrun all processes work on the one run.
    """
    with exit_on_error():
        need(("torch", "safetensors", "onnx", "tensorboard"), "train")
        from scotopic.calibration.apply import chosen as profiles_chosen
        from scotopic.train.loop import Options, train
        from scotopic.train.sources import find_data
        from scotopic.train.weights import load_start, recipe_from

        chosen = recipe_from(recipe, change or [], start)
        if minutes is not None:
            chosen = dataclasses.replace(chosen, minutes=minutes)
        if deterministic:
            chosen = dataclasses.replace(chosen, deterministic=True)
        folders = [*(data or []), *(pairs or [])]
        if not folders:
            raise SettingsError("nothing to learn from: give --data (or --pairs) with a folder")
        found = find_data(folders, chosen.packing.pattern.sensor)
        profiles = profiles_chosen(profile)
        if profile is not None and found.photos and chosen.kind != "srgb":
            chosen = chosen.of_camera(profiles.known[0])
        options = Options(
            start=load_start(start) if start is not None else None,
            start_name=start,
            resume=resume,
            cache=cache,
            verify_cache=verify_cache,
            profiles=profiles,
            device=device.value,
            checkpoint_seconds=checkpoint_seconds,
        )
        with training_progress() as (tell, say), asked_to_stop() as stop:
            stoppable = dataclasses.replace(options, stop=stop)
            train(
                chosen,
                found,
                out,
                stoppable,
                report=tell,
                say=say,
            )
        typer.echo(str(out))


@simulate_app.command("photo")
def simulate_photo(
    picture: Annotated[Path, typer.Argument(help="A clean photo (JPEG or PNG).")],
    target: Annotated[Path, typer.Argument(help="The DNG to write.")],
    iso: Annotated[float, typer.Option(min=1, help="ISO of the simulated camera.")] = 320,
    ratio: Annotated[
        float, typer.Option(min=1, max=65536, help="How many times too short the exposure is.")
    ] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="A camera's profile, from 'scotopic calibrate'. Default: a Sony A7S II, ISO 100 to 25600."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a dark RAW file of a clean photo, as a Sony A7S II or your own camera would have taken it."""
    from scotopic.calibration.profile import load
    from scotopic.dng.write import write_mosaic
    from scotopic.evaluate.scenes import simulated_capture
    from scotopic.write import place

    with exit_on_error():
        if target.suffix.lower() != ".dng":
            raise SettingsError(f"{target}: what is written is a DNG; give it a name that ends in .dng")
        check_folder_of(target)
        own = load(profile) if profile is not None else None
        mosaic = simulated_capture(picture, iso=iso, ratio=ratio, seed=seed, profile=own)
        place(target, lambda temporary: write_mosaic(temporary, mosaic), overwrite=overwrite)
        typer.echo(str(target))


@simulate_app.command("sid")
def simulate_sid(
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    scenes: Annotated[int, typer.Option(help="How many scenes: 3 to 12, more with --metadata.")] = 6,
    size: Annotated[str, typer.Option(help="Height and width of the pictures, HxW in pixels.")] = "256x384",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the crops and the noise.")] = 0,
    photos: Annotated[
        Path | None, typer.Option(help="A folder of clean photos. Default: those that come with scotopic.")
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(help="A JSON table of the dataset's scenes, longer than the twelve known."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a miniature of the See-in-the-Dark dataset from clean photos: Sony and Fuji, short and long."""
    from scotopic.data.miniature import write_miniature

    with exit_on_error():
        write_miniature(
            folder,
            scenes=scenes,
            size=_size(size),
            seed=seed,
            photos=photos,
            metadata=metadata,
            overwrite=overwrite,
        )
        typer.echo(str(folder))


def _size(words: str) -> tuple[int, int]:
    height, x, width = words.lower().partition("x")
    if not x or not height.isdecimal() or not width.isdecimal():
        raise SettingsError(f"size {words!r} must be height and width in pixels, such as 256x384")
    return int(height), int(width)


def _json_object(path: Path) -> dict[str, Any]:
    check_there(path, SettingsError)
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: holds {type(value).__name__}, an object is needed")
    return value

"""The commands for those who train and measure: models, train, evaluate, simulate."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scotopic.cli_report import DeviceName, Overwrite, errors, told
from scotopic.errors import FileExistsRefusal, SettingsError

models_app = typer.Typer(help="List, show, verify and export models.", rich_markup_mode=None)
evaluate_app = typer.Typer(
    help="Measure models and the traditional ways against known truth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
simulate_app = typer.Typer(
    help="Make RAW files of dark photos from clean pictures.", no_args_is_help=True, rich_markup_mode=None
)


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

    with told():
        typer.echo(json.dumps(find(name).raw, indent=2))


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names or folders; all if none.")] = None,
) -> None:
    """Check that models are what their cards say, and that they open."""
    from scotopic.models import available
    from scotopic.run import Model

    with told():
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
    facts: Annotated[Path | None, typer.Option(help="A JSON file whose entries go into the card.")] = None,
) -> None:
    """Turn a training run into a model folder (needs the train extra)."""
    with told():
        _need(("torch", "safetensors", "onnx"), "train")
        from scotopic.train.export import export

        more = _json_object(facts) if facts is not None else None
        export(run, folder, name=name, version=version, facts=more, overwrite=overwrite)
        typer.echo(str(folder))


def train_command(
    recipe: Annotated[str, typer.Argument(help="The recipe: scotopic.")],
    data: Annotated[Path, typer.Option(help="A folder of clean photos (JPEG, PNG, EXR).")],
    out: Annotated[Path, typer.Option(help="The folder for the run.")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Stop after so many minutes.")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Weights of an earlier run to go on from.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Any field of the recipe: --set crop=256.")
    ] = None,
    device: Annotated[DeviceName, typer.Option(help="Where to train.")] = DeviceName.auto,
) -> None:
    """Train a model on clean photos and simulated sensors (needs the train extra)."""
    with told():
        _need(("torch", "safetensors", "onnx"), "train")
        from scotopic.train.loop import train
        from scotopic.train.recipes import recipe_named

        chosen = recipe_named(recipe).changed_by_words(change or [])
        if minutes is not None:
            chosen = dataclasses.replace(chosen, minutes=minutes)

        def say(progress: Any) -> None:
            quality = progress.validation_db
            checked = f"  held-out {quality:.2f} dB" if quality is not None else ""
            typer.echo(
                f"step {progress.step}  {progress.share_done:6.1%}  loss {progress.loss:.4f}{checked}"
            )

        train(chosen, data, out, start_from=start, report=say, device=device.value)
        typer.echo(str(out))


@evaluate_app.command("synthetic")
def evaluate_synthetic(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Models to measure; may be repeated.")
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="A folder of photos. Default: those that come with scotopic.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many scenes.")] = None,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Leave the other methods out.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the JSON here.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure on simulated dark photos whose truth is known: PSNR and SSIM in 8-bit sRGB.

    Needs the evaluate extra.
    """
    with told():
        _need(("scipy", "skimage", "bm3d"), "evaluate")
        if output is not None and output.exists() and not overwrite:
            raise FileExistsRefusal(f"{output}: exists already and is kept; use --overwrite")
        from scotopic.evaluate import protocols, report
        from scotopic.run import Model

        opened = [Model(name) for name in models or ["bayer-fast"]]
        result = protocols.synthetic(
            opened,
            scenes=scenes,
            limit=limit,
            with_peers=not no_peers,
            progress=lambda words: errors.print(words),
        )
        if output is not None:
            report.write_json(output, result, overwrite=overwrite)
        typer.echo(report.table(result))


@simulate_app.command("photo")
def simulate_photo(
    picture: Annotated[Path, typer.Argument(help="A clean photo (JPEG or PNG).")],
    target: Annotated[Path, typer.Argument(help="The DNG to write.")],
    iso: Annotated[float, typer.Option(min=100, max=25600, help="ISO of the simulated Sony A7S II.")] = 320,
    ratio: Annotated[
        float, typer.Option(min=1, max=65536, help="How many times too short the exposure is.")
    ] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Make a dark RAW file of a clean photo, as a Sony A7S II would have taken it."""
    from scotopic.dng import write_mosaic
    from scotopic.evaluate.scenes import simulated_capture
    from scotopic.write import place

    with told():
        mosaic = simulated_capture(picture, iso=iso, ratio=ratio, seed=seed)
        place(target, lambda temporary: write_mosaic(temporary, mosaic), overwrite=overwrite)
        typer.echo(str(target))


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: holds {type(value).__name__}, an object is needed")
    return value


def _need(modules: tuple[str, ...], extra: str) -> None:
    """Raise SettingsError unless the extra's modules are installed."""
    try:
        for name in modules:
            importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"this needs {error.name}: install scotopic with its {extra} extra, pip install 'scotopic[{extra}]'"
        ) from error

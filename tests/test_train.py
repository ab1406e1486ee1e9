"""Training, where torch is installed; skipped aloud where not."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the train extra)")

from importlib.resources import files  # noqa: E402
from pathlib import Path  # noqa: E402

from conftest import MORE_DATA  # noqa: E402
from scotopic.errors import DatasetError, FileExistsRefusal, SettingsError, WriteError  # noqa: E402
from scotopic.run import Model  # noqa: E402
from scotopic.train.datasets import CleanPhotos, find_photos, is_held_out, split  # noqa: E402
from scotopic.train.export import export, parity  # noqa: E402
from scotopic.train.loop import load_run, train  # noqa: E402
from scotopic.train.losses import FLOOR, encode_for_loss, loss  # noqa: E402
from scotopic.train.networks import (  # noqa: E402
    Architecture,
    BayerGraph,
    decode,
    encode,
    local_means,
    malvar_weights,
)
from scotopic.train.recipes import Recipe, recipe_named  # noqa: E402
from scotopic.train.simulate import NoiseRange, Simulator, bayer, tukey_std  # noqa: E402

PHOTOS = Path(str(files("scotopic.evaluate") / "held_out"))
SMALL = Architecture(quarter=16, eighth=16, sixteenth=16, bottom_blocks=1)


def simulator(seed: int = 0, **noise) -> Simulator:
    return Simulator(NoiseRange(**noise), torch.device("cpu"), torch.Generator().manual_seed(seed))


def test_malvars_demosaic_keeps_colours_and_reads_each_place():
    flat = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    packed = torch.nn.functional.pixel_unshuffle(bayer(flat), 2)
    padded = torch.nn.functional.pad(packed, (1, 1, 1, 1), mode="reflect")
    rgb = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(padded, malvar_weights()), 2)
    assert torch.allclose(rgb, flat, atol=1e-6)
    ramp = torch.rand(1, 1, 16, 16)
    packed = torch.nn.functional.pixel_unshuffle(ramp, 2)
    padded = torch.nn.functional.pad(packed, (1, 1, 1, 1), mode="reflect")
    rgb = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(padded, malvar_weights()), 2)
    assert torch.allclose(bayer(rgb), ramp, atol=1e-6)


@pytest.mark.parametrize("knee", [1e-5, 1e-2, 1.0, 300.0])
def test_decode_inverts_encode(knee):
    v = torch.linspace(-3, 20, 500, dtype=torch.float64)
    k = torch.tensor(knee, dtype=torch.float64)
    assert torch.allclose(decode(encode(v, k), k), v, atol=1e-6)
    assert encode(torch.ones(()).double(), k).item() == pytest.approx(1)


def test_the_encoding_makes_noise_even():
    generator = torch.Generator().manual_seed(0)
    slope, offset = 0.01, 2e-4
    knee = torch.tensor(0.375 * slope + offset / slope)
    spreads = []
    for level in (0.02, 0.1, 0.5, 1.0):
        electrons = torch.poisson(torch.full((200_000,), level / slope), generator=generator)
        noisy = slope * electrons + math.sqrt(offset) * torch.randn(200_000, generator=generator)
        spreads.append(encode(noisy, knee).std().item())
    assert max(spreads) / min(spreads) < 1.1


def test_local_means_keep_the_light():
    planes = torch.rand(1, 4, 64, 64)
    for mean in local_means(planes):
        assert mean.shape == (1, 3, 32, 32)
        assert mean[:, 0].mean().item() == pytest.approx(planes[:, 0].mean().item(), rel=0.02)


def test_the_simulator_draws_the_noise_it_tells():
    s = simulator(told_spread=0.0, hot_share=(1e-9, 2e-9), black_error_share=0.0, row_share_max=0.0)
    target = torch.full((48, 3, 64, 64), 0.3)
    batch = s.expose(target, torch.eye(3).expand(48, 3, 3))
    span = batch.white[:, :1] - batch.black[:, :1]
    greens = batch.mosaic[:, 0, 0::2, 1::2].flatten(1)
    x = (greens - batch.black[:, :1]) / span
    clipped = (greens <= 0).float().mean(1) + (greens >= batch.white[:, :1]).float().mean(1)
    level = 0.3 / batch.ratio[:, 0]
    told = batch.shot[:, 1] * level + batch.read[:, 1]
    fair = clipped < 1e-3
    assert fair.sum() > 20
    spread = (x.var(1) / told)[fair]
    assert spread.median().item() == pytest.approx(1, abs=0.06)
    off = ((x.mean(1) - level) / told.sqrt())[fair]
    assert off.abs().median().item() < 0.05


def test_unprocessing_keeps_white_white_and_goes_above_it():
    s = simulator()
    scenes = torch.ones(64, 3, 32, 32)
    truth, to_srgb = s.unprocess(scenes, torch.zeros(64, dtype=torch.bool))
    assert truth.amax().item() > 3
    assert torch.allclose(to_srgb.sum(2), torch.ones(64, 3), atol=1e-4)


def test_the_tukey_spread_is_that_of_the_numpy_sensor():
    from scotopic.sensor import tukey_std as oracle

    for shape in (-0.2, 0.1, 0.4):
        assert tukey_std(torch.tensor(shape)).item() == pytest.approx(oracle(shape), rel=1e-4)


def test_the_loss_is_zero_for_the_truth_alone_and_weighs_shadows():
    target = torch.rand(2, 3, 32, 32)
    eye = torch.eye(3).expand(2, 3, 3)
    assert loss(target, target, eye).item() == pytest.approx(math.log(FLOOR), abs=1e-4)
    dark, bright = torch.full((1, 3, 16, 16), 0.01), torch.full((1, 3, 16, 16), 0.9)
    one = eye[:1]
    assert loss(dark + 0.01, dark, one) > loss(bright + 0.01, bright, one) + math.log(2)
    assert loss(target + 0.1, target, eye) > loss(target + 0.05, target, eye) > loss(target, target, eye)
    assert encode_for_loss(torch.tensor(1.0)).item() == pytest.approx(1)


def test_crops_are_linear_and_in_range():
    data = CleanPhotos(find_photos(PHOTOS)[:3], 64, torch.device("cpu"), torch.Generator().manual_seed(0))
    crops, hdr = data.batch(6)
    assert crops.shape == (6, 3, 64, 64)
    assert 0 <= crops.min() <= crops.max() <= 1
    assert not hdr.any()


def test_without_named_series_every_tenth_photo_is_held_out():
    photos = [Path(f"IMG_{i}.jpg") for i in range(30)]
    kept, held = split(photos, Recipe().held_out)
    assert (len(kept), len(held)) == (27, 3)
    assert not set(kept) & set(held)


def test_whole_series_are_held_out():
    held = Recipe().held_out
    photos = find_photos(PHOTOS)
    assert all(is_held_out(p.name, held) for p in photos)
    assert not is_held_out("ubuntu-wallpapers__cherries.jpg", held)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Forty steps of a tiny network on four photos, two of them held out."""
    folder = tmp_path_factory.mktemp("photos")
    for i, photo in enumerate(find_photos(PHOTOS)[:4]):
        shutil.copy(photo, folder / f"{'held' if i > 1 else 'seen'}_{i}.jpg")
    recipe = Recipe(
        architecture=SMALL,
        crop=64,
        batch=4,
        steps=40,
        warmup_steps=5,
        learning_rate=2e-3,
        held_out=("held",),
    )
    return train(recipe, folder, tmp_path_factory.mktemp("run"))


def test_training_lowers_the_loss_and_stores_what_it_did(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 40
    assert lines[-1]["validation_db"] is not None
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["crop"] == 64
    assert recipe["architecture"]["quarter"] == 16
    result = json.loads((run / "result.json").read_text())
    assert (result["photos"], result["photos_held_out"], result["steps"]) == (2, 2, 40)
    torch.manual_seed(recipe["seed"])
    fresh, (_, trained) = BayerGraph(SMALL), load_run(run)
    s = simulator(5)
    data = CleanPhotos(find_photos(PHOTOS)[:2], 64, torch.device("cpu"), torch.Generator().manual_seed(1))
    with torch.no_grad():
        batches = [s.expose(*s.unprocess(*data.batch(8))) for _ in range(3)]
        scores = [
            sum(loss(g(*b.inputs())[0], b.target, b.to_srgb).item() for b in batches)
            for g in (fresh, trained)
        ]
    assert scores[1] < scores[0]


def test_a_run_becomes_a_model_that_enhances(run, tmp_path, dark):
    from scotopic.enhance import enhance

    export(run, tmp_path / "mine", name="mine", version="1", facts={"data": "four photos"})
    model = Model(tmp_path / "mine", device="cpu")
    assert model.card.raw["data"] == "four photos"
    assert model.card.raw["onnx_parity"] < 2e-4
    assert model.card.halo in (32, 64, 96)
    assert enhance(dark, model, ratio=100).data.shape == (*dark.data.shape, 3)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["README.md", "card.json", "model.onnx"]
    with pytest.raises(FileExistsRefusal):
        export(run, tmp_path / "mine", name="mine", version="2")
    with pytest.raises(SettingsError, match="sha256"):
        export(run, tmp_path / "other", name="mine", version="1", facts={"sha256": "0"})
    assert not (tmp_path / "other").exists()


def test_a_run_is_never_written_over(run):
    before = (run / "weights.safetensors").read_bytes()
    with pytest.raises(WriteError, match="holds a training run"):
        train(Recipe(), PHOTOS, run)
    assert (run / "weights.safetensors").read_bytes() == before


def test_the_shipped_graph_and_torch_agree_in_every_operator(run, tmp_path):
    export(run, tmp_path / "mine", name="mine", version="1")
    _, graph = load_run(run)
    assert parity(graph, tmp_path / "mine" / "model.onnx") < 2e-4
    with torch.no_grad():
        graph.net.head.bias.add_(0.05)
    assert parity(graph, tmp_path / "mine" / "model.onnx") > 2e-4


def test_missing_photos_and_missing_runs_are_errors_of_ours(tmp_path):
    with pytest.raises(DatasetError, match="no photos"):
        train(Recipe(), tmp_path, tmp_path / "run")
    with pytest.raises(DatasetError, match="none is left"):
        train(Recipe(held_out=("18f", "budgie")), PHOTOS, tmp_path / "run")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="no picture"):
        CleanPhotos(find_photos(tmp_path / "bad"), 64, torch.device("cpu"), torch.Generator())
    with pytest.raises(DatasetError, match="holds no training run"):
        load_run(tmp_path)


def test_recipes_are_changed_by_words_and_unknown_ones_refused():
    recipe = Recipe().changed_by_words(
        ["crop=256", "learning_rate=1e-3", "compile=true", 'held_out=["a","b"]']
    )
    assert (recipe.crop, recipe.learning_rate, recipe.compile) == (256, 1e-3, True)
    assert recipe.held_out == ("a", "b")
    for wrong in (
        "crops=1",
        "crop",
        "crop=big",
        "crop=1.5",
        "noise=3",
        "crop=100",
        "batch=0",
        "minutes=-1",
    ):
        with pytest.raises(SettingsError):
            Recipe().changed_by_words([wrong])
    with pytest.raises(SettingsError, match="no recipe"):
        recipe_named("alchemy")


def test_hdr_scenes_keep_their_light():
    hdr = MORE_DATA / "photos" / "hdr"
    if not hdr.is_dir():
        pytest.skip(f"HDR scenes are not at {hdr} (set SCOTOPIC_TEST_DATA)")
    data = CleanPhotos(find_photos(hdr)[:4], 96, torch.device("cpu"), torch.Generator().manual_seed(0))
    crops, flags = data.batch(12)
    assert flags.all()
    assert crops.max() > 1.5
    assert np.isfinite(crops.numpy()).all()

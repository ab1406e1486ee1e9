"""What training is made of, where torch is installed; skipped aloud where not."""

from __future__ import annotations

import json
import math
import threading
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the train extra)")

from importlib.resources import files  # noqa: E402
from pathlib import Path  # noqa: E402

from scotopic.errors import DatasetError, SettingsError  # noqa: E402
from scotopic.train import checkpoint  # noqa: E402
from scotopic.train.checkpoint import Checkpoint  # noqa: E402
from scotopic.train.datasets import CleanPhotos, find_photos, is_held_out, split  # noqa: E402
from scotopic.train.demosaic import BENT, LINEAR, demosaic_weights  # noqa: E402
from scotopic.train.filters import (  # noqa: E402
    PACKINGS,
    binomial_weights,
    cell_mean_weights,
    pack,
    sampled,
    unpack,
    upsample_weights,
)
from scotopic.train.lens import cubic, moved  # noqa: E402
from scotopic.train.losses import ABOVE_WHITE, FLOOR, encode_for_loss, encoded_loss, grid_strength  # noqa: E402
from scotopic.train.networks import decode, encode  # noqa: E402
from scotopic.train.recipes import Recipe, recipe_named  # noqa: E402
from scotopic.train.simulate import NoiseRange, Simulator, tukey_std  # noqa: E402
from scotopic.train.sources import ahead  # noqa: E402
from scotopic.train.weights import build  # noqa: E402

PHOTOS = Path(str(files("scotopic.evaluate") / "held_out"))


def simulator(seed: int = 0, **noise) -> Simulator:
    return Simulator(NoiseRange(**noise), torch.device("cpu"), torch.Generator().manual_seed(seed))


@pytest.fixture(params=sorted(PACKINGS))
def packing(request):
    return PACKINGS[request.param]


def flat_colour(cells: int, packing) -> torch.Tensor:
    side = cells * packing.cell
    return torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand(1, 3, side, side)


def demosaiced(mosaic: torch.Tensor, packing, share: float = LINEAR) -> torch.Tensor:
    packed = torch.nn.functional.pad(pack(mosaic, packing.cell), (1, 1, 1, 1), mode="replicate")
    return unpack(torch.nn.functional.conv2d(packed, demosaic_weights(packing, share)), packing.cell)


@pytest.mark.parametrize("share", [LINEAR, BENT])
def test_the_demosaic_keeps_even_colours_and_every_sample(packing, share):
    flat = flat_colour(4, packing)
    assert torch.allclose(demosaiced(sampled(flat, packing), packing, share), flat, atol=1e-6)
    noise = torch.rand(1, 1, 4 * packing.cell, 6 * packing.cell)
    assert torch.allclose(sampled(demosaiced(noise, packing, share), packing), noise, atol=1e-5)


def test_the_demosaic_is_better_than_bilinear_on_photos_and_better_still_on_bent_light(packing):
    photo = CleanPhotos(find_photos(PHOTOS)[:1], 192, torch.device("cpu"))
    truth = photo.batch(8, torch.Generator().manual_seed(0))[0].clamp(0, 1)
    mosaic = sampled(truth, packing)
    f = torch.nn.functional
    tent = torch.tensor([1.0, 2, 1])
    kernel = torch.outer(tent, tent)[None, None]
    if packing.cell == 6:  # X-Trans has two pixels and more between reds
        wide = torch.tensor([1.0, 2, 3, 2, 1])
        kernel = torch.outer(wide, wide)[None, None]
    bilinear = []
    for colour in range(3):
        own = sampled(
            torch.nn.functional.one_hot(torch.tensor(colour), 3)
            .float()
            .view(1, 3, 1, 1)
            .expand(1, 3, 192, 192),
            packing,
        )
        weight = f.conv2d(own, kernel, padding="same")
        bilinear.append(f.conv2d(mosaic * own, kernel, padding="same") / weight)
    knee = torch.tensor(1e-3)
    bent = decode(demosaiced(encode(mosaic / (4 * knee), knee), packing, BENT), knee)
    inner = (..., slice(12, -12), slice(12, -12))
    ours, best, theirs = (
        (v.clamp(0, 1).sqrt() - truth.sqrt())[inner].square().mean().log10().mul(-10).item()
        for v in (demosaiced(mosaic, packing), bent, torch.cat(bilinear, 1))
    )
    assert ours > theirs + 2
    assert best > ours + 1


def test_unpack_inverts_pack(packing):
    mosaic = torch.rand(2, 1, 3 * packing.cell, 5 * packing.cell)
    assert torch.equal(unpack(pack(mosaic, packing.cell), packing.cell), mosaic)


def test_fixed_filters_are_those_of_the_full_resolution(packing):
    f = torch.nn.functional
    cell = packing.cell
    picture = torch.rand(1, 1, 8 * cell, 10 * cell)
    inner = (..., slice(2 * cell, -2 * cell), slice(2 * cell, -2 * cell))
    row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    blurred = f.conv2d(picture, torch.outer(row, row)[None, None], padding=2)
    packed = unpack(f.conv2d(pack(picture, cell), binomial_weights(packing), padding=1), cell)
    assert torch.allclose(blurred[inner], packed[inner], atol=1e-6)
    plane = torch.rand(1, 3, 8, 10)
    enlarged = f.interpolate(plane, scale_factor=cell, mode="bilinear", align_corners=False)
    packed = unpack(f.conv2d(plane, upsample_weights(packing), padding=1), cell)
    assert torch.allclose(enlarged[inner], packed[inner], atol=1e-6)


def test_sampling_lets_each_pixel_have_its_own_colour(packing):
    side = packing.pattern.cell
    rgb = torch.arange(3.0).view(1, 3, 1, 1).expand(1, 3, 4 * packing.cell, 4 * packing.cell)
    assert sampled(rgb, packing)[0, 0, :side, :side].int().tolist() == [
        list(r) for r in packing.pattern.cfa
    ]


@pytest.mark.parametrize("knee", [1e-5, 1e-2, 1.0, 300.0])
def test_light_comes_back_from_its_curve_and_white_is_encoded_as_one(knee):
    k = torch.tensor(knee, dtype=torch.float64)
    light = torch.linspace(-3, 20, 500, dtype=torch.float64)
    assert torch.allclose(decode(encode(light / (4 * k), k), k), light, rtol=1e-9, atol=1e-9)
    assert encode(1 / (4 * k), k).item() == pytest.approx(1)
    assert encode(torch.zeros(()).double(), k).item() == 0


def test_the_encoding_makes_noise_even():
    generator = torch.Generator().manual_seed(0)
    slope, offset = 0.01, 2e-4
    knee = torch.tensor(0.375 * slope + offset / slope)
    spreads = []
    for level in (0.02, 0.1, 0.5, 1.0):
        electrons = torch.poisson(torch.full((200_000,), level / slope), generator=generator)
        noisy = slope * electrons + math.sqrt(offset) * torch.randn(200_000, generator=generator)
        spreads.append(encode(noisy / (4 * knee), knee).std().item())
    assert max(spreads) / min(spreads) < 1.1


def test_cell_means_keep_the_light_of_each_colour(packing):
    flat = flat_colour(4, packing)
    packed = pack(sampled(flat, packing), packing.cell)
    means = torch.nn.functional.conv2d(packed, cell_mean_weights(packing))
    assert torch.allclose(means, flat[..., :4, :4], atol=1e-6)


def test_the_simulator_draws_the_noise_it_tells():
    s = simulator(
        told_spread=0.0, told_above=0.0, hot_share=(1e-9, 2e-9), black_error_share=0.0, row_share_max=0.0
    )
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


@pytest.mark.parametrize(("share", "width"), [(0.0, 8.0), (1.0, 3.0), (1.0, 8.0)])
def test_rows_are_off_each_for_itself_or_alike_over_several(share, width):
    at_white = (2000.0, 2000.1)
    s = simulator(
        electrons_at_white=at_white,
        full_well_e=at_white,
        read_std_e=(20.0, 20.1),
        hot_share=(1e-9, 2e-9),
        row_share_max=1.0,
        band_share=share,
        band_lines=(width, width * 1.001),
    )
    batch = s.expose(torch.zeros(96, 3, 128, 96), torch.eye(3).expand(96, 3, 3))
    above_zero = batch.black[:, 0] > 200  # where nothing is cut off
    rows = batch.mosaic[above_zero, 0].mean(2)
    rows = rows - rows.mean(1, keepdim=True)
    spread = (rows.square().mean(1) / batch.mosaic[above_zero, 0].var((1, 2))).sqrt()
    assert spread.max().item() > 0.5
    strong = rows[spread > 0.3]
    by = round(width)
    alike = (strong[:, by:] * strong[:, :-by]).mean().item() / strong.square().mean().item()
    # Of white noise smoothed by a Gaussian of this width, exp(-1 / 4) one width away.
    assert alike == pytest.approx(share * math.exp(-0.25), abs=0.12)


@pytest.mark.parametrize(("electrons", "most"), [(4000.0, 0.0), (64_000.0, 3.0)])
def test_half_of_the_cleanest_pictures_are_told_too_much_noise(electrons, most):
    at_white = (electrons, electrons * (1 + 1e-6))
    s = simulator(told_spread=0.0, electrons_at_white=at_white, full_well_e=at_white)
    batch = s.expose(torch.full((256, 3, 8, 8), 0.3), torch.eye(3).expand(256, 3, 3))
    stops = (batch.shot[:, 0] * electrons).log2()
    assert stops.min().item() == pytest.approx(0, abs=1e-3)
    assert stops.max().item() == pytest.approx(most, abs=0.2)
    assert (stops > 1e-3).float().mean().item() == pytest.approx(0.5 if most else 0, abs=0.1)


def test_unprocessing_keeps_white_white_and_goes_above_it():
    s = simulator()
    scenes = torch.ones(64, 3, 32, 32)
    truth, to_srgb = s.unprocess(scenes, torch.zeros(64, dtype=torch.bool))
    assert truth.amax().item() > 3
    assert torch.allclose(to_srgb.sum(2), torch.ones(64, 3), atol=1e-4)


def test_some_scenes_are_of_strong_colours_and_half_are_as_they_were():
    grey = torch.rand(16, 1, 12, 12, generator=torch.Generator().manual_seed(1)).expand(-1, 3, -1, -1) + 0.1
    drawn = simulator()
    changed, coloured, one_alone = [], [], []
    for _ in range(64):
        scenes = drawn._coloured(grey)
        assert scenes.min() >= 0
        changed.append((scenes - grey).flatten(1).abs().amax(1) > 1e-6)
        means = scenes.mean((2, 3))
        coloured.append(means.amax(1) > 4 * means.amin(1))
        # What one colour shows is not what another does.
        flat = scenes - means[:, :, None, None]
        alike = torch.nn.functional.cosine_similarity(flat[:, 0].flatten(1), flat[:, 1].flatten(1))
        one_alone.append(alike < 0.7)
    assert 0.25 < torch.cat(changed).float().mean() < 0.4  # stronger colours leave grey as it is
    assert 0.12 < torch.cat(coloured).float().mean() < 0.3
    assert 0.02 < torch.cat(one_alone).float().mean() < 0.25


def test_a_picture_is_moved_by_parts_of_a_pixel():
    waves = torch.sin(torch.arange(40.0) / 3).expand(1, 2, 40, 40)
    right = moved(waves, torch.tensor([[[0.0, 0.0], [0.0, 1.25]]]))
    assert torch.equal(right[:, 0], waves[:, 0])
    wanted = torch.sin((torch.arange(40.0) - 1.25) / 3)
    assert (right[0, 1] - wanted)[:, 8:-8].abs().max() < 0.005
    down = moved(waves.transpose(2, 3), torch.tensor([[[1.25, 0.0], [-2.0, 0.0]]]))
    torch.testing.assert_close(down[:, 0], right[:, 1].transpose(1, 2))
    torch.testing.assert_close(down[:, 1, :-4], waves.transpose(2, 3)[:, 1, 2:-2])


@pytest.mark.parametrize("part", [0.0, 0.4, 0.75])
def test_a_value_between_pixels_is_sampled_where_it_lies(part):
    places = torch.arange(9.0) - 4
    weights = cubic((places - part).abs())
    assert weights.sum() == pytest.approx(1)
    assert (weights * places).sum() == pytest.approx(part, abs=1e-6)


def test_lenses_move_red_and_blue_apart_in_some_of_the_pictures_and_never_green():
    edge = torch.zeros(200, 3, 24, 24)
    edge[..., 12:] = 0.5
    shown = simulator()._lateral(edge)
    assert torch.equal(shown[:, 1], edge[:, 1])
    assert shown.min() >= 0
    change = (shown - edge).abs().amax((2, 3))
    assert 0.4 < (change[:, 0] > 1e-6).float().mean() < 0.8
    # How far each edge moved is what its picture has less of light; mostly the two go opposite ways.
    red, blue = ((shown - edge)[:, c, 8:-8].mean(1).sum(1) for c in (0, 2))
    assert 0.2 < red.abs().max() <= 0.8
    both = (red.abs() > 0.02) & (blue.abs() > 0.02)
    assert (red * blue < 0)[both].float().mean() > 0.7


def test_stars_are_small_sharp_and_in_some_of_the_pictures():
    drawn = simulator()
    skies = torch.cat([drawn._stars(8, 96, 128) for _ in range(32)])
    starry = skies.flatten(1).amax(1) > 0
    assert 0.2 < starry.float().mean() < 0.4
    brightest = skies[starry].flatten(1).amax(1)
    assert brightest.median() > 0.5
    # Skies of few stars and of many.
    light = (skies[starry] > 0.001).float().mean((1, 2, 3))
    assert light.quantile(0.8) > 2 * light.quantile(0.2)
    assert brightest.max() < 20
    # A few pixels wide: a star's own takes most of the light, and most of the sky is dark.
    assert ((skies[starry] > 0.01).float().mean((1, 2, 3)) < 0.35).all()
    means = skies[starry].sum((2, 3))
    assert (means.amax(1) < 3.1 * means.amin(1)).all()


def test_the_tukey_spread_is_that_of_the_numpy_sensor():
    from scotopic.sensor.simulated import tukey_std as oracle

    for shape in (-0.2, 0.1, 0.4):
        assert tukey_std(torch.tensor(shape)).item() == pytest.approx(oracle(shape), rel=1e-4)


@pytest.mark.parametrize(("squared", "weight"), [(False, ABOVE_WHITE), (True, ABOVE_WHITE**0.5)])
def test_light_above_white_weighs_less_and_by_its_root_where_differences_are_squared(squared, weight):
    def distance(given, truth):
        pictures = (torch.full((1, 3, 16, 16), v) for v in (given, truth))
        loss = encoded_loss(*pictures, torch.eye(3)[None], 4, squared=squared)
        return math.exp(loss.item()) - FLOOR

    above, below = (1.7, 1.5), (0.7, 0.5)
    full = [
        encode_for_loss(torch.tensor(high), 1).item() - encode_for_loss(torch.tensor(low), 1).item()
        for high, low in (above, below)
    ]
    ratio = distance(*above) / distance(*below)
    assert ratio / (full[0] / full[1]) == pytest.approx(weight, rel=1e-3)


@pytest.mark.parametrize("squared", [False, True])
def test_the_loss_is_zero_for_the_truth_alone_and_weighs_shadows(squared):
    target = torch.rand(2, 3, 32, 32)
    eye = torch.eye(3).expand(2, 3, 3)
    loss = partial(encoded_loss, grid=4, squared=squared)
    assert loss(target, target, eye).item() == pytest.approx(math.log(FLOOR), abs=1e-4)
    dark, bright = torch.full((1, 3, 16, 16), 0.01), torch.full((1, 3, 16, 16), 0.9)
    one = eye[:1]
    assert loss(dark + 0.01, dark, one) > loss(bright + 0.01, bright, one) + math.log(2)
    assert loss(target + 0.1, target, eye) > loss(target + 0.05, target, eye) > loss(target, target, eye)
    assert encode_for_loss(torch.tensor(1.0)).item() == pytest.approx(1)


def test_squares_weigh_few_large_errors_more_than_many_small_ones():
    truth = torch.full((1, 3, 64, 64), 0.3)
    small, few = truth + 0.01, truth.clone()
    few[..., 7::16, 7::16] += 0.4
    one = torch.eye(3)[None]
    apart = {
        squared: [encoded_loss(v, truth, one, 4, squared=squared).item() for v in (small, few)]
        for squared in (False, True)
    }
    assert apart[False][0] > apart[False][1]
    assert apart[True][0] < apart[True][1]


def test_no_error_at_all_has_a_slope():
    truth = torch.full((1, 3, 32, 32), 0.3)
    given = truth.clone().requires_grad_()
    encoded_loss(given, truth, torch.eye(3)[None], 4, squared=True).backward()
    assert torch.isfinite(given.grad).all()


def test_the_loss_minds_squares_more_than_the_same_errors_elsewhere():
    generator = torch.Generator().manual_seed(0)
    eye = torch.eye(3)[None]
    truth = 0.2 + 0.02 * torch.rand(1, 3, 64, 64, generator=generator)
    steps = 0.01 * torch.randn(1, 3, 16, 16, generator=generator)
    squares = steps.repeat_interleave(4, 2).repeat_interleave(4, 3)
    off_the_grid = squares.roll((2, 2), (2, 3))
    assert grid_strength(truth, 4).item() == pytest.approx(1, abs=0.1)
    assert grid_strength(truth + 2 * squares, 4).item() > 1.2
    losses = [encoded_loss(truth + 2 * v, truth, eye, 4).item() for v in (squares, off_the_grid)]
    assert losses[0] > losses[1] + 0.04


def test_crops_are_linear_and_in_range():
    data = CleanPhotos(find_photos(PHOTOS)[:3], 64, torch.device("cpu"))
    crops, hdr = data.batch(6, torch.Generator().manual_seed(0))
    assert crops.shape == (6, 3, 64, 64)
    assert 0 <= crops.min() <= crops.max() <= 1
    assert not hdr.any()


def test_crops_are_made_where_the_photos_are_and_nothing_of_them_stays_behind():
    # A graphics card's stand-in: tensors of "meta" have a place and no values.
    crops, hdr = CleanPhotos(find_photos(PHOTOS)[:1], 64, torch.device("meta")).batch(
        2, torch.Generator().manual_seed(0)
    )
    assert {crops.device.type, hdr.device.type} == {"meta"}


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


def test_a_recipe_survives_being_stored():
    for name in ("scotopic", "article", "paper"):
        recipe = recipe_named(name)
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_every_field_of_a_recipe_can_be_set_in_words():
    words = [
        "crop=256",
        "learning_rate=1",
        "compile=true",
        "noise.row_share_max=0.1",
        "architecture.middle=32",
    ]
    recipe = Recipe().changed_by_words(
        [*words, 'held_out=["a"]', "noise.read_std_e=[1, 2]", "schedule=step"]
    )
    assert (recipe.crop, recipe.learning_rate, recipe.compile) == (256, 1.0, True)
    assert (recipe.noise.row_share_max, recipe.architecture.middle) == (0.1, 32)
    assert (recipe.held_out, recipe.noise.read_std_e, recipe.schedule) == (("a",), (1.0, 2.0), "step")


@pytest.mark.parametrize(
    "word",
    [
        "crops=256",
        "crop",
        "crop=big",
        "noise=1",
        "noise.rows=1",
        "compile=1",
        "loss=l3",
        "crop=100",
        "batch=0",
        "seed=99999999999999999999999",
        "steps=" + "9" * 400,
        "learning_rate=" + "9" * 400,
        "learning_rate=1e999",
        "learning_rate=NaN",
        "learning_rate=0",
        "weight_decay=Infinity",
        "average_decay=1",
        "noise.row_share_max=-1",
        "noise.row_share_max=NaN",
        "noise.band_share=2",
        "noise.band_lines=[0, 16]",
        "noise.band_lines=[16, 1]",
        "noise.read_std_e=[1]",
        "noise.full_well_e=[1, Infinity]",
        "noise.tukey_lambda=[-0.6, 0.2]",
        "noise.bits=64",
        "architecture.fine=1000000",
        "architecture.bottom_blocks=1000",
        "architecture.inner=[1, 2, 3, 4, 1000000]",
    ],
)
def test_unknown_fields_and_values_are_errors(word):
    with pytest.raises(SettingsError):
        Recipe().changed_by_words([word])


def test_the_recipes_are_those_of_the_article_and_the_paper():
    article, paper = recipe_named("article"), recipe_named("paper")
    assert (article.loss, article.epochs, article.batch, article.crop) == ("mse", 400, 1, 512)
    assert (article.learning_rate, article.schedule) == (1e-4, "constant")
    assert (paper.loss, paper.epochs, paper.batch, paper.crop) == ("l1", 4000, 1, 1024)
    assert (paper.learning_rate, paper.final_rate, paper.schedule) == (1e-4, 1e-5, "step")
    assert article.kind == paper.kind == "srgb"
    assert sum(p.numel() for p in build(paper).net.parameters()) == pytest.approx(7.76e6, rel=0.01)
    with pytest.raises(SettingsError, match="no recipe"):
        recipe_named("other")


def test_the_paper_network_to_linear_light_gives_its_own_and_leaves_lamps_to_the_plain_demosaic():
    recipe = Recipe(network="paper-linear")
    assert recipe.kind == "linear"
    graph = build(recipe).eval()
    batch = simulator(3).expose(torch.rand(2, 3, 96, 96).clamp_min(0.2), torch.eye(3).repeat(2, 1, 1))
    level = batch.black[:, :1, None, None]
    mosaic = level + (batch.mosaic - level) * 0.5
    mosaic[:, :, 32:64, 32:64] = batch.white[:, :1, None, None]
    own = torch.rand(2, 3, 96, 96)

    class Given(torch.nn.Module):
        def forward(self, planes):
            assert planes.shape == (2, 4, 48, 48)
            assert planes.min() >= 0
            assert planes.max() <= 1
            return (own,)

    graph.net = Given()
    with torch.no_grad():
        rgb, plain = graph(mosaic, *batch.inputs()[1:])
    torch.testing.assert_close(rgb[..., :24, :24], own[..., :24, :24], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rgb[..., 40:56, 40:56], plain[..., 40:56, 40:56], rtol=1e-4, atol=1e-4)


def test_a_checkpoint_that_was_damaged_is_known_and_the_one_before_is_used(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, Checkpoint({"a": torch.full((64,), float(step))}, {"step": step}))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["step-00000002.safetensors", "step-00000003.safetensors"]
    assert checkpoint.load_last(tmp_path).facts["step"] == 3
    last = tmp_path / names[1]
    whole = bytearray(last.read_bytes())
    whole[-5] ^= 1
    last.write_bytes(whole)
    said = []
    found = checkpoint.load_last(tmp_path, said.append)
    assert found.facts["step"] == 2
    assert torch.equal(found.tensors["a"], torch.full((64,), 2.0))
    assert "step-00000003" in said[0]
    last.write_bytes(whole[:100])
    assert checkpoint.load_last(tmp_path).facts["step"] == 2
    # What follows a fall-back has a spare of its own, and the damaged one goes.
    for step in (3, 4):
        checkpoint.save(tmp_path, step, Checkpoint({"a": torch.ones(2)}, {"step": step}))
    assert sorted(p.name[-6 - len(".safetensors") :] for p in tmp_path.iterdir()) == [
        "000003.safetensors",
        "000004.safetensors",
    ]
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no checkpoint is sound"):
        checkpoint.load_last(tmp_path)
    assert checkpoint.load_last(tmp_path / "none") is None


def test_what_somebody_keeps_among_checkpoints_is_left_alone(tmp_path):
    own = {"best.safetensors", "notes.txt", "step-best.safetensors", "before"}
    (tmp_path / "before").mkdir()
    for name in own - {"before"}:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".scotopic-1-0123456789abcdef.part").write_text("what a kill left")
    for step in (1, 2, 100_000_000):
        checkpoint.save(tmp_path, step, Checkpoint({"a": torch.ones(2)}, {"step": step}))
    assert {p.name for p in tmp_path.iterdir()} - own == {
        "step-00000002.safetensors",
        "step-100000000.safetensors",
    }
    assert own <= {p.name for p in tmp_path.iterdir()}
    assert checkpoint.load_last(tmp_path).facts["step"] == 100_000_000


def test_batches_made_ahead_are_the_same_and_errors_come_through():
    def make(seed: int) -> int:
        if seed == 5:
            raise DatasetError("the fifth")
        return seed * seed

    for depth in (0, 1, 3):
        assert list(ahead(make, iter(range(5)), depth)) == [0, 1, 4, 9, 16]
        with pytest.raises(DatasetError, match="the fifth"):
            list(ahead(make, iter(range(9)), depth))
    endless = ahead(make, iter(lambda: 2, None), 2)
    assert next(endless) == 4
    endless.close()
    assert not [t for t in threading.enumerate() if t.name == "scotopic-batches"]

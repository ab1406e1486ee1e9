from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from scotopic.formats import jpeg
from scotopic.formats.icc import profile
from scotopic.metadata import Exif


def content() -> dict[str, bytes]:
    exif = Exif({0x010F: "Maker", 0x010E: "words"}, {}, {}).to_bytes(9, 7, "scotopic", srgb=True)
    return {"exif": exif, "icc": profile("srgb"), "xmp": b"<x:xmpmeta/>"}


def picture(rng, height: int, width: int) -> np.ndarray:
    ramp = np.linspace(0, 200, height * width * 3).reshape(height, width, 3)
    return (ramp + rng.uniform(0, 55, (height, width, 3))).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (256, 40), (257, 33), (700, 129), (2600, 17), (20, 9000)])
def test_strips_joined_by_restart_markers_decode_to_what_one_encoder_gives(rng, size):
    shown = picture(rng, *size)
    encoded = jpeg.encode(shown, 95, **content())
    alone = io.BytesIO()
    Image.fromarray(shown).save(alone, "JPEG", quality=95, subsampling="4:4:4")
    with Image.open(io.BytesIO(encoded)) as ours, Image.open(alone) as theirs:
        assert ours.size == theirs.size
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert (b"\xff\xd0" in encoded) == (size[0] > 256)


def test_exif_profile_and_words_are_where_readers_look(rng):
    about = content()
    with Image.open(io.BytesIO(jpeg.encode(picture(rng, 300, 40), 95, **about))) as image:
        assert image.getexif()[0x010F] == "Maker"
        assert image.info["icc_profile"] == about["icc"]
        assert image.info["xmp"] == about["xmp"]
        assert image.info["jfif_version"] == (1, 1)


def test_a_profile_longer_than_a_segment_is_cut_and_joined(rng):
    about = {**content(), "icc": rng.bytes(150_000)}
    with Image.open(io.BytesIO(jpeg.encode(picture(rng, 16, 16), 95, **about))) as image:
        assert image.info["icc_profile"] == about["icc"]


def test_what_does_not_fit_a_jpeg_is_refused(rng):
    with pytest.raises(ValueError, match="too many for JPEG"):
        jpeg.encode(np.zeros((70_000, 1, 3), np.uint8), 95, **content())
    with pytest.raises(ValueError, match="metadata"):
        jpeg.encode(picture(rng, 8, 8), 95, **{**content(), "exif": bytes(70_000)})

"""Finished photos, JPEG and PNG, as training, simulation and evaluation take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.disk.files import check_there
from scotopic.errors import DatasetError


def load_srgb(path: Path) -> npt.NDArray[np.uint8]:
    """A picture as 8-bit sRGB (H, W, 3).

    Raises DatasetError for a file that is none, and for one of more pixels than Pillow takes.
    """
    check_there(path)
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip and not scale
                grey = (np.asarray(image, np.float32) / 257).round().clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise DatasetError(
            f"{path}: has more than the {most:.0f} million pixels that are taken; shrink it first"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        # Pillow raises SyntaxError for broken parts of a PNG, ValueError for those of sizes that cannot be.
        raise DatasetError(f"{path}: is no picture that can be read ({error})") from error

"""scotopic: RAW photos shot in near darkness, as a long exposure would have given them.

>>> import scotopic
>>> mosaic = scotopic.read("IMG_1.ARW")                       # doctest: +SKIP
>>> linear = scotopic.enhance(mosaic, scotopic.Model())       # doctest: +SKIP
>>> scotopic.write("IMG_1.jpg", scotopic.develop(linear), "jpg")  # doctest: +SKIP
"""

import os

# ONNX Runtime's official builds tell their maker which models run where, and keep a number for this machine, on
# Linux and macOS too, unless this is set before they are loaded (microsoft/onnxruntime, pull request 27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from scotopic.signals import end_at_once, is_command

if is_command():
    # Before all that takes its time to import; whoever imports the package keeps handlers of their own.
    end_at_once()

from scotopic.balance import balanced
from scotopic.develop import develop
from scotopic.dng.origin import read_origin
from scotopic.dng.write import write_linear
from scotopic.enhance import enhance, finished, plan, sensor_of
from scotopic.errors import ScotopicError
from scotopic.frame import Linear, Mosaic, NoiseProfile, Rendered
from scotopic.read import read, read_mosaic
from scotopic.reference import ReferenceFrame
from scotopic.run import Model, Models
from scotopic.version import __version__
from scotopic.write import encode, write

__all__ = [
    "Linear",
    "Model",
    "Models",
    "Mosaic",
    "NoiseProfile",
    "ReferenceFrame",
    "Rendered",
    "ScotopicError",
    "__version__",
    "balanced",
    "develop",
    "encode",
    "enhance",
    "finished",
    "plan",
    "read",
    "read_mosaic",
    "read_origin",
    "sensor_of",
    "write",
    "write_linear",
]

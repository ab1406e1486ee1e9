"""The version, and how files name what made them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("scotopic")
except PackageNotFoundError:  # a bare source tree
    __version__ = "0"

SOFTWARE = f"scotopic {__version__}"

"""DNG files: read beside LibRaw (`page`, `tags`, `pixels`, `read`), and written (`write`, `light`, `origin`)."""

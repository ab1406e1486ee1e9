"""DNG files: read beside LibRaw (`directory`, `tags`, `pixels`, `read`), and written (`write`, `light`, `origin`)."""

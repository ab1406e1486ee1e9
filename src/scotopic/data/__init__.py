"""Photos and pairs of exposures on disk, for training and evaluation."""

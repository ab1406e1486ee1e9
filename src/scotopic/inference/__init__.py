"""What runs a network's graph: runtimes, devices, tiles and views; `run.py` puts them together."""

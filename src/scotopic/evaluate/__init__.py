"""Measuring against known truth: scenes, sensors, methods, figures."""

"""Measurements of the product, each against a yardstick of the same minutes: `python -m benchmarks.intake`, `benchmarks.tick`."""

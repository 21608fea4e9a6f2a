"""Measurements of the product, each against a yardstick that runs in the same minutes: `python -m benchmarks.intake`."""

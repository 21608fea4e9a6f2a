"""What holds for every test: a slow machine is no reason for a property to fail."""

from hypothesis import Phase, settings

settings.register_profile("any machine", deadline=None)
# `make mutation` runs every test very often: few examples, the same ones each time, and no search for the smallest
settings.register_profile(
    "mutation", deadline=None, max_examples=20, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("any machine")

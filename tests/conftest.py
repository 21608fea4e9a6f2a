"""What holds for every test: a slow machine is no reason for a property to fail."""

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

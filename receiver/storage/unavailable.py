"""What every store says when it cannot serve."""


class StoreUnavailable(Exception):
    """The store cannot take this now: locked, read-only, full or gone. Nothing was written."""

"""Article 58 and its neighbours as pure functions over plain values: no I/O but the rulebooks, no clock, no logging."""

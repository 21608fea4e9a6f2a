"""Stand-ins for the systems we write to. They keep state, are strict about what they are sent, and fail on command."""

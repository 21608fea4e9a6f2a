"""art58-receiver: from an alert to the question "is this a 重大な事故 under Article 58?", with its arithmetic."""

__version__ = "0.1.0"

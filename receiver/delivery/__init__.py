"""What is owed to whom: plan it from assessments, say it, send it once, and know when it did not arrive."""

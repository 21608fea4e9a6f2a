"""From notifications to verdicts: derive alerts, correlate them into incidents, follow these, assess their impacts."""

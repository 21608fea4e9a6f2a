"""The demonstration behind `make demo`: a simulated operator, real Prometheus and Alertmanager, the real receiver."""

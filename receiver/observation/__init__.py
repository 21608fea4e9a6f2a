"""What we ask of Prometheus: users hit, and since when. Never on the request path; every failure is an answer of its own."""

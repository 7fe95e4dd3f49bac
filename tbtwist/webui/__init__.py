"""The manager's HTTP side: JSON API, Prometheus endpoint and web UI (contract §5)."""

"""Speed, each peer beside us in the same run: ``python -m benchmarks``."""

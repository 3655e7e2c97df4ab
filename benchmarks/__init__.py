"""Times models, data loading, metrics and parts of a training step; each script runs as ``python -m benchmarks.X``."""

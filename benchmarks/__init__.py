"""What does tracegate cost, beside doing nothing and beside its peers? Run ``python -m benchmarks``."""

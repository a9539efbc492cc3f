"""One run, from configuration to result, by Lightning's Trainer. Knows nothing of sweeps."""

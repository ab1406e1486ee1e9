"""What sensors do to counts: patterns, levels, faults put right, and sensors simulated."""

"""Everything in one background thread of somebody else's program (contract §8)."""

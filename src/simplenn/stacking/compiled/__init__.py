"""A stack's epoch as one compiled call: a faster mode with a tolerance."""

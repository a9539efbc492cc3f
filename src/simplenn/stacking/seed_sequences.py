"""NumPy's `SeedSequence` for many seeds at once, bit for bit: one by one they take as long as what they seed.

The algorithm is M. E. O'Neill's seed_seq_fe (pcg-random.org, "Developing a seed_seq Alternative"), as in NumPy's
bit_generator.pyx, which promises to keep it. Shapes: S seeds.
"""

from collections.abc import Sequence

import numpy as np

POOL = 4  # words
START_OF_MIXING, FACTOR_OF_MIXING = 0x43B0D7E5, 0x931E8875
START_OF_STATE, FACTOR_OF_STATE = 0x8B51F9DD, 0x58F38DED
LEFT, RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
WORD = 2**32

Words = np.ndarray  # uint32, [S], or [1] where all seeds have the same


class _Hash:
    """Hashes words, each by another constant than the one before."""

    def __init__(self, start: int, factor: int) -> None:
        self._constant, self._factor = start, factor

    def __call__(self, words: Words) -> Words:
        words = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor % WORD
        return _folded(words * np.uint32(self._constant))


def states(seeds: Sequence[int], number: int) -> np.ndarray:
    """[S] of uint64: `SeedSequence([seed, number]).generate_state(1, uint64)[0]` for each seed, below 2^32 as they are
    and `number` is."""
    nothing = np.zeros(1, np.uint32)
    mixing = _Hash(START_OF_MIXING, FACTOR_OF_MIXING)
    pool = [mixing(word) for word in (np.array(seeds, np.uint32), np.array([number], np.uint32), nothing, nothing)]
    for source in range(POOL):
        for place in range(POOL):
            if place != source:
                pool[place] = _folded(LEFT * pool[place] - RIGHT * mixing(pool[source]))
    of_state = _Hash(START_OF_STATE, FACTOR_OF_STATE)
    low, high = (of_state(word).astype(np.uint64) for word in pool[:2])
    return high << np.uint64(32) | low


def _folded(words: Words) -> Words:
    return words ^ words >> np.uint32(16)

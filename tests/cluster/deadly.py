"""A network that ends the process that builds it, if that is a worker's."""

import multiprocessing
import os

from simplenn.network import SimpleNN


class Deadly(SimpleNN):
    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, activation="tanh")
        if multiprocessing.parent_process() is not None:
            os._exit(7)

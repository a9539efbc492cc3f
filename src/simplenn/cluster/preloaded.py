"""What the process imports, once, that the workers of this machine are forked from. It must run no operation of
torch's: the threads that these start would not survive a fork."""

import simplenn  # before torch: it sets what torch's libraries read as they are loaded

# isort: split
import distributed
import lightning.pytorch

import simplenn.cluster.working
import simplenn.stacking

__all__ = ["distributed", "lightning", "simplenn"]

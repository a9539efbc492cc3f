"""How far a sweep is whose stacks train in other processes, several at a time."""

from simplenn.training.progress import SweepProgress


class RemoteProgress(SweepProgress):
    """One bar, or a line every 10 %, over stacks that are told of by `told` and `ended`."""

    def __init__(self, style: str) -> None:
        super().__init__(style)
        self._training: dict[int, int] = {}  # epochs of all runs that the stacks in training have done, by stack

    def told(self, stack: int, done: int, num_runs: int, epoch: int, num_epochs: int, losses: str) -> None:
        """Of `num_runs` runs of the stack, which together have done so many epochs, of all of its runs, by now."""
        if self._bar is not None:
            self._bar.start()
        self._training[stack] = done
        self._done = self._before + sum(self._training.values())
        self._num_stacks = stack
        self._show(num_runs, epoch, num_epochs, losses)

    def ended(self, stack: int, num_runs: int, run_epochs: int) -> None:
        """`run_epochs` are those that count as done: all of them, unless its worker was lost."""
        self._training.pop(stack, None)
        self._before += run_epochs
        self._finished_runs += num_runs
        self._done = self._before + sum(self._training.values())
        self.close()

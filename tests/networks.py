"""Networks and data modules as users write them, the odd ones among them."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.data import TensorDataset

from simplenn.data import EpochBatches, SumDataModule

HIDDEN = 6


class Plain(nn.Module):
    """Linear, tanh, Linear; the parts that others change."""

    def __init__(self, num_features: int = 3, **_: Any) -> None:
        super().__init__()
        self.layer1 = nn.Linear(num_features, HIDDEN)
        self.layer2 = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(torch.tanh(self.layer1(x)))


class Mask(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.mask = (torch.rand(HIDDEN) > 0.5).float()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(torch.tanh(self.layer1(x)) * self.mask)


class Order(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.order = random.sample(range(3), 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, self.order] * torch.tensor([1.0, 2.0, 3.0]))


class Scale(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 1 + np.random.rand()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale)


class RandomActivation(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.activation = random.choice([torch.tanh, torch.relu, torch.sigmoid])

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.activation(self.layer1(x)))


class RandomFeatures(Plain):
    def __init__(self) -> None:
        super().__init__()
        directions = torch.randn(3, 3)
        self.features = lambda x: torch.cos(x @ directions)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.features(x))


class LessInitial(Plain):
    """Its output at first subtracted."""

    def __init__(self) -> None:
        super().__init__()
        self.weights_at_first = [weight.detach().clone() for weight in self.parameters()]

    def forward(self, x: Tensor) -> Tensor:
        w1, b1, w2, b2 = self.weights_at_first
        return super().forward(x) - torch.tanh(x @ w1.T + b1) @ w2.T + b2


class ListOfLayers(Plain):
    """A layer that isn't registered, and so is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.extra = [nn.Linear(3, 3)]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.extra[0](x))


class OfTheClass(Plain):
    """Keeps on the class what it has drawn."""

    mask = torch.ones(HIDDEN)

    def __init__(self) -> None:
        super().__init__()
        OfTheClass.mask = torch.rand(HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(torch.tanh(self.layer1(x)) * OfTheClass.mask)


class BatchNorm(Plain):
    def __init__(self, running: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(HIDDEN, track_running_stats=running)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(torch.tanh(self.norm(self.layer1(x))))


class LayerNorm(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.norm(torch.tanh(self.layer1(x))))


class MovingAverage(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.average = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        self.average: Any = 0.9 * self.average + 0.1 * out.detach().mean()
        return out - 0.1 * self.average


class CountsCalls(Plain):
    """Cools down from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * (1 + 1 / self.calls)


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(HIDDEN), nn.Tanh(), nn.LazyLinear(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Embedding(nn.Module):
    def __init__(self, padding_idx: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, HIDDEN, padding_idx=padding_idx)
        self.last = nn.Linear(3 * HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.embedding(x.long()).flatten(1)))


class Attention(nn.Module):
    """Over the features as a sequence."""

    def __init__(self, own: bool = True) -> None:
        super().__init__()
        self.own = own
        self.first = nn.Linear(1, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True) if own else nn.Linear(4, 12)
        self.last = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.unsqueeze(-1))
        if self.own:
            x = self.attention(x, x, x, need_weights=False)[0]
        else:
            q, k, v = self.attention(x).chunk(3, dim=-1)
            x = functional.scaled_dot_product_attention(q, k, v)
        return self.last(x.flatten(1))


class Recurrent(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.recurrent = getattr(nn, kind)(1, 4, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.recurrent(x.unsqueeze(-1))[0][:, -1])


class OwnRecurrence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(5, 4)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 4)
        for i in range(x.shape[1]):
            state = torch.tanh(self.cell(torch.cat([x[:, i : i + 1], state], dim=1)))
        return self.last(state)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.last = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.decode(torch.tanh(self.encode(x))))


class Parametrized(Plain):
    def __init__(self, kind: str) -> None:
        super().__init__()
        getattr(parametrizations, kind)(self.layer1)


class Hooked(Plain):
    """`kind` says which of torch's hooks."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind == "forward":
            self.layer1.register_forward_hook(_raised)
        elif kind == "backward":
            self.layer1.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0],))
        else:
            self.layer1.weight.register_hook(_halved)


def _raised(module: nn.Module, inputs: Any, output: Any) -> Tensor:
    return output * 1.5


def _halved(grad: Tensor) -> Tensor:
    return grad * 0.5


class InPlace(Plain):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer1(x.mul_(0.5))
        hidden[:, 0] += 1
        return self.layer2(hidden.tanh_() + 0.1)


class Clamped(Plain):
    """Keeps its own weights small as it is run."""

    def forward(self, x: Tensor) -> Tensor:
        self.layer1.weight.data.clamp_(-0.3, 0.3)
        return super().forward(x)


class Alive(Plain):
    """Draws anew until its units are alive."""

    def __init__(self) -> None:
        super().__init__()
        while (self.layer1.bias < -0.2).any():
            self.layer1.reset_parameters()


class Scalar(Plain):
    """A weight without dimensions, and one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.shift = nn.Parameter(torch.rand(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * super().forward(x) + self.shift


class Penalised(Plain):
    """Keeps its weights in a plain list too, out of the reach of `functional_call`."""

    def __init__(self) -> None:
        super().__init__()
        self.penalised = [self.layer1.weight, self.layer2.weight]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-6 * sum((weight**2).sum() for weight in self.penalised)


class Dropout(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(functional.dropout(torch.tanh(self.layer1(x)), 0.1, self.training))


class Halves(nn.Module):
    """While it trains."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5 if self.training else x


class EvalPart(Plain):
    """A part set to eval() for good, by `once` in the constructor, else by each `train`."""

    def __init__(self, once: bool) -> None:
        super().__init__()
        self.once = once
        self.part = Halves().train(not once)

    def train(self, mode: bool = True) -> "EvalPart":
        super().train(mode)
        if not self.once:
            self.part.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.part(torch.tanh(self.layer1(x))))


class OwnRandom(Plain):
    """Draws now and then from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(random.random())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1.5 if self.random.random() < 0.03 else 1.0)


class TwoPrecisions(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.layer2.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(torch.tanh(self.layer1(x)).double())


class NumpyNoise(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + float(np.random.rand()) if self.training else x)


class Branch(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > self.layer1.weight.sum() else -x)


class Unused(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(3, 3)


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(1))


class FromGlobalState(SumDataModule):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        x = torch.rand(self.num_train, 3)
        self.train = TensorDataset(x, x.sum(dim=1, keepdim=True))


class FromItsRunsSeed(SumDataModule):
    def setup(self, stage: str) -> None:
        self.seed = self.shuffle_seed
        super().setup(stage)


class FromItsRunsHundred(SumDataModule):
    def setup(self, stage: str) -> None:
        self.seed = self.shuffle_seed // 100
        super().setup(stage)


class Unseeded(SumDataModule):
    def setup(self, stage: str) -> None:
        self.seed = int(np.random.default_rng().integers(1000))
        super().setup(stage)


class Changed(TensorDataset):
    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)
        return x + 0.1 * torch.randn_like(x), y


class ChangesSamples(SumDataModule):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        assert self.train is not None
        self.train = Changed(*self.train.tensors)


class Reversed(EpochBatches):
    def __iter__(self) -> Any:
        return reversed(list(super().__iter__()))


class OwnBatches(SumDataModule):
    make_batches = Reversed


class OwnBatchesSet(SumDataModule):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.make_batches = Reversed


class OwnLoader(SumDataModule):
    def train_dataloader(self) -> Any:
        return super().train_dataloader()


class NoisyTransfer(SumDataModule):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] * 1.1, batch[1]


class Products(SumDataModule):
    """Ordinary data of a user's own."""

    def setup(self, stage: str) -> None:
        x = torch.rand(64, 3, generator=torch.Generator().manual_seed(self.seed))
        y = x.prod(dim=1, keepdim=True)
        self.train, self.val = TensorDataset(x[:48], y[:48]), TensorDataset(x[48:], y[48:])


class Deeper(nn.Module):
    """A user's network: another shape, another activation, a weight of its own."""

    def __init__(self, num_features: int = 3, hidden: int = 8, frozen: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.scale = nn.Parameter(torch.rand(hidden), requires_grad=not frozen)
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x) * self.scale)


class Scaled(nn.Module):
    """A network with a parameter that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * self.scale


class Tokens(nn.Module):
    """Whole numbers, indexing, attention, a norm, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.attention = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.last = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embedding(x.abs().long().clamp(max=9))
        seen, _ = self.attention(tokens, tokens, tokens)
        return self.last(self.norm(seen + tokens).flatten(1))


class Overwriting(nn.Module):
    """It writes into a part of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        scaled = x.clone()
        scaled[:, 0] *= 2
        scaled[:, 1:] += 1
        return self.layer(scaled)


class HalfFrozen(nn.Module):
    """The first of its layers isn't trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 1)
        self.first.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


class SetsTheSeed(Plain):
    """All of its runs begin with the same weights."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__()


class Rescaled(Plain):
    """Its first weights are drawn, then multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1.weight.data.mul_(0.1)


class EvaluationOnly(nn.Module):
    """Answers otherwise in evaluation than in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if self.training else self.layer(x) + 1

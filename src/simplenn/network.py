"""The tutorial's network. Knows nothing of training.

Shapes: B batch, F input features, H hidden units.
"""

from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class SimpleNN(nn.Module):
    """Linear F -> H, an activation, Linear H -> 1.

    `activation` is one of `relu`, `sigmoid` and `tanh`; any other raises `KeyError`.
    """

    def __init__(self, num_features: int = 3, hidden: int = 4, activation: str = "relu") -> None:
        super().__init__()
        self.layer1 = nn.Linear(num_features, hidden)
        self.activation = ACTIVATIONS[activation]()
        self.layer2 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F] -> [B, 1]: the forward pass."""
        return self.layer2(self.activation(self.layer1(x)))

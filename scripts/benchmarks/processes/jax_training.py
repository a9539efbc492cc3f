"""JAX's side of `benchmarks training`: the same training by `jit(vmap(scan))`, with optax's Adam.

Prints the seconds of 10,000 runs as JSON, one number per repeat, after a training that compiles. JAX takes as many
threads as it likes. Random numbers are numpy's, of the same distribution as the project's.

Shapes: R runs, S seeds, T epochs, K steps an epoch, N samples, B batch, F features, H hidden units.
"""
# pyright: reportMissingImports=false

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

NUM_RUNS, NUM_SEEDS = 10_000, 100
Params = dict[str, Any]


def loss_and_mae(params: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[B, F], [B, 1] -> mean squared and mean absolute error of the tutorial's network."""
    hidden = jax.nn.relu(x @ params["w1"].T + params["b1"])
    error = hidden @ params["w2"].T + params["b2"] - y
    return jnp.mean(error**2), jnp.mean(jnp.abs(error))


def trainer(x: jax.Array, y: jax.Array, num_epochs: int) -> Callable[..., Any]:
    """One run: (params, lr, order [T, K, B], or `None` for the full batch) -> (params, losses [T], maes [T])."""

    def train(params: Params, lr: jax.Array, order: jax.Array | None) -> Any:
        rule = optax.adam(lr)

        def step(state: Any, batch: jax.Array | None) -> Any:
            params, slots = state
            own = (x, y) if batch is None else (x[batch], y[batch])
            metrics, grads = jax.value_and_grad(loss_and_mae, has_aux=True)(params, *own)
            updates, slots = rule.update(grads, slots)
            return (optax.apply_updates(params, updates), slots), metrics

        def epoch(state: Any, batches: jax.Array) -> Any:
            state, (losses, maes) = jax.lax.scan(step, state, batches)
            return state, (losses.mean(), maes.mean())

        begin = (params, rule.init(params))
        (params, _), (losses, maes) = jax.lax.scan(step if order is None else epoch, begin, order, length=num_epochs)
        return params, losses, maes

    return train


def initial(num_features: int = 3, num_hidden: int = 4) -> Params:
    """Uniform initial weights as torch.nn.Linear draws them, [R, ...]."""
    rng = np.random.default_rng(0)
    shapes = {
        "w1": (num_features, (num_hidden, num_features)),
        "b1": (num_features, (num_hidden,)),
        "w2": (num_hidden, (1, num_hidden)),
        "b2": (num_hidden, (1,)),
    }
    return {
        name: jnp.asarray(rng.uniform(-(fan_in**-0.5), fan_in**-0.5, (NUM_RUNS, *shape)), jnp.float32)
        for name, (fan_in, shape) in shapes.items()
    }


def post(num_epochs: int = 100) -> Callable[[], Any]:
    """`experiment=post`: 3 samples, full batch. The call trains all runs and waits for them."""
    x = jnp.arange(3.0)[:, None] + jnp.arange(1.0, 4.0)
    train = jax.jit(jax.vmap(trainer(x, x.sum(axis=1, keepdims=True), num_epochs), in_axes=(0, 0, None)))
    params, lr = initial(), jnp.logspace(-4, -1, NUM_RUNS)
    return lambda: jax.block_until_ready(train(params, lr, None))


def addition(num_epochs: int = 40, num_samples: int = 256, batch_size: int = 32) -> Callable[[], Any]:
    """`data=sum`: 8 batches an epoch, in the order of each run's seed.

    Mapped over seeds and, within each, over its runs: mapped once over runs, each with an order of its own, JAX takes
    more than twice as long.
    """
    rng = np.random.default_rng(1)
    x = jnp.asarray(5 * rng.random((num_samples, 3)), jnp.float32)
    orders = [[rng.permutation(num_samples) for _ in range(num_epochs)] for _ in range(NUM_SEEDS)]
    order = jnp.asarray(np.array(orders, np.int32).reshape(NUM_SEEDS, num_epochs, -1, batch_size))
    params, lr = jax.tree.map(
        lambda leaf: leaf.reshape(NUM_SEEDS, NUM_RUNS // NUM_SEEDS, *leaf.shape[1:]),
        (initial(), jnp.logspace(-4, -1, NUM_RUNS)),
    )
    one = trainer(x, x.sum(axis=1, keepdims=True), num_epochs)
    train = jax.jit(jax.vmap(jax.vmap(one, in_axes=(0, 0, None))))
    return lambda: jax.block_until_ready(train(params, lr, order))


def seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


WORK = {"post": post, "sum": addition}


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("work", choices=WORK)
    arguments.add_argument("--repeat", type=int, default=1, metavar="N", help="trainings to measure (1)")
    return arguments


def main() -> None:
    arguments = parser().parse_args()
    train = WORK[arguments.work]()
    train()  # compiles
    print(json.dumps([round(seconds(train), 4) for _ in range(arguments.repeat)]))


if __name__ == "__main__":
    main()

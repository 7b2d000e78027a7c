"""Muon: steps in which every direction of a matrix moves equally far.

The rule of this file: a convolution is a matrix of its output channels times all that each of them sees, which is
why torch's own Muon, for plain matrices alone, does not serve; what is no matrix, or hardly one, is Adam's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

NARROW = 16
"""Matrices with fewer rows or columns have too few directions to even out."""

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration by Jordan et al. (2024): quick to near 1 rather than exactly there."""


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal for matrices, Adam with decoupled decay for all other parameters.

    Parameters
    ----------
    parameters : iterable of nn.Parameter or of dict
        Parameters, or groups of them, as for every optimizer of torch.
    lr : float
        Of both kinds: a matrix's step is scaled to the size of Adam's (Liu et al. 2025), so a rate found for
        Adam serves.
    betas : tuple of float
        Adam's.
    momentum : float
        Of matrices, after Nesterov.
    weight_decay : float
        Decoupled from the gradient.

    Notes
    -----
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu et al., "Muon is scalable
    for LLM training" (2025). Not in the paper of OIS: a means to train the compact preset with little compute.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        if closure is not None:
            raise NotImplementedError("This optimizer takes one look at the gradient; call step() without a closure.")
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                change = self._orthogonal if is_matrix(parameter) else self._adaptive
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(change(parameter, gradient, group), alpha=-group["lr"])

    def _orthogonal(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"]).reshape(len(parameter), -1)
        # An orthogonal matrix's elements are 1 / sqrt(longer side) in the mean, Adam's steps about 0.2.
        return (orthogonal(ahead) * 0.2 * max(ahead.shape) ** 0.5).view_as(parameter)

    def _adaptive(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["steps"] = torch.zeros(())
        state["steps"] += 1
        steps, (first, second) = float(state["steps"]), group["betas"]
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        size = (state["square"] / (1 - second**steps)).sqrt_().add_(1e-8)
        return state["mean"] / size / (1 - first**steps)


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter moves by orthogonal steps; convolutions are matrices, vectors and narrow heads are not."""
    return parameter.ndim >= 2 and min(len(parameter), parameter[0].numel()) >= NARROW


def orthogonal(matrix: Tensor, *, rounds: int = 5) -> Tensor:
    """The nearest matrix whose rows, or columns where these are fewer, are orthogonal and of length 1; nearly.

    Parameters
    ----------
    matrix : (M, N) float tensor
    rounds : int
        Of the Newton-Schulz iteration; five bring singular values of more than a hundredth of the matrix's norm
        to between about 0.6 and 1.3, whatever they were.

    Returns
    -------
    (M, N) float tensor
    """
    a, b, c = _QUINTIC
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    # Every round multiplies from the left by a polynomial of the square: all of them are found among small square
    # matrices, and the wide one is multiplied once, which takes two fifths of the time.
    square = wide @ wide.T
    unit = torch.eye(len(square), dtype=square.dtype, device=square.device)
    product = unit
    for number in range(rounds):
        factor = a * unit + b * square + c * (square @ square)
        product = factor @ product
        if number < rounds - 1:
            square = factor @ square @ factor
    found = product @ wide
    return found.T if is_tall else found

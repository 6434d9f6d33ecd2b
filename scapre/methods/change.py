"""The change of one projection in compact form."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..linalg import product


@dataclass(frozen=True)
class Change:
    """W' - W = coefficients Qᵀ + diag(rows) W: within the span of the token states, but for a scale of each row.

    Attributes:
        coefficients: (n, k) in the basis Q of the token states.
        rows: (n, 1), or None where the method scales no rows.
        norm: Frobenius norm of the change.
    """

    coefficients: Tensor
    rows: Tensor | None
    norm: float

    def dense(self, weight: Tensor, basis: Tensor) -> Tensor:
        """The change itself, (n, d), for the W (n, d) and Q (d, k) it was computed from."""
        change = product(self.coefficients, basis.T)
        return change if self.rows is None else change.addcmul_(self.rows, weight)

    def respond(self, states: Tensor, response: Tensor) -> Tensor:
        """(W' - W) q for columns q.

        Args:
            states: (k, q) the columns in the basis.
            response: (n, q) W q.
        """
        moved = product(self.coefficients, states)
        return moved if self.rows is None else moved.addcmul_(self.rows, response)

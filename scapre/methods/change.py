"""The change of one matrix in compact form."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..linalg import product


@dataclass(frozen=True)
class Change:
    """W' - W = coefficients Qᵀ + diag(rows) W, in the dtype and on the device of the payload it was evaluated from.

    Attributes:
        coefficients: (n, k) in the basis; without one (n, d), the change itself.
        basis: (d, k) Q with orthonormal columns; one tensor for all matrices where they share it. None is the identity.
        weight: (n, d) W that the change was evaluated on.
        rows: (n, 1), or None where the method scales no rows.
        known_norm: Frobenius norm of the change, where the method has it without forming the change.
    """

    coefficients: Tensor
    basis: Tensor | None
    weight: Tensor
    rows: Tensor | None = None
    known_norm: float | None = None

    @property
    def norm(self) -> float:
        """Frobenius norm."""
        if self.known_norm is not None:
            return self.known_norm
        return float((self.coefficients if self.rows is None else self.dense()).norm())

    def dense(self) -> Tensor:
        """The change itself, (n, d); not to be written to."""
        change = self.coefficients if self.basis is None else product(self.coefficients, self.basis.T)
        return change if self.rows is None else change.addcmul(self.rows, self.weight)

    def respond(self, states: Tensor, response: Tensor) -> Tensor:
        """(W' - W) q for columns q.

        Args:
            states: (k, q) the columns in the basis.
            response: (n, q) W q.
        """
        moved = product(self.coefficients, states)
        return moved if self.rows is None else moved.addcmul_(self.rows, response)

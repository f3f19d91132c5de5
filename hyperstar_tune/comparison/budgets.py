"""The budgets at which methods are compared: multiples of R for each eta."""

from dataclasses import dataclass

import numpy as np

from hyperstar_tune.tables.metadataset import MetaDataset

__all__ = ["Budgets", "finer", "protocol_budgets"]


@dataclass(frozen=True)
class Budgets:
    """Budgets of one eta, as multiples of R."""

    eta: int
    multiples: tuple[float, ...]
    max_epochs: int = 0  # R; 0 means the table's

    def epochs(self, max_epochs: int) -> list[int]:
        """The budgets in epochs, rising, for a table with the given R."""
        return sorted({int(multiple * (self.max_epochs or max_epochs)) for multiple in self.multiples})


def protocol_budgets(table: MetaDataset) -> tuple[Budgets, ...]:
    """The paper's budgets of 100, 200, 250, 450 (eta = 2) and 1600 epochs (eta = 3) at R = 100, scaled to the table.

    With eta = 3 the longest R that is a power of 3 is used, if an early epoch of the table is a prefix of a shorter
    run. Where curves settle at R (protocol 2), all budgets have eta = 2.
    """
    if table.fingerprint.settles:
        return (Budgets(2, (1, 2, 2.5, 4.5, 16)),)
    longest = int(table.epochs[-1])
    power = 3 ** int(np.log(longest + 0.5) / np.log(3))
    is_prefix = table.fingerprint.schedule.startswith("constant")
    return Budgets(2, (1, 2, 2.5, 4.5)), Budgets(3, (16,), power if is_prefix else longest)


def finer(budgets: Budgets, table: MetaDataset, steps_per_r: int = 16) -> Budgets:
    """The same budgets and so many per R between them, for curves: more rows per run, but no more runs."""
    per_r = min(steps_per_r, budgets.max_epochs or int(table.epochs[-1]))
    steps = (step / per_r for step in range(1, int(max(budgets.multiples) * per_r) + 1))
    return Budgets(budgets.eta, tuple(sorted({*budgets.multiples, *steps})), budgets.max_epochs)

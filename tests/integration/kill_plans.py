"""What the drivers that are killed run."""

from hyperstar_tune import HyperBandPlan

PLANS = {"eta 3": HyperBandPlan(max_epochs=9, eta=3, epoch_budget=69), "eta 2": HyperBandPlan(8, 2, 70)}
N_SAMPLES = 20  # of a run that another scheduler drives

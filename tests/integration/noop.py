"""A class trainable that computes its score instead of training, and can be made to fail."""

import errno
import math
import os
import shutil
import signal
import time

from ray import tune


class Table(tune.Trainable):
    """``acc`` rises with ``x`` and with the epoch.

    Optional entries of the config: ``log`` (a folder that keeps a line for every epoch trained, a file an ``x``, or a
    trial if ``log_by`` is "trial"), ``fault`` and
    ``fault_x`` (what happens to the trial of that ``x``), ``wait_s`` (seconds an epoch takes).
    """

    def setup(self, config):
        self.reset_config(config)

    def reset_config(self, new_config):
        self.config = new_config
        self.epoch = 0
        return new_config.get("fault") != "reset" or self.is_healthy

    @property
    def x(self):
        return self.config.get("inner", self.config)["x"]

    @property
    def is_healthy(self):
        return self.x != self.config.get("fault_x")

    def step(self):
        wait_s = self.config.get("wait_s", 0)
        if wait_s:
            time.sleep(wait_s)
        self.epoch += 1
        if self.config.get("log"):
            name = self.trial_id if self.config.get("log_by") == "trial" else str(self.x)
            with open(os.path.join(self.config["log"], name), "a") as file:
                file.write(f"{self.epoch}\n")
        score = self.x / 100 + self.epoch / 10_000
        if not self.is_healthy and self.epoch >= self.config.get("fault_epoch", 1):
            score = self.misbehave(score)
        if self.config.get("fault") == "metric missing" and not self.is_healthy:
            return {"other": score}
        return {"acc": score, "done": self.config.get("fault") == "done" and not self.is_healthy}

    def misbehave(self, score):
        fault = self.config["fault"]
        if fault in ("once", "killed once"):
            marker = os.path.join(self.config["log"], "failed")
            if os.path.exists(marker):
                return score
            open(marker, "w").close()
            fault = "killed" if fault == "killed once" else "error"
        if fault == "error":
            raise RuntimeError("as ordered")
        if fault == "exit":
            os._exit(1)
        if fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "out of memory":
            raise MemoryError("as ordered")
        if fault == "hang":
            from hyperstar_tune.finetune.watchdog import time_limit  # here, as it takes a worker seconds to import

            with time_limit(self.config["limit_s"]):
                time.sleep(3600)
        if fault == "storage gone":
            shutil.rmtree(self.config["storage"], ignore_errors=True)
        return math.nan if fault == "nan" else score

    def save_checkpoint(self, checkpoint_dir):
        if self.config.get("fault") == "save" and not self.is_healthy:
            raise RuntimeError("cannot save, as ordered")
        if self.config.get("fault") == "disk full" and not self.is_healthy:
            raise OSError(errno.ENOSPC, "no space left on device, as ordered")
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        self.epoch = checkpoint["epoch"]

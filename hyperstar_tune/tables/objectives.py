"""What is measured after every epoch, in the order of a table's last axis.

A trainable reports these, a line of a collection lists them, and a table holds them.
"""

__all__ = ["OBJECTIVES"]

OBJECTIVES = (
    "val_accuracy",  # on half A of the validation images, which decides
    "val_loss",
    "val_accuracy_b",  # on half B, which reports
    "val_loss_b",
    "train_loss",
    "epoch_seconds",
)

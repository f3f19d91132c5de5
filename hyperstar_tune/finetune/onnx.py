"""Writes a finished model as ONNX, and checks it with onnxruntime against PyTorch.

The file takes normalized images, float32 [batch, 3, S, S], and gives logits [batch, classes]. Its metadata has the
classes and how an image is prepared.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch

from hyperstar_tune._files import write_file
from hyperstar_tune.errors import ModelError, first_line
from hyperstar_tune.finetune.finished import FinishedModel

__all__ = ["export_onnx"]

_TOLERANCE = 1e-3  # of logits, absolute and as a share
_INPUT, _OUTPUT = "images", "logits"


def export_onnx(model: FinishedModel, file: str | Path) -> float:
    """Writes a model as one ONNX file.

    Args:
        model: The model.
        file: The file, which is replaced.

    Returns:
        The largest difference between the logits of onnxruntime and of PyTorch, on batches of one and three images.

    Raises:
        ModelError: If ONNX is not installed, the network cannot be exported, or the logits differ.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise ModelError(
            f"ONNX needs the package {error.name}, which is not installed; pip install 'hyperstar_tune[onnx]'"
        ) from error
    module = model.module.cpu().eval()
    inputs = torch.randn(3, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (inputs[:2],),
                input_names=[_INPUT],
                output_names=[_OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
        assert program is not None  # noqa: S101
        proto = program.model_proto
    except Exception as error:  # whatever the exporter raises for a layer that it does not know
        name, why = model.card["network"]["name"], first_line(error)
        raise ModelError(f"{name} must be a network that ONNX can hold, but: {why}") from error
    about = {"classes": list(model.classes), "images": model.card["images"]}
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in about.items()})
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (inputs[:1], inputs):
        with torch.inference_mode():
            expected = module(batch).numpy()
        got = session.run([_OUTPUT], {_INPUT: batch.numpy()})[0]
        worst = max(worst, float(np.abs(got - expected).max()))
        if not np.allclose(got, expected, atol=_TOLERANCE, rtol=_TOLERANCE):
            raise ModelError(f"ONNX must give the logits of PyTorch to {_TOLERANCE}, but they differ by {worst:.2g}")
    write_file(Path(file), content)
    return worst

"""The commands from a folder of images to a model in use: tune, predict, export-model."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperstar_tune.cli.app import app, console
from hyperstar_tune.cli.network_options import MEAN_HELP, MODEL_ARG_HELP, STD_HELP, model_arguments, normalization
from hyperstar_tune.cli.spaces import SPACE_HELP, find_space
from hyperstar_tune.errors import ModelError, SearchError, TaskError

_METRICS = {"accuracy": "val_accuracy", "balanced-accuracy": "val_balanced_accuracy", "macro-f1": "val_macro_f1"}
_NO_OPTIONS = (
    "folder",
    "out",
    "resume",
    "model_arg",
    "accept_changed_data",
)  # parameters of the command that are no field of TuneOptions
_INTERRUPTED = 130  # status of a process that Ctrl-C has ended


@app.command()
def tune(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(help="Folder of images: CLASS/* or {train,val,test}/CLASS/*.")],
    hours: Annotated[float | None, typer.Option(help="Budget: hours of the whole run.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Budget: epochs of all configurations together.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/NAME-DATE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run, if there is one.")] = False,
    model: Annotated[
        str | None, typer.Option(help="Any classification model of timm or torchvision.", show_default="by the weights")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="'hub', 'package', 'own', or a local file.", show_default="an installed package, else the hub"
        ),
    ] = None,
    image_size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 64,
    mean: Annotated[str | None, typer.Option(help=MEAN_HELP)] = None,
    std: Annotated[str | None, typer.Option(help=STD_HELP)] = None,
    model_arg: Annotated[list[str] | None, typer.Option(help=MODEL_ARG_HELP)] = None,
    predictor: Annotated[
        str | None, typer.Option(help="A shipped predictor or a folder.", show_default="one that fits the weights")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help=f"What to search, by default the predictor's space. {SPACE_HELP}"),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(help="R: epochs of a configuration that is trained to the end.", show_default="by the budget"),
    ] = None,
    metric: Annotated[str, typer.Option(help="What decides: accuracy, balanced-accuracy or macro-f1.")] = "accuracy",
    cpus_per_trial: Annotated[float, typer.Option(help="CPUs of one training.")] = 1,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(help="GPUs of one training; four on one GPU are 0.25.", show_default="1 if there are any"),
    ] = None,
    epoch_seconds_limit: Annotated[
        float | None, typer.Option(help="Seconds after which a training that hangs is ended.")
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train the winner once more, on training and validation images together.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    accept_changed_data: Annotated[
        bool, typer.Option("--accept-changed-data", help="Go on though labels or images have changed.")
    ] = False,
) -> None:
    """Fine-tunes a network on your images under a budget, beginning with what is predicted to be best for them."""
    from hyperstar_tune.tuning import OPTIONS_FILE, TuneOptions, find_run, new_run, tune_folder

    if metric not in _METRICS:
        raise SearchError(f"a metric is one of {', '.join(_METRICS)}, but got {metric!r}")
    asked: dict[str, Any] = {
        **{name: value for name, value in context.params.items() if name not in _NO_OPTIONS},
        "metric": _METRICS[metric],
        "model_args": model_arguments(model_arg),
        "space": None if space is None else json.loads(json.dumps(find_space(space).to_json())),
    }
    there = out if out is not None else find_run(folder) if resume else None
    if there is not None and (there / OPTIONS_FILE).is_file():
        if not resume:
            raise SearchError(f"{there} holds a run already; add --resume to go on with it, or name another folder")
        options, _ = TuneOptions.load(there)
        for name in _given(context) & asked.keys() - {"mean", "std"}:
            kept = getattr(options, name)
            if asked[name] != kept:
                its = (kept or {}).get("name", "predictor's") if name == "space" else kept
                raise SearchError(
                    f"--resume goes on with the options of the run, but --{name.replace('_', '-')} "
                    f"{context.params[name]} is another than its {its}; leave it out, or begin a new run"
                )
    else:
        asked["mean"], asked["std"] = normalization(weights, mean, std)
        options = TuneOptions(task=folder, **asked)
    if not tune_folder(options, there or new_run(folder), console, accept_changed_data):
        raise typer.Exit(_INTERRUPTED)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or of a finished model in it: RUN/best.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per image, with all classes.")] = False,
    device: Annotated[str, typer.Option(help="'cpu', 'cuda'...")] = "cpu",
) -> None:
    """Says the class of each image; status 1 if one could not be read."""
    from hyperstar_tune.finetune.finished import load_best

    missing = next((path for path in images if not path.exists()), None)
    if missing is not None:
        raise TaskError(f"images must be files or folders that exist, but got {str(missing)!r}")
    files = [file for path in images for file in (_files_below(path) if path.is_dir() else [path])]
    if not files:
        raise TaskError(f"predict needs images, but {images[0]} holds none")
    failed = False
    for prediction in load_best(model, device).predict(files):
        failed |= bool(prediction.error)
        if as_json:
            fields: dict[str, Any] = {"image": prediction.image, "error": prediction.error}
            print(
                json.dumps(
                    fields if prediction.error else {k: v for k, v in asdict(prediction).items() if k != "error"}
                )
            )
        elif prediction.error:
            print(f"hyperstar: {prediction.error}", file=sys.stderr)
        else:
            console.print(f"{prediction.image}  {prediction.label}  {prediction.probability:.3f}")
    if failed:
        raise typer.Exit(1)


@app.command("export-model")
def export_model(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or of a finished model in it: RUN/best.")],
    onnx: Annotated[
        Path | None, typer.Option(help="ONNX file to write.", show_default="model.onnx in the model's folder")
    ] = None,
) -> None:
    """Writes a finished model as ONNX, and checks with onnxruntime that it gives the same logits."""
    from hyperstar_tune.finetune.finished import load_best
    from hyperstar_tune.finetune.onnx import export_onnx

    best = load_best(model)
    folder = model / "best" if (model / "best").is_dir() else model
    file = onnx if onnx is not None else folder / "model.onnx"
    if file.is_dir():
        raise ModelError(f"--onnx names a file, but {file} is a folder")
    difference = export_onnx(best, file)
    console.print(f"wrote {file}; its logits differ from those of PyTorch by at most {difference:.1e}")


def _given(context: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _files_below(folder: Path) -> list[Path]:
    from hyperstar_tune.tasks.scan import NOTES, list_files

    return [file for file in list_files(folder, folder, False) if file.suffix.lower() not in NOTES]

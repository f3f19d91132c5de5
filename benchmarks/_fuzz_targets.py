"""The targets of the fuzz: small sound files of all kinds that come from elsewhere, their mutations and readers."""

import copy
import hashlib
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _fuzz_images import draw_folder, draw_image, recognize_folder, recognize_image
from _fuzz_runs import SOUND_RUN, draw_run, read_run
from _fuzz_spaces import SOUND_RESULT, SOUND_SPACE, draw_result, draw_space, read_result, read_space
from PIL import Image

from hyperstar_tune.fingerprint import Fingerprint
from hyperstar_tune.predictor import Predictor
from hyperstar_tune.ranking import Ranking
from hyperstar_tune.space import SearchSpace
from hyperstar_tune.tables.files import read_curves as read_curve_file
from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tasks import sources as _images

Mutation = Callable[[bytes, random.Random], bytes]
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 1e-320, 2**31, 2**63, 10**30, float("nan"), float("inf"), "", "../../etc/passwd"),
    *("\x00", "\ud800", "9" * 5000, [], {}, [[]], {"": {}}, [[[[[[[[]]]]]]]], ["a"] * 1000, {"file": "/dev/zero"}),
)


@dataclass(frozen=True)
class Target:
    """One kind of input."""

    name: str
    weight: int  # share of the inputs
    files: dict[str, bytes]  # sound, by path below the input's folder
    read: Callable[[Path], None]  # raises if it refuses
    mutate: Callable[[dict[str, bytes], random.Random], dict[str, bytes]]


def damage(content: bytes, chance: random.Random) -> bytes:
    """Bytes as disks, networks and enemies change them: flipped, cut, doubled, overwritten, inserted."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        size = max(1, len(data))
        place, length = chance.randrange(size), chance.choice((1, 2, 4, 8, 64, 1024))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
        elif kind == 4:
            data[place : place + length] = bytes([chance.choice((0, 255, 127, 128))]) * length
        elif kind == 5:
            data[place:place] = chance.randbytes(length)
        else:  # a length or an offset
            number = chance.choice((0, 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1))
            data[place : place + 4] = struct.pack(chance.choice(("<I", ">I")), number)
    return bytes(data)


def damage_json(content: bytes, chance: random.Random) -> bytes:
    """JSON of another structure: values of other types and sizes, missing and foreign keys, deep nesting."""
    data = json.loads(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        places = list(_places(data))
        if not places:
            break
        holder, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[chance.choice(("", "x" * 3000, "__class__", str(key) + " "))] = holder[key]
        elif kind == 2:
            other, its_key = chance.choice(places)
            holder[key] = json.loads(json.dumps(other.get(its_key) if isinstance(other, dict) else other))
        else:
            holder[key] = copy.deepcopy(chance.choice(_ODD))
    text = json.dumps(data)
    if chance.random() < 0.01:
        text = text.replace("null", "[" * 100_000 + "]" * 100_000, 1) if "null" in text else "[" * 200_000
    return text.encode()


def _places(data: Any) -> Any:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield data, key
        yield from _places(value)


def damage_one(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """One file damaged, exchanged with another or lost."""
    name = chance.choice(sorted(files))
    kind = chance.randrange(12)
    if kind == 0:
        return {other: content for other, content in files.items() if other != name}
    if kind == 1:
        return files | {name: files[chance.choice(sorted(files))]}
    is_json = name.endswith((".json", ".jsonl"))
    if is_json and kind < 8:
        return files | {name: _damage_lines(files[name], chance)}
    return files | {name: damage(files[name], chance)}


def _damage_lines(content: bytes, chance: random.Random) -> bytes:
    try:
        return damage_json(content, chance)
    except ValueError:  # a line a document
        lines = content.splitlines()
        place = chance.randrange(len(lines))
        lines[place] = damage_json(lines[place], chance)
        return b"\n".join(lines) + b"\n"


def resign(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """A predictor by somebody who computes the checksums anew."""
    files = dict(files)
    if chance.random() < 0.3:
        content = files["weights.safetensors"]
        cut = 8 + struct.unpack("<Q", content[:8])[0]
        header, body = content[8:cut], content[cut:]
        if chance.random() < 0.5:
            header = damage_json(header, chance)
            content = struct.pack("<Q", len(header)) + header + body
        else:
            content = damage(content, chance)
        files["weights.safetensors"] = content
    try:
        card = json.loads(files["card.json"] if chance.random() < 0.2 else damage_json(files["card.json"], chance))
    except RecursionError:  # nested too deeply to be signed
        return files | {"card.json": b"[" * 200_000}
    if isinstance(card, dict):
        if isinstance(card.get("weights"), dict) and chance.random() < 0.9:
            card["weights"]["sha256"] = hashlib.sha256(files["weights.safetensors"]).hexdigest()
        card.pop("sha256", None)
        card["sha256"] = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    files["card.json"] = json.dumps(card).encode()
    return files


def damage_image(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """One image: its bytes, or the sizes in a PNG's header with a right checksum."""
    name = chance.choice(sorted(files))
    content = files[name]
    if name.endswith(".png") and chance.random() < 0.3:
        sides = [chance.choice((0, 1, 7, 9000, 2**16, 2**31 - 1)) for _ in range(2)]
        chunk = b"IHDR" + struct.pack(">II", *sides) + content[24:29]
        content = content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    else:
        content = damage(content, chance)
    return {name: content}


def unsummed(table: dict[str, bytes]) -> dict[str, bytes]:
    """A table that states no checksums, as foreign ones: what is done to its files reaches their readers."""
    metadata = json.loads(table["metadata.json"])
    del metadata["hyperstar"]["sha256"]
    return table | {"metadata.json": json.dumps(metadata).encode()}


def read_image(folder: Path) -> None:
    """As a task does, the header first, then the pixels: also those that a task would leave alone for their header."""
    path = next(folder.iterdir())
    problem, _ = _images.read_header(path)
    square = _images.Files([path]).square(0, 16)
    assert problem is None
    assert square.shape == (3, 16, 16)


def read_predictor(folder: Path) -> None:
    """As ``HyperStarSearcher`` does, and what it prints."""
    predictor = Predictor.load(folder)
    _ = predictor.name, predictor.image_size, predictor.space.dim
    if predictor.known is not None:
        Ranking.of([{}, {}], [1, 0], **predictor.known.about(predictor.known.encoded[:2], 100)).race_remark()


def _images_of_all_kinds() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype=np.uint8)
    images = {}
    turned = Image.Exif()
    turned[0x0112] = 6  # as phones store photographs that were taken upright
    for suffix, mode in (
        *(("png", "RGB"), ("png", "P"), ("png", "I;16"), ("png", "LA"), ("jpg", "RGB"), ("jpg", "CMYK"), ("gif", "P")),
        *(("bmp", "RGB"), ("tiff", "RGB"), ("tiff", "F"), ("webp", "RGB"), ("ppm", "RGB")),
        *(("png", "RGBA"), ("webp", "RGBA"), ("tiff", "RGBA"), ("avif", "RGB"), ("mpo", "RGB"), ("ico", "RGBA")),
    ):
        image = Image.fromarray(pixels).convert("L" if mode in ("I;16", "F") else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
        elif mode == "F":
            image = image.convert("F")
        buffer = io.BytesIO()
        exif = {} if suffix in ("gif", "bmp", "ppm", "ico") else {"exif": turned}
        image.save(buffer, {"jpg": "jpeg"}.get(suffix, suffix), **exif)
        images[f"{mode.replace(';', '')}.{suffix}"] = buffer.getvalue()
    return images


def _small_table() -> MetaDataset:
    space = SearchSpace.from_values({"lr": [0.01, 0.1], "layers": ["head", "all"]})
    columns = {"name": ["a", "b"], "family": ["a", "b"], "location": "", "classes": 3, "n_train": 9, "n_val": 6}
    return MetaDataset(
        space=space,
        configs=space.grid(),
        epochs=np.array([1, 2]),
        evaluations=np.full((2, 4, 1, 2, 6), 0.5, dtype=np.float32),
        tasks=pd.DataFrame({**columns, "licence": "", "image_hash": ""}),
        fingerprint=Fingerprint(space=space.fingerprint, model="m", image_size=32),
    )


def _folder(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _small_predictor(root: Path) -> dict[str, bytes]:
    from hyperstar_tune.predictor.backbone import Backbone
    from hyperstar_tune.predictor.network_predictor import NetworkPredictor
    from hyperstar_tune.predictor.networks import Architecture, PredictorNetwork

    table = _small_table()
    sizes = Architecture(Backbone.n_features, table.space.dim, width=8, heads=2, dim=4, hidden=8)
    about = {"name": "small", "tasks": [{"name": "a", "image_hash": "00"}], "note": None}
    NetworkPredictor(Backbone("none"), PredictorNetwork(sizes), table.space, table.fingerprint, about).save(root)
    return _folder(root)


def _small_plus(root: Path) -> dict[str, bytes]:
    from hyperstar_tune.predictor.plus import PlusModel
    from hyperstar_tune.predictor.plus_predictor import PlusPredictor

    table = _small_table()
    chance = np.random.default_rng(0)
    model = PlusModel(
        mean=chance.normal(size=4),
        slopes=chance.normal(size=(2, 4)),
        shift=np.zeros(2),
        scale=np.ones(2),
        known=chance.normal(size=(2, 2)),
        reach=1.5,
    )
    encoded = table.space.encode(table.configs)
    traits = ("probe_deep", "probe_gain_images")
    about = {"name": "small", "tasks": [{"name": "a", "image_hash": "00"}, {"name": "b", "image_hash": "01"}]}
    predictor = PlusPredictor(model, np.ones(4), encoded, traits, table.space, table.fingerprint, about)
    predictor.learn_known(table)
    predictor.save(root)
    return _folder(root)


def _small_collection() -> dict[str, bytes]:
    table = _small_table()
    curves = {name: [0.5, None] for name in MetaDataset.objectives}
    cells = [{"config": config, "seed": 0, "epochs": [1, 2], "error": None, **curves} for config in table.configs]
    rows = table.tasks.to_dict("records")
    about = {"format": 1, "space": table.space.to_json(), "fingerprint": table.fingerprint.to_json(), "tasks": rows}
    journal = "".join(json.dumps(cell) + "\n" for cell in cells).encode()
    return {"collection.json": json.dumps(about).encode(), "cells/a.jsonl": journal, "cells/b.jsonl": journal}


def _small_curves() -> dict[str, bytes]:
    rows = [(task, lr, epoch) for task in ("a", "b@small") for lr in (0.01, 0.1) for epoch in (1, 2)]
    frame = pd.DataFrame(rows, columns=["task", "lr", "epoch"]).assign(seed=0, val_accuracy=0.5, optimizer="sgd")
    return {"curves.csv": frame.to_csv(index=False).encode(), "curves.parquet": frame.to_parquet(index=False)}


def targets(scratch: Path) -> list[Target]:
    """All kinds of input; ``scratch`` is an empty folder."""
    _small_table().save(scratch / "table")
    table = _folder(scratch / "table")
    predictor = _small_predictor(scratch / "predictor")
    plus = _small_plus(scratch / "plus")

    def read_table(folder: Path) -> None:
        MetaDataset.load(folder)

    def read_collection(folder: Path) -> None:
        MetaDataset.from_collection(folder)

    def read_curves(folder: Path) -> None:
        for path in sorted(folder.glob("curves.*")) or [folder / "curves.csv"]:
            MetaDataset.from_frame(read_curve_file(path))

    def sound(draw: Any) -> dict[str, bytes]:
        return dict(draw({}, random.Random(0)))

    return [
        Target("sound image", 30, sound(draw_image), recognize_image, draw_image),
        Target("sound folder", 1, sound(draw_folder), recognize_folder, draw_folder),
        Target("run under a plan", 20, {"run.json": json.dumps(SOUND_RUN).encode()}, read_run, draw_run),
        Target("space of Ray", 10, {"space.json": json.dumps(SOUND_SPACE).encode()}, read_space, draw_space),
        Target("reported metric", 3, {"result.json": json.dumps(SOUND_RESULT).encode()}, read_result, draw_result),
        Target("image", 40, _images_of_all_kinds(), read_image, damage_image),
        Target("predictor, damaged", 15, predictor, read_predictor, damage_one),
        Target("predictor, signed anew", 5, predictor, read_predictor, resign),
        Target("HyperSTAR+, damaged", 5, plus, read_predictor, damage_one),
        Target("HyperSTAR+, signed anew", 5, plus, read_predictor, resign),
        Target("meta-dataset", 15, unsummed(table), read_table, damage_one),
        Target("meta-dataset with checksums", 2, table, read_table, damage_one),
        Target("collection journal", 15, _small_collection(), read_collection, damage_one),
        Target("curves", 10, _small_curves(), read_curves, damage_one),
    ]

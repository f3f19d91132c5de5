"""Features in a folder are found again, and never for other images."""

import numpy as np
from scoreboard.kept_features import KeptFeatures

from hyperstar_tune.tasks.task import ImageTask


def stripes(name, n_pixels, seed):
    """Images of stripes so many pixels wide."""
    rng = np.random.default_rng(seed)
    pattern = (np.arange(32) // n_pixels % 2 * 200).astype(np.uint8)
    images = np.broadcast_to(pattern, (24, 32, 32)) + rng.integers(0, 40, (24, 32, 32), dtype=np.uint8)
    labels = np.arange(24) % 2
    return ImageTask.from_arrays(name, images, labels, images[:8], labels[:8])


def test_features_outlive_the_process_and_are_those_of_these_images(tmp_path):
    tasks = {"a": stripes("a", 2, 0), "b": stripes("b", 8, 0)}
    first = KeptFeatures(tasks, image_size=32, folder=tmp_path)
    pools = {name: first.pool(name) for name in tasks}
    assert len(list(tmp_path.iterdir())) == 2
    again = KeptFeatures(tasks, image_size=32, folder=tmp_path)
    for name, pool in pools.items():
        assert (again.pool(name).cached == pool.cached).all()
        assert again.pool(name).image_hash == pool.image_hash
    renamed = KeptFeatures({"a": stripes("a", 8, 0)}, image_size=32, folder=tmp_path)  # another task of the same name
    assert (renamed.pool("a").cached == pools["b"].cached).all()
    assert not (KeptFeatures(tasks, image_size=64, folder=tmp_path).pool("a").cached == pools["a"].cached).all()

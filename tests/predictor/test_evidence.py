"""Tasks whose labels say nothing get the average ranking, however near their traits are to those of known tasks."""

import numpy as np
import pytest
from digit_images import digit_pixels

from hyperstar_tune.predictor import Predictor
from hyperstar_tune.predictor.evidence import evidence, trust
from hyperstar_tune.predictor.traits import gram, traits_of, trust_in
from hyperstar_tune.tasks.task import ImageTask


@pytest.mark.parametrize(("n", "n_classes"), [(40, 2), (100, 10), (300, 3), (400, 100)])
def test_dealt_labels_are_no_evidence_and_real_ones_are(n, n_classes):
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        labels = np.arange(n) % n_classes
        features = 1.5 * np.random.default_rng(7).normal(size=(n_classes, 30))[labels] + rng.normal(size=(n, 30))
        kernels = [gram(features)] * 2
        found.append(evidence(kernels, rng.permutation(labels)))
        assert trust(evidence(kernels, labels)) == 1
    assert abs(np.mean(found)) < 1
    assert max(map(trust, found)) < 0.5


def test_classes_of_unequal_size_are_judged_alike():
    rng = np.random.default_rng(0)
    labels = (np.arange(300) >= 270).astype(int)
    features = rng.normal(size=(300, 10)) + 2 * labels[:, None]
    assert trust(evidence([gram(features)], labels)) == 1
    assert max(trust(evidence([gram(features)], rng.permutation(labels))) for _ in range(20)) < 0.5


@pytest.mark.parametrize("labels", [np.arange(90) % 3, np.repeat([0, 1, 2], 30)])
def test_images_that_are_all_the_same_are_no_evidence_in_whatever_order(labels):
    assert trust(evidence([gram(np.ones((90, 8)))], labels)) == 0


def kinds(seed=0):
    """Real digits, and the same labels with shuffled, meaningless and equal images."""
    pixels, labels = digit_pixels(n_classes=4, per_class=15)
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (len(labels), 16, 16, 3), dtype=np.uint8)
    alike = np.clip(pixels[:1].astype(int) + rng.integers(-4, 5, pixels.shape), 0, 255).astype(np.uint8)
    return {
        "real": (pixels, labels),
        "shuffled": (pixels, rng.permutation(labels)),
        "noise": (noise, labels),
        "nearly alike": (alike, labels),
        "the same": (np.repeat(pixels[:1], len(labels), axis=0), labels),
    }


def test_the_share_falls_for_shuffled_labels_noise_and_images_all_alike():
    predictor = Predictor.load("mobilenet-v2-64px")
    average = predictor.space.grid()
    means, _ = predictor.scores(predictor.model.shift, average)  # the traits of an average task
    for kind, (images, labels) in kinds().items():
        ranking = predictor.rank(ImageTask.from_arrays(kind, images, labels))
        scores = dict(zip(map(str, ranking.configs), ranking.scores, strict=True))
        same = np.allclose([scores[str(config)] for config in average], means)
        assert (ranking.share == 0) == same == (kind != "real"), kind
        if kind != "real":
            assert ranking.remarks()[0] == (
                "Warning: near images hardly have the same class more often than by chance; this is the ranking that "
                "holds on average."
            )


@pytest.mark.parametrize(("n_classes", "per_class"), [(2, 60), (1000, 6), (5000, 5)])
def test_shuffled_labels_never_look_like_real_ones_at_any_number_of_classes(n_classes, per_class):
    rng = np.random.default_rng(0)
    patterns = np.kron(rng.integers(0, 255, (n_classes, 4, 4, 3)), np.ones((1, 4, 4, 1)))
    labels = np.repeat(np.arange(n_classes), per_class)
    images = np.clip(patterns[labels] + rng.normal(0, 20, (len(labels), 16, 16, 3)), 0, 255).astype(np.uint8)
    real, shuffled = (ImageTask.from_arrays("t", images, y) for y in (labels, rng.permutation(labels)))
    assert trust_in(real, 16) == (1.0, "")
    assert traits_of(real, 16, ["probe_deep"])[0] > 0.8
    assert trust_in(shuffled, 16)[0] == 0
    assert abs(traits_of(shuffled, 16, ["probe_deep"])[0]) < 0.3


def test_classes_of_too_few_images_get_the_average_ranking_and_it_is_said():
    images = np.random.default_rng(0).integers(0, 255, (300, 8, 8, 3), dtype=np.uint8)
    ranking = Predictor.load("mobilenet-v2-64px").rank(ImageTask.from_arrays("t", images, np.arange(300) % 100))
    assert ranking.share == 0
    assert "most of the 100 classes have fewer than 3 training images; this is the ranking that" in ranking.remarks()[0]

"""Reference kernels: where they come from, and how models stand against them."""

import numpy as np
import pytest
import torch

from alignment.activations import read_activations
from alignment.comparison import Scoring, make_views
from alignment.errors import RequestError
from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing
from alignment.probes import load_probe
from alignment.study import KernelSource, Study, study
from alignment.study.reference import read_reference
from alignment.study.reference.corpus import count_corpus
from alignment.study.reference.pmi import pmi_kernel
from alignment.study.reference.scores import METRICS, kernel_scores

PLAIN = Scoring(preprocess=Preprocessing(clip=None, normalize=False), device="cpu")


def literal(name, gram, kernel, k=10):
    """Each metric by its definition, in float64."""
    n = len(gram)
    if name == "mutual_knn":
        near = []
        for matrix in (gram, kernel):
            lists = [
                sorted((j for j in range(n) if j != i), key=lambda j, row=row: (-row[j], j))[:k]
                for i, row in enumerate(matrix)
            ]
            near.append(lists)
        return np.mean([len(set(x) & set(y)) / k for x, y in zip(*near, strict=True)])

    def hsic(x, y):
        if name == "cka":
            h = np.eye(n) - 1 / n
            return np.trace(h @ x @ h @ y)
        x, y = (m - np.diag(np.diag(m)) for m in (x, y))
        return np.trace(x @ y) + x.sum() * y.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (x.sum(0) @ y.sum(0))

    return hsic(gram, kernel) / np.sqrt(hsic(gram, gram) * hsic(kernel, kernel))


def model(n=140, width=6, layers=2, seed=0):
    """Wide enough for more than one block of the grams."""
    random = np.random.default_rng(seed)
    return [np.round(random.normal(size=(n, width)) + 0.5, 2) for _ in range(layers)]


def views(layers):
    from alignment.activations import Activations, Origin

    names = tuple(f"l{number}" for number in range(len(layers)))
    return make_views(Activations(names, tuple(torch.tensor(x) for x in layers), None, Origin("x", "")), PLAIN)


@pytest.mark.parametrize("name", METRICS)
def test_scores_are_the_definitions_under_every_pairing_even_of_an_indefinite_kernel(name):
    layers = model()
    random = np.random.default_rng(1)
    kernel = random.normal(size=(140, 140)) + layers[0] @ layers[0].T
    kernel = (kernel + kernel.T) / 2
    assert np.linalg.eigvalsh(kernel)[0] < -1
    pairings = np.stack([np.arange(140), *(random.permutation(140) for _ in range(20))])
    found = kernel_scores(MetricChoice.of(name), views(layers), torch.tensor(kernel), torch.tensor(pairings))
    for row in (0, 1, 20):
        order = pairings[row]
        wanted = [literal(name, x @ x.T, kernel[np.ix_(order, order)]) for x in layers]
        assert found[row].tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_a_models_own_gram_scores_one_and_a_constant_on_it_changes_nothing(name):
    layers = model()
    for shift in (0.0, 4.0):
        kernel = torch.tensor(layers[1] @ layers[1].T + shift)
        scores = kernel_scores(MetricChoice.of(name), views(layers), kernel, torch.arange(140).unsqueeze(0))[0]
        assert float(scores[1]) == pytest.approx(1, abs=1e-9)
        assert float(scores[0]) < 0.9


def test_neighbours_tie_to_the_lower_index():
    kernel = torch.zeros(8, 8, dtype=torch.float64)
    x = np.eye(8) * 0 + 1  # every product is the same, in the model as in the kernel
    scores = kernel_scores(
        MetricChoice.of("mutual_knn", {"k": 3}), views([x + np.eye(8) * 1e-3]), kernel, torch.arange(8).unsqueeze(0)
    )
    assert float(scores[0, 0]) == 1


def test_pmi_is_its_definition_and_smoothing_pulls_to_independence():
    random = np.random.default_rng(0)
    counts = random.integers(1, 50, size=(6, 6)).astype(float)
    counts += counts.T
    joint = counts / counts.sum()
    wanted = np.log(joint / np.outer(joint.sum(1), joint.sum(1)))
    np.testing.assert_allclose(pmi_kernel(counts, 0), wanted, atol=1e-12)
    assert np.abs(pmi_kernel(counts, 10)).max() < np.abs(wanted).max()
    np.testing.assert_allclose(pmi_kernel(np.outer([1, 2, 3], [1.0, 2, 3]), 5), 0, atol=1e-12)
    counts[0, 1] = counts[1, 0] = 0
    assert np.isfinite(pmi_kernel(counts, 0.5)).all()
    assert pmi_kernel(counts, 0.5)[0, 1] == pmi_kernel(counts, 0.5)[0].min()
    with pytest.raises(RequestError, match="smoothing above 0"):
        pmi_kernel(counts, 0)


def test_counts_of_a_corpus_by_hand():
    """Windows end at the line; the longest item counts; equal words have equal counts; itself counts twice."""
    texts = ["red", "Red heart", "fox", "FOX!", "☺", "dog"]
    lines = ["The red fox saw a fox", "red heart, dog", "dog", "red"]
    counts = count_corpus(lines, texts, 2)
    assert counts.tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
    ]
    wide = count_corpus(lines, texts, 3)
    assert wide[2, 2] == wide[2, 3] == 2
    assert (wide == wide.T).all()


def test_counts_of_a_corpus_are_the_quadratic_ones():
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(6)]
    lines = [" ".join(random.choice([*words, "the"], size=30)) for _ in range(5)]
    for window in (1, 4, 100):
        wanted = np.zeros((6, 6))
        for line in lines:
            place = [words.index(word) if word in words else None for word in line.split()]
            for i, one in enumerate(place):
                for j, other in enumerate(place):
                    if i != j and abs(i - j) <= window and one is not None and other is not None:
                        wanted[one, other] += 1
        np.testing.assert_array_equal(count_corpus(lines, words, window), wanted)


def test_pmi_of_a_planted_corpus_recovers_its_topics_and_a_model_of_them(ask, probe, tmp_path):
    """Words of one topic stand in the same lines; a model of the topics follows the kernel, a random one does not."""
    random = np.random.default_rng(0)
    topic = np.arange(60) % 4
    lines = [
        " ".join(f"word{word}" for word in random.choice(np.flatnonzero(topic == number % 4), size=12))
        if number % 10
        else " ".join(f"word{word}" for word in random.integers(60, size=12))
        for number in range(1500)
    ]
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    source = KernelSource("corpus", str(tmp_path / "corpus.txt"), window=3)
    whole = load_probe(probe)
    kernel = read_reference(source, whole, whole, 5).values
    same = topic[:, None] == topic
    off = ~np.eye(60, dtype=bool)
    assert kernel[same & off].min() > kernel[~same].max()
    for name, values in (("good", np.eye(4)[topic]), ("none", random.normal(size=(60, 4)))):
        np.savez(tmp_path / f"{name}.npz", x=(values + 0.05 * random.normal(size=(60, 4))).astype(np.float32))
    good, none = (f"features:{tmp_path / name}.npz" for name in ("good", "none"))
    found = study(ask(good, none, reference=source, permutations=99)).prediction
    for result in found.metrics:
        able, random_one = result.models
        assert able.q_value <= 0.02
        # of 14 words alike no 5 are nearer than the others: two such neighbourhoods share 5/14 of theirs
        assert able.score > (0.3 if result.name == "mutual_knn" else 0.5) > 2 * random_one.score
        assert random_one.p_value > 0.02
    assert found.kernel["kind"] == "corpus"
    assert found.kernel["smoothing"] == 1


def test_ids_place_the_rows_and_absent_items_are_left_out(ask, plant, tmp_path):
    a, b = plant("a", 1), plant("b", 1, seed=1)
    x = read_activations(a.removeprefix("features:")).values[0].double().numpy()
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mixed = np.random.default_rng(0).permutation(60)
    path = tmp_path / "kernel.npz"
    np.savez(path, kernel=(x @ x.T)[np.ix_(mixed, mixed)], ids=np.array([f"i{row}" for row in mixed]))
    found = study(ask(a, b, samples=40, reference=KernelSource("kernel", str(path))))
    for result in found.prediction.metrics:
        assert result.models[0].layer == "layer.0"
        assert result.models[0].score == pytest.approx(1, abs=1e-6)
    assert found.prediction.metrics[2].params == {"k": 5}
    assert found.prediction.samples == 40
    counts = np.random.default_rng(1).integers(0, 9, size=(60, 60))
    counts += counts.T
    counts[:7] = counts[:, :7] = 0
    np.savez(path, counts=counts)
    found = study(ask(a, b, reference=KernelSource("counts", str(path))))
    assert found.prediction.samples == 53
    assert {"absent_items"} <= {warning.code for warning in found.warnings}
    assert found.prediction.kernel["occurring"] == 53


def test_every_prediction_is_null_or_explained_without_permutations(ask, plant, tmp_path):
    np.savez(tmp_path / "k.npz", kernel=np.random.default_rng(0).normal(size=(60, 3)) @ np.ones((3, 60)))
    with pytest.raises(RequestError, match="not symmetric"):
        study(ask(plant("a", 1), plant("b", 1), reference=KernelSource("kernel", str(tmp_path / "k.npz"))))
    half = np.random.default_rng(0).normal(size=(60, 60))
    np.savez(tmp_path / "k.npz", kernel=half + half.T)
    request = ask(plant("a", 1), plant("b", 1), permutations=0, reference=KernelSource("kernel", f"{tmp_path}/k.npz"))
    found = study(request)
    assert "indefinite_kernel" in {warning.code for warning in found.warnings}
    fit = found.prediction.metrics[0].models[0]
    assert fit.score is not None
    assert fit.p_value is fit.q_value is fit.calibrated is None


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"other": np.eye(60)}, "no array 'kernel' but 'other'"),
        ({"kernel": np.eye(50)}, "50 rows and no ids"),
        ({"kernel": np.ones((60, 5))}, "must be numbers, square"),
        ({"kernel": np.full((60, 60), np.nan)}, "NaN or infinity in row 0"),
        ({"kernel": np.ones((60, 60))}, "constant once centred"),
        ({"kernel": np.eye(60), "ids": np.arange(60)}, "no row for item 'i0'"),
        ({"kernel": np.array([[object()]])}, "not a readable .npz file of plain arrays"),
    ],
)
def test_a_kernel_that_cannot_be_used_is_refused_in_a_sentence(probe, tmp_path, arrays, sentence):
    np.savez(tmp_path / "k.npz", **arrays)
    whole = load_probe(probe)
    with pytest.raises(RequestError, match=sentence):
        read_reference(KernelSource("kernel", str(tmp_path / "k.npz")), whole, whole, 5)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (-np.eye(60), "must not be negative"),
        (np.eye(60) / 60, "holds probabilities"),
        (np.diag([1.0, 2, 3] + [0] * 57), "3 of the 60 items drawn occur"),
    ],
)
def test_counts_that_cannot_be_used_are_refused_in_a_sentence(probe, tmp_path, counts, sentence):
    np.savez(tmp_path / "c.npz", counts=counts)
    whole = load_probe(probe)
    with pytest.raises(RequestError, match=sentence):
        read_reference(KernelSource("counts", str(tmp_path / "c.npz")), whole, whole, 5)


def test_a_linear_pair_is_like_the_kernel_that_the_theory_gives(tmp_path):
    """Held against it both are beside chance, the entropic one to the bars of the theorem, the plain one not."""
    from alignment.calibration import Calibration
    from alignment.entropic.recipes import TrainingRequest, train
    from alignment.entropic.recipes.files import model_files

    for objective in ("entropic", "plain"):
        result = train(TrainingRequest(objective=objective, seed=7, steps=None if objective == "entropic" else 2000))
        folder = tmp_path / objective
        folder.mkdir()
        for name, content in model_files(result.members[0]).items():
            (folder / name).write_bytes(content)
    np.savez(tmp_path / "x.npz", x=np.asarray(result.probe["a"]))  # one seed, and so one view
    request = Study(
        (f"path:{tmp_path}/entropic", f"path:{tmp_path}/plain"),
        str(tmp_path / "x.npz"),
        Scoring(
            preprocess=Preprocessing(clip=None, normalize=False),
            calibration=Calibration(permutations=19, resamples=0),
            device="cpu",
        ),
        reference=KernelSource("theory", str(tmp_path / "entropic")),
    )
    found = study(request)
    fits = {result.name: result.models for result in found.prediction.metrics}["cka"]
    assert found.prediction.kernel["kind"] == "theory"
    assert min(fits[0].scores) > 0.9999
    assert min(fits[1].scores) < 0.99
    assert fits[0].p_value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [({"x": np.ones((40, 5))}, "of width 4.*width 5"), ({"a": np.ones((40, 4)), "b": np.ones((40, 4))}, "none 'x'")],
)
def test_a_kernel_of_the_theory_is_of_the_networks_own_vectors(tmp_path, arrays, match):
    from alignment.entropic.theory import theory_file

    (tmp_path / "theory.npz").write_bytes(theory_file(torch.eye(4)))
    np.savez(tmp_path / "x.npz", **arrays)
    probe = load_probe(str(tmp_path / "x.npz"))
    with pytest.raises(RequestError, match=match):
        read_reference(KernelSource("theory", str(tmp_path)), probe, probe, 4)
    for bad in (b"no archive", None):
        path = tmp_path / "theory.npz"
        path.write_bytes(bad) if bad else path.unlink()
        with pytest.raises(RequestError, match=r"theory"):
            read_reference(KernelSource("theory", str(tmp_path)), probe, probe, 4)

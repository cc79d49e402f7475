"""The running mean and deviation of dimensionless observations."""

import numpy as np
import pytest
import torch

from policies.export.numpy_policy import NORMALIZED_CLIP
from policies.normalizer import MIN_STD, Normalizer


def a_normalizer(offset=(0.0, 0.0), scale=(1.0, 1.0)) -> Normalizer:
    return Normalizer(torch.tensor(offset), torch.tensor(scale))


def test_batches_of_unequal_size_give_the_mean_and_deviation_of_all_rows_together():
    rng = np.random.default_rng(0)
    batches = [rng.normal(mean, 3.0, (rows, 2)).astype(np.float32) for mean, rows in ((5.0, 7), (-2.0, 100), (0.0, 1))]
    normalizer = a_normalizer()
    for batch in batches:
        normalizer.update(torch.from_numpy(batch))
    together = np.concatenate(batches)
    assert normalizer.mean.numpy() == pytest.approx(together.mean(0), abs=1e-5)
    assert normalizer.std.numpy() == pytest.approx(together.std(0), rel=1e-5)
    assert normalizer.count == 108.0


def test_statistics_are_of_dimensionless_numbers():
    normalizer = a_normalizer(offset=(1.0, 0.0), scale=(2.0, -1.0))
    normalizer.update(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))  # (raw − offset)·scale: 0, 4 and 0, −2
    assert normalizer.mean.tolist() == [2.0, -1.0]
    assert normalizer.std.tolist() == [2.0, 1.0]
    assert normalizer(torch.tensor([[3.0, 0.0]])).tolist() == [[1.0, 1.0]]  # (4 − 2)/2 and (0 + 1)/1


def test_a_fresh_one_only_makes_dimensionless():
    normalizer = a_normalizer(offset=(1.0, 0.0), scale=(2.0, 1.0))
    assert normalizer(torch.tensor([[2.0, 3.0]])).tolist() == [[2.0, 3.0]]


def test_a_constant_channel_keeps_a_least_deviation():
    normalizer = a_normalizer()
    normalizer.update(torch.full((50, 2), 3.0))
    assert normalizer.std.tolist() == pytest.approx([MIN_STD, MIN_STD])
    assert normalizer(torch.full((1, 2), 3.0)).tolist() == [[0.0, 0.0]]


def test_outliers_are_clipped():
    assert a_normalizer()(torch.tensor([[1e6, -1e6]])).tolist() == [[NORMALIZED_CLIP, -NORMALIZED_CLIP]]


def test_its_constants_are_no_part_of_a_skill():
    assert set(a_normalizer().state_dict()) == {"mean", "std", "count"}

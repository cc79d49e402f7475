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


def test_masked_channels_stay_as_they_are():
    normalizer = Normalizer(torch.zeros(2), torch.ones(2), mask=torch.tensor([True, False]))
    normalizer.update(torch.tensor([[1.0, 1.0], [3.0, 0.0]]))
    assert normalizer.mean.tolist() == [2.0, 0.0]
    assert normalizer.std.tolist() == [1.0, 1.0]
    assert normalizer(torch.tensor([[3.0, 1.0]])).tolist() == [[1.0, 1.0]]
    assert set(normalizer.state_dict()) == {"mean", "std", "count"}


def test_rows_that_are_padding_do_not_count():
    normalizer = a_normalizer()
    batch = torch.tensor([[1.0, 4.0], [9.0, 9.0], [3.0, 8.0]])
    normalizer.update(batch, valid=torch.tensor([True, False, True]))
    assert normalizer.mean.tolist() == [2.0, 6.0]
    assert normalizer.count == 2.0
    normalizer.update(batch, valid=torch.zeros(3, dtype=torch.bool))
    assert normalizer.mean.tolist() == [2.0, 6.0]
    assert normalizer.count == 2.0


class Two:
    """Two ranks in one process: each mean is taken with what the other rank has, in the order of the calls."""

    size = 2

    def __init__(self, rank: int, others: list[torch.Tensor]) -> None:
        self.rank, self.others, self.own = rank, others, []

    def average(self, tensors: list[torch.Tensor], channel: str) -> None:
        for tensor in tensors:
            self.own.append(tensor.clone())
            if len(self.own) <= len(self.others):
                tensor.copy_((tensor + self.others[len(self.own) - 1]) / 2)


def test_ranks_with_unequal_batches_agree_on_the_moments_of_all_rows():
    batches = [torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 3.0], [7.0, 6.0]])]
    said: list[list[torch.Tensor]] = [[], []]
    for _ in range(3):  # what a rank says depends on what was agreed on before: three rounds, three averages
        ranks = [Two(rank, said[1 - rank]) for rank in (0, 1)]
        normalizers = [a_normalizer(), a_normalizer()]
        for normalizer, batch, rank in zip(normalizers, batches, ranks, strict=True):
            normalizer.update(batch, rank)
        said = [rank.own for rank in ranks]
    ranks = [Two(rank, said[1 - rank]) for rank in (0, 1)]
    normalizers = [a_normalizer(), a_normalizer()]
    for normalizer, batch, rank in zip(normalizers, batches, ranks, strict=True):
        normalizer.update(batch, rank)
        assert normalizer.mean.tolist() == pytest.approx([4.0, 3.0])  # (1 + 4 + 7)/3, (0 + 3 + 6)/3
        assert normalizer.std.tolist() == pytest.approx([6.0**0.5, 6.0**0.5])  # (9 + 0 + 9)/3
        assert normalizer.count == 3.0

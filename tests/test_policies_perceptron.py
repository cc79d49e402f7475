"""Perceptrons by hand and by torch's own layers: the same numbers."""

import copy

import pytest
import torch

from policies import perceptron
from policies.perceptron import ACTIVATIONS, LEAST_ROWS, Perceptron

needs_onednn = pytest.mark.skipif(not perceptron.available(), reason="this torch has no oneDNN product")


def a_net(activation: str, sizes=(5, 16, 12, 3)) -> Perceptron:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Perceptron(list(sizes), activation)


def rows(number: int, width: int = 5) -> torch.Tensor:
    return torch.randn(number, width, generator=torch.Generator().manual_seed(1))


def gradients(net: Perceptron, x: torch.Tensor, loss=lambda y: y.square().sum()) -> list[torch.Tensor]:
    net.zero_grad()
    loss(net(x)).backward()
    return [x.grad, *[parameter.grad for parameter in net.parameters()]]


@needs_onednn
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_values_and_gradients_are_those_of_torchs_layers(activation, monkeypatch):
    net, x = a_net(activation), rows(LEAST_ROWS).requires_grad_()
    fast = gradients(net, x)
    x.grad = None
    fast_values = net(x)
    monkeypatch.setattr(perceptron, "FAST", False)
    assert torch.allclose(fast_values, net(x), rtol=1e-5, atol=1e-6)
    for one, other in zip(fast, gradients(net, x), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@needs_onednn
def test_rows_of_a_wider_table_need_no_copy_of_their_own():
    net, wide = a_net("elu"), rows(LEAST_ROWS, 9)
    assert torch.equal(net(wide[:, :5]), net(wide[:, :5].contiguous()))


@needs_onednn
def test_a_gradient_and_rows_that_are_one_row_repeated_are_no_trouble(monkeypatch):
    net, x = a_net("elu"), rows(1).expand(LEAST_ROWS, 5).detach().requires_grad_()
    fast = gradients(net, x, torch.sum)  # a sum's gradient has strides 0
    x.grad = None
    monkeypatch.setattr(perceptron, "FAST", False)
    for one, other in zip(fast, gradients(net, x, torch.sum), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_what_is_not_a_number_stays_so(activation):
    x = rows(LEAST_ROWS)
    x[3, 1] = float("nan")
    assert a_net(activation)(x).isnan().all(-1).nonzero()[:, 0].tolist() == [3]


@needs_onednn
def test_a_second_derivative_is_refused():
    x = rows(LEAST_ROWS).requires_grad_()
    (slope,) = torch.autograd.grad(a_net("elu")(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@needs_onednn
def test_large_batches_take_the_pass_by_hand(monkeypatch):
    monkeypatch.setattr(perceptron._Pass, "apply", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        a_net("relu")(rows(LEAST_ROWS))


@needs_onednn
def test_equal_batches_give_equal_bits():
    net, x = a_net("tanh"), rows(256).requires_grad_()
    first = [value.clone() for value in gradients(net, x)]
    x.grad = None
    again = gradients(copy.deepcopy(net), x)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_small_batches_and_double_precision_take_torchs_layers(monkeypatch):
    monkeypatch.setattr(perceptron._Pass, "apply", lambda *_: 1 / 0)
    net = a_net("relu")
    assert net(rows(LEAST_ROWS - 1)).shape == (LEAST_ROWS - 1, 3)
    assert net.double()(rows(LEAST_ROWS).double()).shape == (LEAST_ROWS, 3)


def test_weights_have_the_names_of_a_sequential():
    names = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    assert list(a_net("elu").state_dict()) == names


def test_an_unknown_activation_is_refused():
    with pytest.raises(LookupError, match=r"no activation named 'sine'; there are elu, relu, tanh"):
        Perceptron([1, 1], "sine")

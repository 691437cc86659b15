"""The forms in which a function may return its problem; each wrong one is refused in a sentence."""

import dataclasses
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gradstudy.models.user_module.returned.forms import as_setup
from gradstudy.models.user_module.returned.problem import Problem, ReturnedError

MODEL = nn.Linear(2, 1)
BATCHES = [torch.ones(3, 2)]
HELD_OUT = [torch.zeros(3, 2)]


def loss(model, batch):
    return model(batch).mean()


def accuracy(model, batch):
    return 0.5


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr)


@dataclasses.dataclass
class Mine:
    loss: object
    train: object
    model: object
    valid: object
    metrics: object
    optimizer: object


class Parts(NamedTuple):
    valid: object
    train: object
    metrics: object
    model: object
    optimizer: object
    loss: object


FORMS = [
    (MODEL, BATCHES, loss, HELD_OUT, sgd, accuracy),
    Problem(MODEL, BATCHES, loss, HELD_OUT, sgd, accuracy),
    {"optimizer": sgd, "metric": accuracy, "loss": loss, "module": MODEL, "batches": BATCHES, "validation": HELD_OUT},
    Mine(loss, BATCHES, MODEL, HELD_OUT, accuracy, sgd),
    Parts(HELD_OUT, BATCHES, accuracy, MODEL, sgd, loss),
]


@pytest.mark.parametrize("made", FORMS, ids=lambda made: type(made).__name__)
def test_parts_may_be_in_order_or_by_name(made):
    setup = as_setup("module:m:f", made)
    assert (setup.module, setup.batches, setup.validation) == (MODEL, BATCHES, HELD_OUT)
    assert (setup.loss, setup.validation_loss, setup.optimizer) == (loss, loss, sgd)
    assert [dict(measure(MODEL, BATCHES[0])) for measure in setup.measures] == [{"accuracy": 0.5}]


@pytest.mark.parametrize("made", [(MODEL, BATCHES, loss), {"model": MODEL, "train": BATCHES, "loss": loss}])
def test_three_parts_are_enough(made):
    setup = as_setup("module:m:f", made)
    assert (setup.validation, setup.optimizer, setup.measures) == (None, None, ())


def used_up():
    yield from BATCHES


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "must return (module, batches, loss), then validation batches, a function that makes an optimizer"),
        (None, "model, batches, train, loss, validation, valid, optimizer, metric, metrics), but returned None"),
        (MODEL, "but returned Linear, a model without data"),
        ((MODEL,), "but returned a tuple of 1"),
        ((MODEL, BATCHES, loss, None, None, None, None), "but returned a tuple of 7"),
        ([MODEL, BATCHES, loss], "but returned a list of Linear, a list of a tensor of shape [3, 2], function"),
        ({"model": MODEL, "data": BATCHES}, "has no part 'data': accepted are module, model, batches, train, loss"),
        ({"model": MODEL, "module": MODEL, "train": BATCHES}, "returned module twice: model and module are one"),
        ({"model": MODEL, "loss": loss}, "must return batches or train, but returned model, loss"),
        ({}, "must return module or model, but returned nothing"),
        ((nn.Linear, BATCHES, loss), "must be a torch.nn.Module, but is the class Linear: call it"),
        ((loss, BATCHES, MODEL), "must be a torch.nn.Module, but is function"),
        ((MODEL, 7, loss), "must be iterable or a function of the step, but are int"),
        ((MODEL, TensorDataset(torch.ones(3, 2)), loss), "but are TensorDataset: put it into a DataLoader"),
        ((MODEL, {"train": BATCHES}, loss), "must be iterable or a function of the step, but are dict"),
        ((MODEL, nn.MSELoss(), BATCHES), "the batches of module:m:f come second, but there is MSELoss"),
        ((MODEL, [], loss), "must not end, but there are none"),
        ((MODEL, BATCHES, 0.5), "must be a function of module and batch, but is float"),
        ((MODEL, BATCHES, HELD_OUT), "validation batches come after the loss"),
        ((MODEL, BATCHES, nn.CrossEntropyLoss()), "but is CrossEntropyLoss, which takes outputs and targets"),
        ((MODEL, BATCHES, lambda m: 1.0), "the loss of module:m:f must be a function of module and batch, but takes ("),
        ((MODEL, BATCHES, loss, 3), "must be a list or a DataLoader, but are int"),
        ((MODEL, BATCHES, loss, used_up()), "but a generator can be used once only: return a list or a DataLoader"),
        ((MODEL, BATCHES, loss, []), "no validation batch"),
        ((MODEL, BATCHES, loss, None, torch.optim.AdamW(MODEL.parameters(), 0.1)),
         "but is AdamW already made: return lambda parameters, lr: torch.optim.AdamW(parameters, lr)"),
        ((MODEL, BATCHES, loss, None, "adamw"), "must be a function of parameters and learning rate, but is str"),
        ((MODEL, BATCHES, loss, None, lambda parameters: None), "but takes (parameters)"),
        ((MODEL, BATCHES, loss, None, None, 0.9), "the metric of module:m:f must be a function of module and batch"),
    ],
)  # fmt: skip
def test_what_cannot_be_studied_is_refused(made, said):
    with pytest.raises(ReturnedError) as caught:
        as_setup("module:m:f", made)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_optimizers_are_taken_as_people_write_them():
    for optimizer in (torch.optim.RMSprop, lambda *given: sgd(*given), lambda parameters, lr=1.0: sgd(parameters, lr)):
        assert as_setup("module:m:f", (MODEL, BATCHES, loss, None, optimizer)).optimizer is optimizer


class Outputs(dict):
    loss = property(lambda self: self["loss"])


class Labelled(nn.Linear):
    """As a model of Hugging Face's: its outputs hold a loss where the batch has labels."""

    def forward(self, inputs, labels=None):
        logits = super().forward(inputs)
        return Outputs({} if labels is None else {"loss": (logits - labels).square().mean()})


def test_a_model_whose_outputs_have_a_loss_needs_none():
    batches = DataLoader([{"inputs": torch.ones(2), "labels": torch.zeros(1)} for _ in range(4)], 2)
    setup = as_setup("module:m:f", (model := Labelled(2, 1), batches))
    batch = next(iter(setup.batches))
    assert torch.equal(setup.loss(model, batch), model(**batch).loss)
    assert torch.equal(setup.validation_loss(model, batch), model(**batch).loss)


@pytest.mark.parametrize(
    ("model", "batch", "said"),
    [
        (MODEL, torch.ones(3, 2), "Linear has no training_step and its batches are no dictionaries but a tensor of"),
        (Labelled(2, 1), {"inputs": torch.ones(3, 2)}, "outputs of Labelled have none (Outputs): put labels into the"),
    ],
)
def test_a_model_without_a_loss_is_refused(model, batch, said):
    setup = as_setup("module:m:f", (model, [batch]))
    with pytest.raises(ReturnedError, match="returned no loss") as caught:
        setup.loss(model, batch)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("good", "must return a number, or a dictionary of numbers by name, but returned str"),
        (torch.ones(3), "but returned a tensor of shape [3]"),
        ({"of a": 1.0}, "1 to 64 letters, digits or _./- and begin with a letter, but is 'of a'"),
        ({"x" * 65: 1.0}, "1 to 64 letters"),
        ({3: 1.0}, "but is 3"),
        ({"accuracy": [1.0]}, "the metric accuracy of module:m:f must be a number, but is a list of float"),
    ],
)
def test_a_metric_that_gives_no_numbers_is_refused(found, said):
    setup = as_setup("module:m:f", (MODEL, BATCHES, loss, None, None, lambda model, batch: found))
    with pytest.raises(ReturnedError) as caught:
        setup.measures[0](MODEL, BATCHES[0])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("found", "numbers"),
    [
        (1, {"metric": 1.0}),
        (True, {"metric": 1.0}),
        (torch.tensor([2.5], requires_grad=True), {"metric": 2.5}),
        (torch.tensor(3).numpy(), {"metric": 3.0}),
        ({"val/wer": torch.tensor(0.25), "bleu-4": 7}, {"val/wer": 0.25, "bleu-4": 7.0}),
    ],
)
def test_a_metric_gives_numbers(found, numbers):
    setup = as_setup("module:m:f", (MODEL, BATCHES, loss, None, None, lambda model, batch: found))
    assert dict(setup.measures[0](MODEL, BATCHES[0])) == numbers


def test_a_model_of_hugging_face():
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0, dropout_rate=0.0
    )
    tokens = torch.randint(2, 20, (4, 6), generator=torch.Generator().manual_seed(0))
    batch = transformers.BatchEncoding({"input_ids": tokens, "labels": tokens.flip(1)})
    setup = as_setup("module:m:f", (model := transformers.T5ForConditionalGeneration(config), [batch]))
    logits = model(**batch).logits
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
    assert torch.allclose(setup.loss(model, batch), expected)
    with pytest.raises(ReturnedError, match="put labels into the batches, which have input_ids, decoder_input_ids"):
        setup.loss(model, {"input_ids": tokens, "decoder_input_ids": tokens})

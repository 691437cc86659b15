"""Modules and data modules with Lightning's methods, by classes that do without a trainer what Lightning's do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gradstudy.models.array import TrainingRun
from gradstudy.models.schedules import Schedule
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.returned.forms import as_setup
from gradstudy.models.user_module.returned.problem import ReturnedError

DATA = torch.randn(60, 4, generator=torch.Generator().manual_seed(1)).double()


class LightningModule(nn.Module):
    """What has no meaning without a trainer warns or raises, as Lightning's."""

    def log(self, *_, **__):
        raise AssertionError("a trainer is needed")

    log_dict = training_step = validation_step = configure_optimizers = log

    @property
    def trainer(self):
        raise RuntimeError("not attached to a `Trainer`")


class LightningDataModule:
    def prepare_data(self):
        pass

    def setup(self, stage):
        pass

    def train_dataloader(self):
        raise AssertionError("must be implemented")

    val_dataloader = train_dataloader


LightningModule.__module__ = "pytorch_lightning.core.module"
LightningDataModule.__module__ = "lightning.pytorch.core.datamodule"


class Lit(LightningModule):
    def __init__(self, lr=1.0):
        super().__init__()
        self.lr = lr
        self.layer = nn.Linear(3, 1).double()

    def step(self, batch):
        return (self.layer(batch[:, :3]).squeeze(1) - batch[:, 3]).square().mean()

    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.log("train_loss", loss, prog_bar=True)
        return {"loss": loss}

    def validation_step(self, batch):
        error = (self.layer(batch[:, :3]).squeeze(1) - batch[:, 3]).abs()
        self.log("error (abs)", error.mean())
        self.log_dict({"worst": error.max(), "not a number": "text"}, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)]


class Data(LightningDataModule):
    def setup(self, stage):
        assert stage == "fit"
        self.rows = DATA

    def train_dataloader(self):
        return DataLoader(self.rows[:40], 8)

    def val_dataloader(self):
        return DataLoader(self.rows[40:], 10)


def user(made):
    return UserModule("module:m:f", lambda seed: made(), {}, None, "")


def array(task, *, batched, slots=4):
    return ModuleArray(
        task, "module", slots=slots, batch_size=8, optimizer=None, schedule=Schedule("constant", steps=20), guard=False,
        device=torch.device("cpu"), batched=batched, shared_draws=0,
    )  # fmt: skip


def run(seed, learning_rate=0.05):
    return TrainingRun(seed=seed, strategy="none", threshold=None, learning_rate=learning_rate)


def test_a_module_and_its_data_train_as_a_loop_of_ones_own_with_a_schedule_that_steps_each_epoch():
    task = user(lambda: (Lit(), Data()))
    tried = try_batching(task, "module", 8, torch.device("cpu"), 0)
    assert (tried.batched, tried.optimizer.name, tried.optimizer.error) == (True, "AdamW", None)
    trained = array(task, batched=True)
    rates = {seed: 0.02 * (seed + 1) for seed in range(3)}
    slots = [trained.admit(run(seed, rate)) for seed, rate in rates.items()]
    losses = trained.train(20).loss
    assert trained.failures == {}
    for slot, (seed, rate) in zip(slots, rates.items(), strict=True):
        torch.manual_seed(seed)
        model = Lit()
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
        schedule, by_hand = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5), []
        for _ in range(4):
            for batch in DataLoader(DATA[:40], 8):
                optimizer.zero_grad()
                loss = model.step(batch)
                loss.backward()
                optimizer.step()
                by_hand.append(loss.item())
            schedule.step()
        np.testing.assert_allclose(losses[:, slot], by_hand, rtol=1e-10)
        with torch.no_grad():
            batches = DATA[40:].split(10)
            assert trained.validation_loss(slot) == pytest.approx(float(sum(map(model.step, batches)) / 2), rel=1e-10)
            errors = [(model.layer(batch[:, :3]).squeeze(1) - batch[:, 3]).abs() for batch in batches]
        assert trained.metrics(slot) == pytest.approx(
            {"error__abs_": float(sum(e.mean() for e in errors) / 2), "worst": float(sum(e.max() for e in errors) / 2)}
        )


def test_a_validation_step_that_returns_a_loss_gives_the_validation_loss():
    class Other(Lit):
        def validation_step(self, batch):
            return 3 * self.step(batch)

    setup = as_setup("module:m:f", (model := Other(), Data()))
    with torch.no_grad():
        assert torch.equal(setup.validation_loss(model, DATA), 3 * model.step(DATA))
    assert dict(setup.measures[0](model, DATA)) == {}


class Hparams(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def with_optimizer(configure, **attributes):
    model = type("Other", (Lit,), {"configure_optimizers": configure})()
    del model.lr
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def plain(rate_of):
    return lambda self: torch.optim.SGD(self.parameters(), lr=rate_of(self))


@pytest.mark.parametrize(
    ("rate_of", "attributes"),
    [
        (lambda self: self.lr, {"lr": 1.0}),
        (lambda self: 5 * self.learning_rate, {"learning_rate": 1.0, "lr": None}),
        (lambda self: self.hparams.lr, {"hparams": Hparams(lr=1.0)}),
    ],
)
def test_the_learning_rate_is_set_where_lightning_sets_it(rate_of, attributes):
    model = with_optimizer(plain(rate_of), **attributes)
    setup = as_setup("module:m:f", (model, DATA.split(8)))
    made, schedules = setup.optimizer(list(model.parameters()), 0.25)
    assert (made.param_groups[0]["lr"], schedules) == (rate_of(model), [])
    assert rate_of(model) in (0.25, 1.25)


def scheduled(self, **config):
    optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1), **config},
    }


@pytest.mark.parametrize(
    ("config", "updates"),
    [({"interval": "step"}, 1), ({"interval": "step", "frequency": 3}, 3), ({"frequency": 2}, 16), ({}, 8)],
)
def test_a_schedule_steps_as_often_as_it_says(config, updates):
    model = with_optimizer(lambda self: scheduled(self, **config), lr=1.0)
    setup = as_setup("module:m:f", (model, DATA.split(8)))
    _, schedules = setup.optimizer(list(model.parameters()), 0.25)
    assert [schedule.updates for schedule in schedules] == [updates]


def endless(step):
    return DATA[:8]


@pytest.mark.parametrize(
    ("model", "batches", "said"),
    [
        (with_optimizer(plain(lambda self: 1e-3), lr=1.0), [DATA], "but has a learning rate of its own; or say --opt"),
        (with_optimizer(plain(lambda self: 1e-3)), [DATA], "but has neither; or say --optimizer NAME"),
        (with_optimizer(lambda self: None, lr=1.0), [DATA], "must return one optimizer, with or without schedules"),
        (with_optimizer(lambda self: [*map(plain(lambda _: 1.0), [self, self])], lr=1.0), [DATA], "must return one"),
        (with_optimizer(scheduled, lr=1.0), endless, "steps once an epoch, whose length its function does not say"),
    ],
)
def test_an_optimizer_that_a_study_cannot_set_is_refused(model, batches, said):
    setup = as_setup("module:m:f", (model, batches))
    with pytest.raises(ReturnedError) as caught:
        setup.optimizer(list(model.parameters()), 0.25)
    assert said in str(caught.value)


def test_what_needs_a_trainer_is_said_when_it_is_tried():
    def configure(self):
        return plain(lambda one: one.lr * self.trainer.max_epochs)(self)

    tried = try_batching(user(lambda: (with_optimizer(configure, lr=1.0), [DATA])), "module", 8, torch.device("cpu"), 0)
    assert "cannot be made; mend it, or say --optimizer NAME: RuntimeError: not attached to a `Trainer` (" in (
        tried.optimizer.error
    )


class Several(Data):
    def val_dataloader(self):
        return [super().val_dataloader()]


class WithoutLoss(Lit):
    def training_step(self, batch):
        self.step(batch)


def test_what_cannot_be_studied_is_refused():
    with pytest.raises(ReturnedError, match="val_dataloader of module:m:f must return one loader, but returned a list"):
        as_setup("module:m:f", (Lit(), Several()))
    manual = Lit()
    manual.automatic_optimization = False
    with pytest.raises(ReturnedError, match="must leave optimization to others"):
        as_setup("module:m:f", (manual, Data()))
    setup = as_setup("module:m:f", (model := WithoutLoss(), Data()))
    with pytest.raises(ReturnedError, match=r"training_step of WithoutLoss .* must return a loss, .* returned None"):
        setup.loss(model, DATA)


def test_lightnings_own_methods_stand_for_none():
    class Bare(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1).double()

        def training_step(self, batch):
            return self.layer(batch).square().mean()

    class Train(LightningDataModule):
        def train_dataloader(self):
            return DataLoader(TensorDataset(DATA), 8)

    setup = as_setup("module:m:f", (Bare(), Train()))
    assert (setup.optimizer, setup.validation, setup.measures) == (None, None, ())


def test_a_module_with_a_loss_beside_it_keeps_its_optimizer():
    def loss(model, batch):
        return model.training_step(batch, 0)["loss"]

    setup = as_setup("module:m:f", (Lit(), Data(), loss))
    assert setup.loss is loss
    assert setup.validation_loss is loss
    assert setup.optimizer is not None


def test_lightning_itself():
    pytorch_lightning = pytest.importorskip("pytorch_lightning")

    class Real(pytorch_lightning.LightningModule):
        __init__, step = Lit.__init__, Lit.step
        training_step, validation_step = Lit.training_step, Lit.validation_step
        configure_optimizers = Lit.configure_optimizers

    class RealData(pytorch_lightning.LightningDataModule):
        setup, train_dataloader, val_dataloader = Data.setup, Data.train_dataloader, Data.val_dataloader

    Real.__init__ = lambda self: (pytorch_lightning.LightningModule.__init__(self), setattr(self, "lr", 1.0),
                                  setattr(self, "layer", nn.Linear(3, 1).double()), None)[-1]  # fmt: skip
    found = []
    for made in (lambda: (Real(), RealData()), lambda: (Lit(), Data())):
        task = user(made)
        assert try_batching(task, "module", 8, torch.device("cpu"), 0).batched
        trained = array(task, batched=True)
        trained.admit(run(0))
        found.append((trained.train(20).loss, trained.validation_loss(0), trained.metrics(0)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]

"""The program that people write today: an Optuna objective with torch's layers, run by several processes.

python tests/benchmarks/one_at_a_time.py SPEC.json URL PROCESSES report|attribute
"""

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from torch import Tensor, nn
from training_step import Seq2Seq

from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.data import model_shape


def clip(model: nn.Module, strategy: str, threshold: float | None) -> Tensor:
    if strategy == "value":
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        nn.utils.clip_grad_value_(model.parameters(), threshold or 0)
        return norm
    return nn.utils.clip_grad_norm_(model.parameters(), threshold if strategy == "norm" and threshold else float("inf"))


def work(spec: StudySpec, url: str, telemetry: str) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = load_task(spec.task, **spec.task_options)
    validation = TrialBatches(data, 1, spec.batch_size).validation(256)
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})

    def objective(trial: optuna.Trial) -> float:
        setting = suggest(trial, spec)
        torch.manual_seed(trial.number)
        model = Seq2Seq(model_shape(spec, setting.cell, data))
        optimizer = torch.optim.SGD(model.parameters(), setting.learning_rate)
        batches = TrialBatches(data, 1, spec.batch_size)
        batches.admit(0, trial.number)
        losses, norms = [], []
        for step in range(spec.steps):
            batch = batches.batch(np.array([step]))
            optimizer.zero_grad()
            loss = model(batch.source[0], batch.target[0])
            loss.backward()
            norms.append(clip(model, setting.strategy, setting.threshold).item())
            optimizer.step()
            losses.append(loss.item())
            if telemetry == "report":
                trial.report(losses[-1], step)
        if telemetry == "attribute":
            trial.set_user_attr("losses", losses)
        trial.set_user_attr("norms", norms)
        with torch.no_grad():
            return float(model(validation.source[0], validation.target[0]))

    study = optuna.load_study(study_name=spec.name, storage=storage, sampler=make_sampler(spec))
    counted = (TrialState.COMPLETE, TrialState.RUNNING)
    study.optimize(objective, callbacks=[MaxTrialsCallback(spec.trials, states=counted)])


def main() -> None:
    spec = StudySpec.model_validate_json(Path(sys.argv[1]).read_text())
    url, processes, telemetry = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    optuna.create_study(study_name=spec.name, storage=url)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(spec, url, telemetry)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit(1)


if __name__ == "__main__":
    main()

"""What every worker needs and what takes long to load: only the process that workers are forked from imports this.

It starts no threads, for a process that has any must not be forked.
"""

# ruff: noqa: E402

import ctypes
import fcntl
import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

# Until it serves its launcher it does not notice that this has ended, as it does at once when the command was wrong:
# the system is to end it then, or what it writes to would stay open.
SET_SIGNAL_OF_PARENTS_END = 1
system = ctypes.CDLL(None)
system.prctl(SET_SIGNAL_OF_PARENTS_END, signal.SIGTERM)
gc.disable()  # what is loaded here stays: to look for garbage in it takes a tenth of the time of loading it

import alembic.context  # noqa: F401  (of Optuna's storage)
import torch

import gradstudy.scripts.running.every_study
import gradstudy.scripts.running.on_the_way
import gradstudy.study.search.auto_sampler
import gradstudy.study.worker.worker  # noqa: F401
from gradstudy.models.warm_up import load_kernels
from gradstudy.scripts.running.forked_worker import SPEC_VARIABLE
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.data import keep_data
from gradstudy.study.training.device import set_up_process

set_up_process()
if not torch.backends.cuda.is_built():  # with CUDA, the backward pass of a kernel's first run would start threads
    load_kernels()
if (place := os.environ.pop(SPEC_VARIABLE, None)) is not None:
    with suppress(Exception), Path(place).open() as spec:  # of which the worker says what it is
        fcntl.flock(spec, fcntl.LOCK_SH)
        keep_data(StudySpec.model_validate_json(spec.read()))
gc.enable()
gc.freeze()  # memory that no later collection writes to stays shared
system.prctl(SET_SIGNAL_OF_PARENTS_END, 0)

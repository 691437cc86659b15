"""What every worker needs and what takes long to load: only the process that workers are forked from imports this.

It starts no threads, for a process that has any must not be forked.
"""

import gc
import os
from contextlib import suppress

import torch

import gradstudy.scripts.running.on_the_way
import gradstudy.study.worker.worker  # noqa: F401
from gradstudy.models.warm_up import load_kernels
from gradstudy.scripts.running.forked_worker import SPEC_VARIABLE
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.data import keep_data
from gradstudy.study.training.device import set_up_process

set_up_process()
if not torch.backends.cuda.is_built():  # with CUDA, the backward pass of a kernel's first run would start threads
    load_kernels()
if (spec := os.environ.pop(SPEC_VARIABLE, None)) is not None:
    with suppress(Exception):  # of which the worker says what it is
        keep_data(StudySpec.model_validate_json(spec))
gc.collect()
gc.freeze()  # memory that no later collection writes to stays shared

from typing import get_args

from gradstudy.models import compiled_kernels
from gradstudy.models.kernels import Kernel
from gradstudy.models.tasks import order
from gradstudy.models.warm_up import load_kernels


def test_every_compiled_function_of_a_usual_training_step_is_loaded() -> None:
    load_kernels()
    for name in get_args(Kernel):
        if name.startswith("rnn_"):  # few studies have such cells
            continue
        assert getattr(compiled_kernels, name).signatures, name
    assert order._shuffle.signatures

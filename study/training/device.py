"""Where to train, and with how many threads."""

from gradstudy.study.errors import DeviceError
from gradstudy.study.spec.study_spec import StudySpec


def check_device(name: str) -> None:
    """Raise DeviceError unless this machine, with this torch, can train on the device."""
    if name == "cpu":
        return
    import torch

    usable = ["cpu"]
    if torch.cuda.is_available():
        usable += ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        usable.append("mps")
    if name not in usable:
        raise DeviceError(f"the device must be one of {', '.join(usable)} on this machine, but got {name!r}")


def check_precision(spec: StudySpec, device: str) -> None:
    """Raise DeviceError where a study computes in a precision that is not for the device."""
    precisions = spec.space.factors.get("precision", (spec.precision,))
    if "float16" in precisions and not device.startswith("cuda"):
        raise DeviceError(
            "precision float16 is for a GPU: give --device cuda, or precision float32 or bfloat16, "
            f"but got device {device!r}"
        )


def set_up_process(threads: int = 1) -> None:
    """Let this process compute as workers do: what trains a trial again must round as they did.

    So many threads are used by torch, and by NumPy, with which samplers compute beside the training: NumPy's own, one
    for each processor, would take the processors from it. Numbers too small for a normal float are zero: where the
    gates of a model are saturated, gradients are full of them, and a step would take five times as long.
    """
    import scipy.linalg  # noqa: F401  (loaded now: what is loaded later is not limited)
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    threadpool_limits(limits=threads, user_api="blas")

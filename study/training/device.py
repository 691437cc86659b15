"""Where to train."""

from gradstudy.study.errors import DeviceError


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

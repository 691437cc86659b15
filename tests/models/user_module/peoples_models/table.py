"""Writes the table of docs/peoples-models.md: python tests/models/user_module/peoples_models/table.py."""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[3] / "docs" / "peoples-models.md"


def main() -> None:
    """Try every model and write what was found."""
    sys.path[0] = str(HERE.parent)
    from gradstudy.models.user_module.batching import try_batching
    from gradstudy.models.user_module.loading import UserModule
    from peoples_models import PROBLEMS, row

    torch.set_default_dtype(torch.float64)
    rows = []
    for name, function in PROBLEMS.items():
        user = UserModule("module:m:p", function, {}, None, "")
        rows.append(row(name, try_batching(user, "module", 4, torch.device("cpu"), 7)))
    head, _, rest = PAGE.read_text().partition("| --- | --- | --- |\n")
    _, _, after = rest.partition("\n\n")
    PAGE.write_text(f"{head}| --- | --- | --- |\n{''.join(rows)}\n{after}")


if __name__ == "__main__":
    main()

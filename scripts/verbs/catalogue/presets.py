"""``gradstudy presets``: the literature's experiments that can be launched by name."""

import typer


def presets() -> None:
    """List the literature's experiments: ``gradstudy launch --preset NAME`` runs one and says whether it holds."""
    from gradstudy.study.literature.presets import PRESETS, planned

    for name, preset in PRESETS.items():
        typer.echo(f"{name}: {preset.description}")
        typer.echo(f"  from {preset.source}")
        for expectation, first, second in planned(name):
            typer.echo(f"  expected: {expectation.literature}")
            typer.echo(f"    about {first} and {second} runs {expectation.power_in_words(first, second)}")

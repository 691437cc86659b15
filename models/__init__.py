"""What is trained: recurrent cells, clipping strategies, optimizers, tasks and the trial array.

This room knows neither Optuna nor SQL and can be used alone.
"""

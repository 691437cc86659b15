"""What optuna-dashboard and the page of all studies show of a study, kept with it while it runs."""

"""Optimisations: a controller job that lets Optuna propose the parameters of the jobs it queues."""

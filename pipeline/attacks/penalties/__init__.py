"""Penalties: what is subtracted from the objective, such as interactions of the perturbation."""

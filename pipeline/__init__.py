"""Gauntlet's science: attacks, models, data, evaluation, results. Needs neither Ray nor a cluster.

In a notebook::

    from pipeline import Attack, attack
    adversarial = attack([net_a, net_b], images, labels, Attack(base="di-mi", combine="rgea"))
"""

from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch, Goal, Task
from pipeline.library import attack, gradient_cosines
from pipeline.models.adapter import Model, adapt

__all__ = ["Attack", "Batch", "Goal", "Model", "Task", "adapt", "attack", "gradient_cosines"]

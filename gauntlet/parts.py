"""What parts of your own are made from: their kinds, and what these hand over (docs/own-parts.md).

::

    from gauntlet.parts import View, register

    @register
    class Mirror(View):
        '''The image, mirrored.'''

        token = "mirror"

        def apply(self, images, copy, draws):
            return images.flip(3)
"""

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.combine.gram import Units, gram, mean, weighted_sum
from gauntlet.pipeline.attacks.combine.rule import Direction, GradientRule, Rule
from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective, towards
from gauntlet.pipeline.attacks.objectives.outputs import ClassObjective
from gauntlet.pipeline.attacks.part import Choice, Part, Place, register
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.points.point import Iteration, QueryPoint
from gauntlet.pipeline.attacks.starts.start import Start
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.draws import Draws

__all__ = [
    "Ask",
    "Ball",
    "Choice",
    "ClassObjective",
    "Direction",
    "Draws",
    "Filter",
    "Forward",
    "GradientRule",
    "Iteration",
    "Known",
    "Objective",
    "Part",
    "Penalty",
    "Place",
    "QueryPoint",
    "Rule",
    "Start",
    "Step",
    "Surgery",
    "Surrogate",
    "Units",
    "Update",
    "View",
    "gram",
    "mean",
    "register",
    "towards",
    "weighted_sum",
]

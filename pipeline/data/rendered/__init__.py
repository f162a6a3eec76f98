"""Faces drawn by formula: people and photographs of them, as many as a study asks for.

A person is a point in a continuous space of traits, a photograph draws everything else: pose,
expression, light, background, occlusion, blur, noise. Both are functions of a seed and a number.
"""

from gauntlet.pipeline.data.rendered.render import TEST_IDENTITIES, TRAIN_IDENTITIES, render

__all__ = ["TEST_IDENTITIES", "TRAIN_IDENTITIES", "render"]

"""The gallery of a run by rank: found out, as thresholds are, before the first attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.examples import Examples, Rejected
from gauntlet.pipeline.data.gallery_images import GalleryImages, open_gallery
from gauntlet.pipeline.evaluation.gallery import Embeddings, Gallery
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.manifest import GalleryRecord
from gauntlet.pipeline.run import gallery_cache
from gauntlet.pipeline.run.engine import Models
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.selection import judging
from gauntlet.pipeline.run.showing import Showing

STAGE = "gallery"


@dataclass(frozen=True)
class FoundGallery:
    """A run's gallery.

    Attributes:
        gallery: as every judge of the run has it.
        record: what the manifest says of it.
        rejected: images that could not be decoded, and are no part of it.
    """

    gallery: Gallery
    record: GalleryRecord
    rejected: Sequence[Rejected]


def find_gallery(
    plan: Plan, examples: Examples, models: Models, progress: Progress
) -> FoundGallery | None:
    """Return the gallery that a plan judges by; None where it judges by thresholds.

    Each model that judges embeds each image once, `resources.batch` of them at a time, unless it
    did so before. What is kept of an image is its embedding by each of them, 4 bytes a number.

    Raises:
        BadInput: when the gallery cannot be read or is too small for the rank, or a model's
            outputs on one of its images are not finite.
    """
    if plan.success is None or plan.success.gallery is None or plan.success.rank is None:
        return None
    rank = plan.success.rank
    listed = open_gallery(plan.success.gallery, examples, root=plan.root, seed=plan.seed)
    images, rejected = listed.readable()
    if rejected:
        names = first_names([image.id for image in rejected])
        progress.note(f"gallery: {len(rejected):,} of {len(listed):,} images left out ({names})")
    if lack := images.lacks(rank):
        raise BadInput(Problem("success.gallery", lack))
    record = GalleryRecord(images=len(images), fingerprint=images.fingerprint)
    cards = models.cards
    keys = {
        name: f"{(cards.get(f'target/{name}') or cards[f'surrogate/{name}']).fingerprint}"
        f"-{record.fingerprint}-{plan.seed}"
        for name in judging(plan)
    }
    known = {name: gallery_cache.load(key, len(images)) for name, key in keys.items()}
    embeddings = {name: found for name, found in known.items() if found is not None}
    if missing := [name for name in keys if name not in embeddings]:
        for name, found in _embedded(plan, images, missing, models, progress).items():
            gallery_cache.save(keys[name], found)
            embeddings[name] = found
    gallery = Gallery(rank, images.shows, images.victims, embeddings)
    return FoundGallery(gallery, record, rejected)


def _embedded(
    plan: Plan, images: GalleryImages, names: Sequence[str], models: Models, progress: Progress
) -> dict[str, Embeddings]:
    """Return what models see in every image, (G, D) each."""
    progress.stage(STAGE, len(images), "images")
    parts: dict[str, list[Embeddings]] = {name: [] for name in names}
    shown = images.examples.image_names
    for first in range(0, len(images), plan.resources.batch):
        chunk = images.positions[first : first + plan.resources.batch].tolist()
        ids = tuple(shown[place] for place in chunk)
        showing = Showing(images.examples.images(chunk), ids, "gallery", plan.seed)
        for name, outputs in models.ask(names, showing).items():
            bad = np.flatnonzero(~np.isfinite(outputs[0]).all(1))
            if bad.size:
                what = f"{name!r} gives numbers that are not finite for {ids[bad[0]]}"
                raise BadInput(Problem("success.gallery", what))
            parts[name].append(outputs[0])
        progress.advance(STAGE, len(chunk))
    return {name: np.concatenate(found) for name, found in parts.items()}

"""Ask whether what the ablation map, the lens and the deletion curves find is real.

    python benchmarks/head_ablation.py RUN --to zh-Hant --examples 100

The three heads whose loss alone costs the most development loss are switched off together, and so
are triples of other heads, drawn at random: the first must cost the most BLEU. The lens follows the
answer from part to part over the same sentences, and the deletion curves name the most faithful
attribution of this model. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

import triptych
from triptych.inference.aiming import aimed
from triptych.inference.evaluation import loss_sums, means
from triptych.inspection.ablation import measured_map
from triptych.inspection.attributions import deletion_curves
from triptych.inspection.interventions import ablated
from triptych.inspection.lens import lens
from triptych.inspection.sites import Site, sites
from triptych.setup.development import development_examples

TRIPLE, DRAWS = 3, 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--to")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--curves", type=int, default=40, help="sentences of the deletion curves")
    given = parser.parse_args()
    predictor = triptych.load(given.run)
    examples = development_examples(predictor, given.examples, given.to)
    settings = predictor.settings(beams=1)

    def loss() -> float:
        found = means(loss_sums(predictor, examples))
        return found.get("nll", found["loss"])

    def metric(off: list[Site]) -> float:
        with ablated(predictor.model, off):
            scores = predictor.evaluate(examples, settings).scores.values
        return next(iter(scores.values()))

    heads = [one for one in sites(predictor.model) if one.head is not None]
    found = measured_map(predictor.model, loss, "loss", len(examples), heads)
    ranked = sorted(zip(found.changes, found.sites, strict=True), key=lambda pair: -pair[0])
    first, others = [one for _, one in ranked[:TRIPLE]], [one for _, one in ranked[TRIPLE:]]
    generator = np.random.default_rng(1)
    drawn = [
        metric([others[place] for place in generator.choice(len(others), TRIPLE, replace=False)])
        for _ in range(DRAWS)
    ]
    stages: dict[str, list[tuple[float, float]]] = {}
    probes = []
    for one in examples[: given.curves]:
        aim = aimed(predictor, one, settings)
        probes.append(aim.probe)
        seen = lens(aim.probe, "decoder", aim.wanted)
        for stage, chances, ranks in zip(seen.stages, seen.probabilities, seen.ranks, strict=True):
            stages.setdefault(stage, []).extend(zip(chances.tolist(), ranks.tolist(), strict=True))
    curves = deletion_curves(probes)
    result = {
        "examples": len(examples),
        "heads": len(heads),
        "loss": found.base,
        "most_important": [(str(site), change) for change, site in ranked[:TRIPLE]],
        "least_important": [(str(site), change) for change, site in ranked[-TRIPLE:]],
        "metric": {
            "all": metric([]),
            "without_the_three": metric(first),
            "without_three_others": sorted(drawn),
        },
        "lens": {
            stage: {
                "probability": float(np.mean([one for one, _ in each])),
                "first_percent": 100 * float(np.mean([rank == 1 for _, rank in each])),
            }
            for stage, each in stages.items()
        },
        "deletion_area": curves.areas,
        "most_faithful": curves.best,
        "deletion_sentences": curves.sentences,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

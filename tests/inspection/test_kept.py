"""What is measured over many sentences is kept in the run folder, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import toy_writer

from triptych import Interventions
from triptych.errors import UsageError
from triptych.inference import faithfulness
from triptych.inference.interventions import intervene
from triptych.inference.predictor import Predictor
from triptych.inspection.attributions import Falls, mean_curves
from triptych.inspection.kept import keep, kept
from triptych.runs.run import Run

METHODS = ["attention", "gradient_times_input"]
TEXTS = ["the cat", "sat on the mat", "a cat on a mat"]


@pytest.fixture()
def predictor(tmp_path: Path) -> Predictor:
    found = toy_writer.predictor()
    found.run = Run(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return found


def test_what_is_kept_belongs_to_its_weights(predictor: Predictor) -> None:
    run = predictor.run
    assert run is not None and kept(run, "arcs") is None
    keep(run, "arcs", {"sentences": 3})
    assert kept(run, "arcs") == {"sentences": 3}
    (run.path / "model.safetensors").write_bytes(b"other weights")
    assert kept(run, "arcs") is None, "it was measured on other weights"
    (run.path / "inspection" / "arcs.json").write_text("{")
    assert kept(run, "arcs") is None


class Stopped(Exception):
    """Stand for the user's Ctrl-C."""


def test_curves_go_on_where_they_stopped(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = predictor.settings(max_length=2)
    examples = [predictor.example(one) for one in TEXTS]
    whole = faithfulness.development_curves(predictor, METHODS, examples, settings)
    monkeypatch.setattr(faithfulness, "EVERY", -1.0)  # keep after each sentence
    answered: list[str | None] = []
    aimed = faithfulness.aimed

    def counted(run: Predictor, example: object, *rest: object) -> object:
        answered.append(getattr(example, "text", None))
        if len(answered) == 3:
            raise Stopped
        return aimed(run, example, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(faithfulness, "aimed", counted)
    with pytest.raises(Stopped):
        faithfulness.development_curves(predictor, METHODS, examples, settings, keeps=True)
    assert predictor.run is not None
    half = kept(predictor.run, "deletion")
    assert half is not None and half["sentences"] == 2 and half["complete"] is False
    found = faithfulness.development_curves(predictor, METHODS, examples, settings, keeps=True)
    assert answered == [*TEXTS, TEXTS[2]], "two sentences were not measured again"
    for name, area in whole.areas.items():
        assert found.areas[name] == pytest.approx(area, abs=1e-5), name
    done = kept(predictor.run, "deletion")
    assert done is not None and done["complete"] and done["most_faithful"] == whole.best
    others = [predictor.example(one) for one in ("on", *TEXTS[1:])]
    answered.append("")  # so that nothing stops
    faithfulness.development_curves(predictor, METHODS, others, settings, keeps=True)
    assert answered[-3:] == ["on", *TEXTS[1:]], "other sentences are measured anew"


def test_how_sure_the_first_is() -> None:
    def falls(good: float, bad: float) -> Falls:
        line = np.linspace(0, 1, 11)
        return Falls(3, {"good": good * line, "bad": bad * line, "random": 9 * line})

    clear = mean_curves([falls(2, 1), falls(3, 1), falls(2, 2)])
    assert clear.best == "good" and clear.sure is not None and clear.sure > 0.9
    close = mean_curves([falls(4, 1), falls(1, 3), falls(2, 1.5)])
    assert close.sure is not None and 0.4 < close.sure < 0.9
    assert mean_curves([falls(2, 1)]).sure is None
    assert json.loads(json.dumps(clear.to_json()))["sure"] == clear.sure


def test_maps_are_kept(predictor: Predictor) -> None:
    example, settings = predictor.example("the cat"), predictor.settings(max_length=2)
    asked = Interventions(ablate=True, keep=True)
    found = intervene(predictor, example, asked, settings, development=[example])
    assert predictor.run is not None
    maps = kept(predictor.run, "ablation")
    assert maps is not None and [one["measure"] for one in maps["maps"]] == ["loss"]
    assert maps["maps"][0]["changes"] == found.ablation[1].changes
    with pytest.raises(UsageError, match="--without changes it"):
        intervene(
            predictor, example, Interventions(keep=True, without=["decoder.1.self.1"]), settings
        )
    predictor.run = None
    with pytest.raises(UsageError, match="writes into a run folder"):
        intervene(predictor, example, asked, settings)

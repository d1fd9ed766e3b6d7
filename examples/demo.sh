#!/usr/bin/env bash
# make demo: train the embedded phrasebook once, evaluate both scripts, translate two sentences, leave an attention picture, name the page.
set -euo pipefail && cd "$(dirname "$0")/.." && RUN=runs/phrasebook
PAGE="http://127.0.0.1:8000/#look?run=phrasebook&to=zh-Hant&text=I%20am%20a%20student."
source examples/demo_words.sh
clock() { printf "$MINUTES" $(($1 / 60)) $(($1 % 60)); }
train_anew() {
    rm -rf "$RUN"
    echo "1/4  $TRAINING" >&2
    python - >&2 <<'END'
from triptych.cli.threads import settle

settle("1")  # a model this small learns as fast with one thread as with two, and does not mind a busy core
import dataclasses
import os

from triptych.setup.draft.measured import measured_speed
from triptych.recipe.schema import Recipe

recipe = Recipe.load("phrasebook")
config = dataclasses.replace(recipe.model.config(), vocabulary_size=recipe.tokenizer.vocabulary_size)
found = measured_speed(config, 15, recipe.batches.batch_tokens, recipe.training)
seconds = 10 + recipe.training.steps * recipe.batches.batch_tokens / found.speed  # ten: data, validations
said = os.environ["FORECAST"] + (os.environ["FORECAST_BUSY"] if found.slowdown > 1.25 else "")
print(said.format(steps=recipe.training.steps, minutes=seconds / 60, busy=seconds * found.slowdown / 60))
END
    triptych train phrasebook --out "$RUN" --threads 1
}
if [ -f "$RUN/model.safetensors" ]; then
    echo "1/4  $TRAINED" >&2
else
    train_anew
fi
trained=$SECONDS
echo "2/4  $EVALUATING" >&2
triptych evaluate "$RUN" --split test
evaluated=$SECONDS
echo "3/4  $TRANSLATING" >&2
sentences=("I am a student." "I like cats.")
for script in zh-Hant zh-Hans; do
    mapfile -t answers < <(triptych translate "$RUN" --to "$script" "${sentences[@]}")
    for number in "${!sentences[@]}"; do
        echo "${sentences[number]} → ${answers[number]}   ($script)"
    done
done
echo "4/4  $DRAWING" >&2
triptych inspect "$RUN" "I like cats." --to zh-Hant --html "$RUN/attention.html"
cat <<END

$(printf "$DONE" "$(clock $SECONDS)" "$(clock $trained)" "$(clock $((evaluated - trained)))")
$WHERE
$NEXT
  triptych translate phrasebook "The teacher reads a book at school every day."
  triptych translate phrasebook --to zh-Hans < my-sentences.txt
$OWN
  triptych init translation --source my.en --target my.de --out my.toml
  triptych train my.toml --out runs/mine
$LOOK
  $PAGE
END

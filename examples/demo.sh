#!/usr/bin/env bash
# make demo: train the embedded phrasebook once, evaluate both scripts, translate two sentences, leave an attention picture, name the page.
set -euo pipefail && cd "$(dirname "$0")/.."
RUN=runs/phrasebook LOOK="Look inside while it works: make page, and open"
PAGE="http://127.0.0.1:8000/#look?run=phrasebook&to=zh-Hant&text=I%20am%20a%20student."
case "${TRIPTYCH_LANG:-${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}}" in zh*TW* | zh*HK* | zh*Hant*) LOOK="想看模型內部怎麼運作：先執行 make page，再用瀏覽器打開（右上角可選繁體中文）" ;; esac
clock() { echo "$(($1 / 60)) min $(($1 % 60)) s"; }
train_anew() {
    rm -rf "$RUN"
    echo "1/4  Training English -> Chinese on the embedded phrasebook; how long it takes is being measured" >&2
    python - >&2 <<'END'
from triptych.cli.threads import settle

settle("1")  # a model this small learns as fast with one thread as with two, and does not mind a busy core
import dataclasses

from triptych.setup.draft.measured import measured_speed
from triptych.recipe.schema import Recipe

recipe = Recipe.load("phrasebook")
config = dataclasses.replace(recipe.model.config(), vocabulary_size=recipe.tokenizer.vocabulary_size)
found = measured_speed(config, 15, recipe.batches.batch_tokens, recipe.training)
seconds = 10 + recipe.training.steps * recipe.batches.batch_tokens / found.speed  # ten: data, validations
busy = f"; as busy as other programs keep it now, about {seconds * found.slowdown / 60:.1f}" if found.slowdown > 1.25 else ""
print(f"     {recipe.training.steps:,} updates take about {seconds / 60:.1f} minutes on this machine{busy}")
END
    triptych train phrasebook --out "$RUN" --threads 1
}
if [ -f "$RUN/model.safetensors" ]; then
    echo "1/4  $RUN is trained already; delete that folder to see it trained anew" >&2
else
    train_anew
fi
trained=$SECONDS
echo "2/4  Evaluating sentences whose word pairs were never seen together" >&2
triptych evaluate "$RUN" --split test
evaluated=$SECONDS
echo "3/4  Translating two sentences that were kept out of training" >&2
sentences=("I am a student." "I like cats.")
for script in zh-Hant zh-Hans; do
    mapfile -t answers < <(triptych translate "$RUN" --to "$script" "${sentences[@]}")
    for number in "${!sentences[@]}"; do
        echo "${sentences[number]} → ${answers[number]}   ($script)"
    done
done
echo "4/4  Drawing the attention of one translation" >&2
triptych inspect "$RUN" "I like cats." --to zh-Hant --html "$RUN/attention.html"
cat <<END

Done in $(clock $SECONDS): training $(clock $trained), evaluation $(clock $((evaluated - trained))).
The model is in $RUN; open $RUN/attention.html in a browser to see which words it looked at.
What to type next, in this folder (after: source .venv/bin/activate):
  triptych translate phrasebook "The teacher reads a book at school every day."
  triptych translate phrasebook --to zh-Hans < my-sentences.txt
With your own files, one sentence a line, the same number of lines in both:
  triptych init translation --source my.en --target my.de --out my.toml
  triptych train my.toml --out runs/mine
$LOOK
  $PAGE
END

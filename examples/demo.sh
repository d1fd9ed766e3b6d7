#!/usr/bin/env bash
# make demo: train the embedded phrasebook, evaluate both scripts, translate two sentences, leave an attention picture.
set -euo pipefail
cd "$(dirname "$0")/.."
RUN=runs/phrasebook
rm -rf "$RUN"
echo "1/4  Training English -> Chinese on the embedded phrasebook (about two minutes on two cores)" >&2
triptych train phrasebook --out "$RUN"
echo "2/4  Evaluating sentences whose word pairs were never seen together" >&2
triptych evaluate "$RUN" --split test
echo "3/4  Translating two sentences that were kept out of training" >&2
for sentence in "I am a student." "I like cats."; do
    for script in zh-Hant zh-Hans; do
        echo "$sentence → $(triptych translate "$RUN" --to "$script" "$sentence")   ($script)"
    done
done
echo "4/4  Drawing the attention of one translation" >&2
triptych inspect "$RUN" "I like cats." --to zh-Hant --html "$RUN/attention.html"
cat <<END

Done. The model is in $RUN; open $RUN/attention.html in a browser to see which words it looked at.
What to type next (after: source .venv/bin/activate):
  triptych translate $RUN "The teacher reads a book at school every day."
  triptych translate $RUN --to zh-Hans < my-sentences.txt
  triptych info $RUN
With your own files, one sentence a line, the same number of lines in both:
  triptych init translation --source my.en --target my.de --out my.toml
  triptych train my.toml --out runs/mine
END

#!/bin/sh
# The 2018 article from end to end, small enough for a laptop: a simulated dataset, its network trained on it,
# killed and resumed, exported, used on a dark frame, measured. Needs scotopic with its train and evaluate extras.
#
#     sh examples/article.sh [FOLDER]
#
# With the See-in-the-Dark dataset on disk leave the first step out, and the --set as well:
#
#     scotopic train article --data SID --out run
set -eu
out=${1:-out/article}
: "${SCENES:=5}" "${SIZE:=256x384}" "${EPOCHS:=40}" "${CROP:=128}" "${RATE:=1e-4}"
mkdir -p "$out"

echo "== simulate a tree like the dataset's"
scotopic simulate sid "$out/SID" --scenes "$SCENES" --size "$SIZE"

set -- train article --data "$out/SID" --out "$out/run" --cache "$out/cache" \
    --set epochs="$EPOCHS" --set crop="$CROP" --set learning_rate="$RATE" --checkpoint-seconds 3 --resume

echo "== train, and kill it on the way"
scotopic "$@" > "$out/first.log" 2>&1 &
training=$!
until ls "$out"/run/checkpoints/step-*.safetensors > /dev/null 2>&1; do
    kill -0 "$training" 2> /dev/null || { cat "$out/first.log"; exit 1; }
    sleep 0.2
done
kill -KILL "$training"
wait "$training" || true

echo "== go on to the end"
scotopic "$@"

echo "== make a model of it and use it"
scotopic models export "$out/run" "$out/model" --name article
dark=$(ls "$out"/SID/Sony/short/1*.ARW | head -n 1)
scotopic enhance "$dark" --model "$out/model" --ratio 100 -o "$out/enhanced.jpg"

echo "== measure it beside ours"
scotopic evaluate sid "$out/SID" --model "$out/model" --model bayer-fast --report "$out/report.html" -o "$out/results.json"
echo "open $out/report.html"

#!/usr/bin/env bash
# Learning curves of the optimizers on one trainer: stories260K on TinyStories text, every run from
# the same weights over the same tokens in the same order. Each method gets three learning rates and
# shows the best by held-out loss. Prints a table for docs/EXPERIMENTS.md and draws a picture; with
# --write it replaces both in docs/.
#
# Environment:
#   LOMO_TEST_DATA          the folder with checkpoints/stories260K and corpora/tinystories-sample
#   BIN=build/release/bin   where lomo-train is
#   EPOCHS=3  SEED=1  THREADS=2 (default: all cores this process may use)
#   RUN=runs/curves-<time>  the run folder; runs that are complete in it are not run again
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
data=${LOMO_TEST_DATA:?the folder of the test data}
bin=${BIN:-$root/build/release/bin}
epochs=${EPOCHS:-3}
seed=${SEED:-1}
threads=${THREADS:-$(nproc)}
run=${RUN:-runs/curves-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$run"

stories=$data/corpora/tinystories-sample/tinystories.txt
head -n 2252 "$stories" >"$run/train.txt"
tail -n +2253 "$stories" >"$run/held-out.txt"

# train NAME RATE SETTING...: its folder is $run/NAME-RATE.
train() {
  local out=$run/$1-$2 settings=()
  if [[ -d $out/model ]]; then return; fi
  rm -rf "$out"
  for setting in "${@:3}" optimizer.lr="$2"; do settings+=(--set "$setting"); done
  cat >"$run/run.json" <<JSON
{"model": {"path": "$data/checkpoints/stories260K/hf"},
 "data": {"task": "text", "train": "$run/train.txt", "validation": "$run/held-out.txt",
          "max_length": 256},
 "batch": {"sequences": 0, "max_tokens": 2048},
 "train": {"epochs": $epochs, "seed": $seed, "recompute": "none"},
 "optimizer": {"name": "lomo", "lr": 1},
 "schedule": {"kind": "linear", "warmup": 0.1, "published": true},
 "clip": {"norm": 1.0, "strategy": "one_pass"},
 "eval": {"every_steps": 6}}
JSON
  "$bin/lomo-train" --config "$run/run.json" --threads "$threads" "${settings[@]}" \
    --output "$out" --log-level warn >"$run/$1-$2.log" 2>&1
  echo "$1, rate $2: $(loss "$out" end)" >&2
}

# loss FOLDER TAG: held out, nats a token.
loss() {
  sed -n "/\"event\":\"eval\",\"tag\":\"$2\"/s/.*\"loss\":\([0-9.e+-]*\).*/\1/p" \
    "$1/metrics.jsonl" | tail -n 1
}

tokens() {
  sed -n 's/.*"event":"step".*"tokens":\([0-9]*\).*/\1/p' "$1/metrics.jsonl" |
    awk '{ sum += $1 } END { printf "%d", sum }'
}

methods=(
  "adamw|AdamW|f32|optimizer.name=adamw model.dtype=f32|0.0001 0.0003 0.001"
  "adalomo|AdaLomo|f32|optimizer.name=adalomo model.dtype=f32|0.001 0.003 0.01"
  "sgd|SGD|f32|optimizer.name=sgd model.dtype=f32|0.03 0.1 0.3"
  "lomo-f32|LOMO|f32|model.dtype=f32|0.03 0.1 0.3"
  "lomo-stochastic|LOMO, stochastic|bf16|model.dtype=bf16 optimizer.rounding=stochastic|0.03 0.1 0.3"
  "lomo-nearest|LOMO, nearest|bf16|model.dtype=bf16 optimizer.rounding=nearest|0.03 0.1 0.3"
)

rows=''
curves=()
for method in "${methods[@]}"; do
  IFS='|' read -r name title dtype settings rates <<<"$method"
  best=
  all=
  for rate in $rates; do
    # shellcheck disable=SC2086
    train "$name" "$rate" $settings
    end=$(loss "$run/$name-$rate" end)
    all+="${all:+, }$(printf '%.4f' "$end")"
    if [[ -z $best ]] || awk "BEGIN { exit !($end < $(loss "$run/$name-$best" end)) }"; then
      best=$rate
    fi
  done
  folder=$run/$name-$best
  rows+=$(printf '| %s | %s | %s | %s | %s | %.4f | %.4f |' "$title" "$dtype" "${rates// /, }" \
    "$all" "$best" "$(loss "$folder" before)" "$(loss "$folder" end)")$'\n'
  curves+=("$title=$folder/metrics.jsonl")
done

for rate in 0.03 0.1 0.3; do
  lomo=$("$bin/lomo-train" verify "$run/lomo-f32-$rate/model" | sed -n 's/ *hash *//p')
  sgd=$("$bin/lomo-train" verify "$run/sgd-$rate/model" | sed -n 's/ *hash *//p')
  [[ $lomo == "$sgd" ]] || { echo "f32 LOMO and SGD differ at rate $rate" >&2; exit 1; }
  same="${same:+$same, }\`$lomo\` at $rate"
done

table="| method | weights | rates | held-out loss after each | best rate | loss before | after |
| --- | --- | --- | --- | --- | --- | --- |
${rows%$'\n'}

Each run saw $(tokens "$run/sgd-0.03") tokens. The weights that f32 LOMO and SGD end with have the
same hash (\`lomo-train verify\`): $same."
echo "$table"
scripts/experiments/curves_picture.sh "${curves[@]}" >"$run/learning-curves.svg"

if [[ ${1:-} == --write ]]; then
  cp "$run/learning-curves.svg" docs/learning-curves.svg
  TABLE=$table awk '
    /^<!-- curves.sh -->$/ { print; print ENVIRON["TABLE"]; skip = 1; next }
    /^<!-- end of curves.sh -->$/ { skip = 0 }
    !skip' docs/EXPERIMENTS.md >"$run/EXPERIMENTS.md"
  cp "$run/EXPERIMENTS.md" docs/EXPERIMENTS.md
fi

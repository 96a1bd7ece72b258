#!/usr/bin/env bash
# What rounding does to a LOMO update: the quickstart's fine-tuning task at one learning rate, with
# weights in f32, and in bf16 and f16 rounded to nearest and stochastically. Prints a table for
# docs/EXPERIMENTS.md; with --write it replaces the one there.
#
# Environment:
#   BIN=build/release/bin   where lomo-train, lomo-make-stories and lomo-make-tokenizer are
#   LR=0.005  EPOCHS=12  SEED=1  THREADS=2 (default: all cores this process may use)
#   RUN=runs/rounding-<time>   the run folder; one with a pre-trained model in it is used again
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
bin=${BIN:-$root/build/release/bin}
lr=${LR:-0.005}
epochs=${EPOCHS:-12}
seed=${SEED:-1}
threads=${THREADS:-$(nproc)}
run=${RUN:-runs/rounding-$(date +%Y%m%d-%H%M%S)}
data=$run/data
mkdir -p "$run"

if [[ ! -d $run/pretrain/model ]]; then
  "$bin/lomo-make-stories" --output "$data" --seed "$seed" >&2
  "$bin/lomo-make-tokenizer" --output "$data/tokenizer.model" --vocab 1024 \
    "$data/tokenizer.txt" >&2
  "$bin/lomo-train" init --config configs/quickstart/model.json \
    --tokenizer "$data/tokenizer.model" --output "$run/random" --seed "$seed" >&2
  "$bin/lomo-train" --config configs/quickstart/pretrain.json --threads "$threads" \
    --set model.path="$run/random" --set train.seed="$seed" \
    --set data.train="$data/stories.jsonl" --set data.validation="$data/stories-heldout.jsonl" \
    --output "$run/pretrain" >&2
fi

# finetune DTYPE ROUNDING
finetune() {
  local out=$run/$1-$2
  rm -rf "$out"
  "$bin/lomo-train" --config configs/quickstart/finetune.json --threads "$threads" \
    --set model.path="$run/pretrain/model" --set model.dtype="$1" --set optimizer.rounding="$2" \
    --set optimizer.lr="$lr" --set train.epochs="$epochs" \
    --set train.seed="$seed" --set metrics.rounding_every=1 \
    --set data.train="$data/boolq-train.jsonl" --set data.validation="$data/boolq-heldout.jsonl" \
    --set eval.every_epochs=0 --set save.final_model=none --output "$out" >&2
}

# metric FILE TAG NAME: of the evaluation TAG.
metric() {
  sed -n "/\"event\":\"eval\",\"tag\":\"$2\"/s/.*\"$3\":\([0-9.e+-]*\).*/\1/p" "$1" | tail -n 1
}

# mean FILE NAME: in percent, over the steps that say it; f32 does not.
mean() {
  sed -n "s/.*\"$2\":\([0-9.e+-]*\).*/\1/p" "$1" |
    awk '{ sum += $1; n += 1 } END { if (n) printf "%.2f %%", 100 * sum / n; else printf "all" }'
}

rows=
for setting in "f32 nearest" "bf16 stochastic" "bf16 nearest" "f16 stochastic" "f16 nearest"; do
  read -r dtype rounding <<<"$setting"
  finetune "$dtype" "$rounding"
  metrics=$run/$dtype-$rounding/metrics.jsonl
  rows+=$(printf '| %s | %s | %.1f %% | %.1f %% | %s | %s |' "$dtype" \
    "$([[ $dtype == f32 ]] && echo none || echo "$rounding")" \
    "$(metric "$metrics" before accuracy)" "$(metric "$metrics" end accuracy)" \
    "$(mean "$metrics" changed)" "$(mean "$metrics" realised)")$'\n'
done
table="| weights | rounding | accuracy before | accuracy after | elements changed | step realised |
| --- | --- | --- | --- | --- | --- |
${rows%$'\n'}"
echo "$table"

if [[ ${1:-} == --write ]]; then
  TABLE=$table awk '
    /^<!-- rounding.sh -->$/ { print; print ENVIRON["TABLE"]; skip = 1; next }
    /^<!-- end of rounding.sh -->$/ { skip = 0 }
    !skip' docs/EXPERIMENTS.md >"$run/EXPERIMENTS.md"
  cp "$run/EXPERIMENTS.md" docs/EXPERIMENTS.md
fi

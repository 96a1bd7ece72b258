#!/usr/bin/env bash
# From a bare Debian 12 to a fine-tuned model: installs packages, builds lomo-train, generates
# stories and a reading task about them, trains a tokenizer and a small LLaMA from random weights,
# and fine-tunes all of it with LOMO. Downloads nothing but packages. The words that decide the
# held-out questions occur in no fine-tuning example. Where there is a GPU to build for and to train
# on (scripts/detect-gpu.sh), that is where it trains.
#
# Environment:
#   SEED=1       of the stories, the first weights and the order of the data
#   THREADS=2    default: all cores this process may use
#   DEVICE=cpu   default: cuda where there is a GPU, else cpu
# A second run reuses what is built and starts a new run folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
seed=${SEED:-1}
threads=${THREADS:-$(nproc)}
run=$root/runs/quickstart-$(date +%Y%m%d-%H%M%S)
bin=$root/build/release/bin

say() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }
# quietly LOG COMMAND...: the output matters only when the command fails.
quietly() {
  local log=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "quickstart: failed: $* (all of its output is in $log)" >&2
    exit 1
  fi
}

say "Packages"
scripts/install-packages.sh build

say "Build"
mkdir -p build "$run"
targets=(lomo-train lomo-make-stories lomo-make-tokenizer)
cuda=(-DLOMO_CUDA=OFF)
device=${DEVICE:-}
if [[ $device != cpu ]] && architecture=$(scripts/detect-gpu.sh); then
  device=cuda
  PATH=$PATH:/usr/local/cuda/bin
  cuda=(-DLOMO_CUDA=ON "-DLOMO_CUDA_ARCHITECTURES=$architecture-real")  # this card only
  targets+=(lomo_cuda)
fi
device=${device:-cpu}
echo "training on: $device"
quietly build/quickstart-configure.log cmake --preset release "${cuda[@]}"
quietly build/quickstart-build.log cmake --build --preset release --parallel "$(nproc)" \
  --target "${targets[@]}"
"$bin/lomo-train" --version

say "Stories, questions and a tokenizer (seed $seed)"
data=$run/data
"$bin/lomo-make-stories" --output "$data" --seed "$seed"
"$bin/lomo-make-tokenizer" --output "$data/tokenizer.model" --vocab 1024 \
  "$data/tokenizer.txt"

say "Random weights"
"$bin/lomo-train" init --config configs/quickstart/model.json \
  --tokenizer "$data/tokenizer.model" --output "$run/random" --seed "$seed"

say "Pre-training on the stories with AdaLomo"
"$bin/lomo-train" --config configs/quickstart/pretrain.json --device "$device" \
  --threads "$threads" \
  --set model.path="$run/random" --set train.seed="$seed" \
  --set data.train="$data/stories.jsonl" --set data.validation="$data/stories-heldout.jsonl" \
  --output "$run/pretrain"

finetune=(--config configs/quickstart/finetune.json --device "$device" --threads "$threads"
  --set model.path="$run/pretrain/model" --set train.seed="$seed"
  --set data.train="$data/boolq-train.jsonl" --set data.validation="$data/boolq-heldout.jsonl")

say "Fine-tuning on the questions with LOMO"
"$bin/lomo-train" "${finetune[@]}" --output "$run/finetune" | tee "$run/finetune.txt"

# The same batches again for three steps, once with each optimizer, and what the ledger counted.
say "Memory, LOMO beside SGD and AdamW"
peak_memory() {
  quietly "$run/memory-$1.txt" "$bin/lomo-train" "${finetune[@]}" \
    --set optimizer.name="$1" --set optimizer.lr="$2" --set train.max_steps=3 \
    --set eval.before=false --set eval.every_epochs=0 --set eval.at_end=false \
    --set save.final_model=none --output "$run/memory-$1"
  # Lines that begin further right go on with the figure.
  awk 'sub(/^ *peak memory */, "") { text = $0; next }
       text != "" { if (match($0, /[^ ]/) <= 20) exit; sub(/^ */, " "); text = text $0 }
       END { print text }' "$run/memory-$1.txt"
}
lomo=$(peak_memory lomo 0.03)
sgd=$(peak_memory sgd 0.03)
adamw=$(peak_memory adamw 0.001)

# metric TAG NAME: of the fine-tuning run's evaluation TAG.
metric() {
  sed -n "/\"event\":\"eval\",\"tag\":\"$1\"/s/.*\"$2\":\([0-9.e+-]*\).*/\1/p" \
    "$run/finetune/metrics.jsonl" | tail -n 1
}
before=$(metric before accuracy)
after=$(metric end accuracy)
if [[ -z $before || -z $after ]]; then
  echo "quickstart: no evaluation in $run/finetune/metrics.jsonl" >&2
  exit 1
fi

cat <<SUMMARY

== Done ($SECONDS s)

Held-out accuracy     $(printf 'before %.1f %%, after %.1f %%' "$before" "$after")  (500 questions, chance is 50 %)
Speed                 $(sed -n 's/^ *speed *//p' "$run/finetune.txt")

Peak engine memory (measured, 3 steps, the same batches)
  LOMO                $lomo
  SGD                 $sgd
  AdamW               $adamw

Model                 $run/finetune/model
lomo-train            $bin/lomo-train

Next:
  $bin/lomo-train generate --model $run/finetune/model --prompt "Otto had a lovely"
  $bin/lomo-train --help
SUMMARY

#!/usr/bin/env bash
# Which rates of each optimizer leave a model better than it was, with the norm clipped at 1 and
# unclipped: four small pre-trained models, three storages, short runs, judged by held-out loss.
# Prints a table an optimizer for docs/EXPERIMENTS.md; with --write it replaces those there.
#
# SGD has a momentum of 0.9 here: without one it is LOMO, to the bit.
#
# Two models are real checkpoints of the test data; two are pre-trained here, the quickstart's own
# and one of 2 blocks on Shakespeare. python3 encodes the poems, whose tokenizer is a JSON file.
#
# Environment:
#   LOMO_TEST_DATA          the folder with checkpoints/ and corpora/
#   BIN=build/release/bin   where lomo-train, lomo-make-stories and lomo-make-tokenizer are
#   STEPS=20  PRETRAIN=100  OPTIMIZERS="lomo sgd adamw adalomo"
#   RATES="0.01 0.03 0.1"   the same for all in place of each one's own
#   JOBS=2 (default: all cores this process may use), each on one thread
#   RUN=runs/rates-<time>   the run folder; runs that are complete in it are not run again
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
source=${LOMO_TEST_DATA:?the folder of the test data}
bin=${BIN:-$root/build/release/bin}
steps=${STEPS:-20}
pretrain=${PRETRAIN:-100}
read -ra optimizers <<<"${OPTIMIZERS:-lomo sgd adamw adalomo}"
jobs=${JOBS:-$(nproc)}
run=${RUN:-runs/rates-$(date +%Y%m%d-%H%M%S)}
data=$run/data
mkdir -p "$data"

# rates_of OPTIMIZER
rates_of() {
  case $1 in
    lomo) echo "${RATES:-0.01 0.03 0.1}" ;;
    sgd) echo "${RATES:-0.001 0.003 0.01 0.03}" ;;
    adamw) echo "${RATES:-0.0003 0.001 0.003 0.01}" ;;
    adalomo) echo "${RATES:-0.003 0.01 0.03 0.1}" ;;
    *)
      echo "rates.sh: there is no optimizer $1" >&2
      exit 2
      ;;
  esac
}

# split FILE NAME: 2000 lines to train on and the 200 after them.
split() {
  head -n 2000 "$1" >"$data/$2-train.txt"
  sed -n 2001,2200p "$1" >"$data/$2-held-out.txt"
}

# pretrained NAME SHAPE TRAIN HELD_OUT: a model of random weights after some steps of AdaLomo.
pretrained() {
  if [[ -d $run/$1/model ]]; then return; fi
  rm -rf "${run:?}/$1" "$run/$1-random"
  "$bin/lomo-train" init --config "$2" --tokenizer "$data/tokenizer.model" \
    --output "$run/$1-random" --seed 1 >&2
  "$bin/lomo-train" --config configs/quickstart/pretrain.json --threads "$jobs" \
    --log-level warn --set model.path="$run/$1-random" --set train.max_steps="$pretrain" \
    --set data.train="$3" --set data.validation="$4" --set data.eval_examples=50 \
    --output "$run/$1" >&2
}

split "$source/corpora/tinystories-sample/tinystories.txt" stories
split "$source/corpora/tinyshakespeare/input.txt" shakespeare
python3 - "$source/checkpoints/zh-poem-750K" "$data" <<'PYTHON'
import json, sys
checkpoint, data = sys.argv[1:]
vocab = json.load(open(f"{checkpoint}/vocab.json"))
poems = json.load(open(f"{checkpoint}/poetry_corpus.json"))[:600]
lines = [json.dumps({"ids": [1] + [vocab.get(c, 0) for c in p["content"]][:90] + [2]}) for p in poems]
for name, part in (("train", lines[:540]), ("held-out", lines[540:])):
    open(f"{data}/poems-{name}.jsonl", "w").write("\n".join(part) + "\n")
PYTHON
if [[ ! -f $data/tokenizer.model ]]; then
  "$bin/lomo-make-stories" --output "$data" --seed 1 >&2
  "$bin/lomo-make-tokenizer" --output "$data/tokenizer.model" --vocab 1024 \
    "$data/tokenizer.txt" >&2
fi
sed -e 's/"hidden_size": 128/"hidden_size": 64/' -e 's/"num_hidden_layers": 4/"num_hidden_layers": 2/' \
  -e 's/"head_dim": 32/"head_dim": 16/' -e 's/"intermediate_size": 344/"intermediate_size": 160/' \
  configs/quickstart/model.json >"$data/shakespeare.json"
pretrained quickstart configs/quickstart/model.json "$data/stories.jsonl" \
  "$data/stories-heldout.jsonl"
pretrained shakespeare "$data/shakespeare.json" "$data/shakespeare-train.txt" \
  "$data/shakespeare-held-out.txt"

# The fine-tuning data are other than those of the pre-training, but for the real checkpoints.
models=(
  "stories260K|$source/checkpoints/stories260K/hf|text|$data/stories-train.txt|$data/stories-held-out.txt"
  "zh-poem-750K|$source/checkpoints/zh-poem-750K/hf|ids|$data/poems-train.jsonl|$data/poems-held-out.jsonl"
  "quickstart-1M|$run/quickstart/model|text|$data/shakespeare-train.txt|$data/shakespeare-held-out.txt"
  "shakespeare-200K|$run/shakespeare/model|text|$data/stories-train.txt|$data/stories-held-out.txt"
)

# finetune MODEL PATH TASK TRAIN HELD_OUT DTYPE CLIP OPTIMIZER RATE
finetune() {
  local out=$run/$1-$6-$7-$8-$9 more=
  if [[ -f $out/done ]]; then return; fi
  rm -rf "$out"
  if [[ $8 == sgd ]]; then more=', "momentum": 0.9'; fi
  cat >"$out.json" <<JSON
{"model": {"path": "$2", "dtype": "$6"},
 "data": {"task": "$3", "train": "$4", "validation": "$5", "max_length": 96},
 "batch": {"sequences": 0, "max_tokens": 384},
 "train": {"max_steps": $steps, "epochs": 9, "seed": 1, "recompute": "none"},
 "optimizer": {"name": "$8", "lr": $9$more},
 "schedule": {"kind": "constant"}, "clip": {"norm": $7},
 "metrics": {"rounding_every": 0}, "save": {"final_model": "none"}}
JSON
  # A run that diverged ends with 5, which is a result.
  "$bin/lomo-train" --config "$out.json" --threads 1 --log-level warn --output "$out" \
    >"$out.log" 2>&1 || [[ $? == 5 ]]
  rm -rf "$out/checkpoints"
  touch "$out/done"
}

# loss FOLDER TAG: held out, nats a token; empty when it is not a number or the run ended early.
loss() {
  sed -n "/\"event\":\"eval\",\"tag\":\"$2\"/s/.*\"loss\":\([0-9.e+-]*\).*/\1/p" \
    "$1/metrics.jsonl" | tail -n 1
}

# train_all OPTIMIZER
train_all() {
  local model name path task train held_out dtype clip rate
  for model in "${models[@]}"; do
    IFS='|' read -r name path task train held_out <<<"$model"
    for dtype in f32 bf16 f16; do
      for clip in 1 0; do
        for rate in $(rates_of "$1"); do
          while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
          finetune "$name" "$path" "$task" "$train" "$held_out" "$dtype" "$clip" "$1" "$rate" &
        done
      done
    done
  done
  wait
}

# table OPTIMIZER
table() {
  local rates model name dtype clip rate folder before after
  local rule="| --- | --- | --- | --- |" header="| model | weights | clip.norm | before |"
  read -ra rates <<<"$(rates_of "$1")"
  for rate in "${rates[@]}"; do
    header+=" $rate |"
    rule+=" --- |"
  done
  printf '%s\n%s\n' "$header" "$rule"
  for model in "${models[@]}"; do
    name=${model%%|*}
    for dtype in f32 bf16 f16; do
      for clip in 1 0; do
        folder=$run/$name-$dtype-$clip-$1
        before=$(loss "$folder-${rates[0]}" before)
        printf '| %s | %s | %s | %.3f |' "$name" "$dtype" "$clip" "$before"
        for rate in "${rates[@]}"; do
          after=$(loss "$folder-$rate" end)
          if [[ -z $after ]]; then
            printf ' **not finite** |'
          elif awk "BEGIN { exit !($after > $before) }"; then
            printf ' **%.3f** |' "$after"
          else
            printf ' %.3f |' "$after"
          fi
        done
        printf '\n'
      done
    done
  done
}

for optimizer in "${optimizers[@]}"; do
  train_all "$optimizer"
  text=$(table "$optimizer")
  printf '%s\n\n%s\n\n' "$optimizer" "$text"
  if [[ ${1:-} == --write ]]; then
    TABLE=$text NAME=$optimizer awk '
      $0 == "<!-- rates.sh " ENVIRON["NAME"] " -->" { print; print ENVIRON["TABLE"]; skip = 1; next }
      $0 == "<!-- end of rates.sh " ENVIRON["NAME"] " -->" { skip = 0 }
      !skip' docs/EXPERIMENTS.md >"$run/EXPERIMENTS.md"
    cp "$run/EXPERIMENTS.md" docs/EXPERIMENTS.md
  fi
done

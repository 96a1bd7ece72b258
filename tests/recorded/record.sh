#!/usr/bin/env bash
# Trains small models and prints, one run a line, the hash of the final weights (lomo-train verify)
# and the loss of each step: what a change of structure must not move.
#
#   tests/recorded/record.sh BUILD > /tmp/results && diff tests/recorded/results.txt /tmp/results
#
# BUILD is a build folder with the tests (preset dev or ci). The first runs cover every optimizer
# x storage type x 1, 2, 4 ranks x tied and untied embeddings, then the emulated GPU; the last two
# lines are the runs of `SEED=1 scripts/quickstart.sh`. Bits depend on the processor's instructions
# and on oneDNN: results.txt names both, and a difference elsewhere says nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "${1:?usage: record.sh BUILD}" && pwd)
bin=$build/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cd "$work"

quietly() {
  if ! "$@" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo "record.sh: failed: $*" >&2
    exit 1
  fi
}
# line NAME RUN: the hash of the run's model, and its losses.
line() {
  local hash
  hash=$("$bin/lomo-train" verify "$2/model" | sed -n 's/^ *hash *//p')
  if [[ -z ${said:-} ]]; then
    said=1
    echo "# $(grep -ho 'oneDNN [0-9.]* ([a-z0-9_]*)' "$work/log" | head -n 1)"
  fi
  printf '%s %s %s\n' "$1" "$hash" \
    "$(sed -n '/"event":"step"/s/.*"loss":\([^,]*\),.*/\1/p' "$2/metrics.jsonl" | paste -sd,)"
}

quietly "$bin/lomo-make-stories" --output data --seed 1
quietly "$bin/lomo-make-tokenizer" --output data/tokenizer.model --vocab 512 data/tokenizer.txt
for tied in true false; do
  cat >"model-$tied.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
 "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
 "intermediate_size": 136, "vocab_size": 512, "max_position_embeddings": 256,
 "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "hidden_act": "silu",
 "tie_word_embeddings": $tied, "initializer_range": 0.05, "torch_dtype": "float32",
 "bos_token_id": 1, "eos_token_id": 2}
JSON
  quietly "$bin/lomo-train" init --config "model-$tied.json" --tokenizer data/tokenizer.model \
    --output "tied-$tied" --seed 7
done

# optimizer NAME: its section, and whether the norm is clipped.
optimizer() {
  case $1 in
    lomo) echo '{"name": "lomo", "lr": 0.02}' ;;
    adalomo) echo '{"name": "adalomo", "lr": 0.005}' ;;
    sgd) echo '{"name": "sgd", "lr": 0.02, "momentum": 0.9}' ;;
    adamw) echo '{"name": "adamw", "lr": 0.001, "weight_decay": 0.01}' ;;
  esac
}
# train NAME OPTIMIZER DTYPE TIED RANKS DEVICE: ten steps, on the emulated GPU, which is slow, three
# of two sequences.
train() {
  local clip=1 steps=10 sequences=8
  if [[ $6 == cuda ]]; then steps=3 sequences=2; fi
  [[ $2 == adalomo ]] && clip=0
  cat >"$1.json" <<JSON
{"model": {"path": "tied-$4", "dtype": "$3"},
 "data": {"task": "boolq", "train": "data/boolq-train.jsonl", "max_length": 128},
 "batch": {"sequences": $sequences},
 "train": {"max_steps": $steps, "seed": 3},
 "optimizer": $(optimizer "$2"),
 "schedule": {"kind": "constant", "warmup": 0},
 "clip": {"norm": $clip},
 "memory": {"tile_bytes": 4096, "head_block_rows": 128},
 "eval": {"before": false, "at_end": false}}
JSON
  local -a start=()
  if (($5 > 1)); then
    start=(mpirun --quiet --oversubscribe --bind-to none
      --mca btl_vader_single_copy_mechanism none -np "$5")
  fi
  quietly "${start[@]}" "$bin/lomo-train" --config "$1.json" --device "$6" --threads 1 \
    --output "$1"
  line "$1" "$1"
}

for name in lomo adalomo sgd adamw; do
  for dtype in f32 bf16 f16; do
    for tied in true false; do
      embedding=untied
      [[ $tied == true ]] && embedding=tied
      for ranks in 1 2 4; do
        train "$name-$dtype-$embedding-$ranks" "$name" "$dtype" "$tied" "$ranks" cpu
      done
    done
  done
done

LOMO_CUDA_PLUGIN=$(find "$build" -name 'liblomo_cuda_hosted.so' | head -n 1)
export LOMO_CUDA_PLUGIN
for name in lomo adalomo sgd adamw; do
  for dtype in f32 bf16 f16; do
    train "gpu-$name-$dtype-untied-1" "$name" "$dtype" false 1 cuda
  done
  train "gpu-$name-f32-tied-2" "$name" f32 true 2 cuda
done
unset LOMO_CUDA_PLUGIN

quietly "$bin/lomo-make-stories" --output story --seed 1
quietly "$bin/lomo-make-tokenizer" --output story/tokenizer.model --vocab 1024 story/tokenizer.txt
quietly "$bin/lomo-train" init --config "$root/configs/quickstart/model.json" \
  --tokenizer story/tokenizer.model --output random --seed 1
quietly "$bin/lomo-train" --config "$root/configs/quickstart/pretrain.json" --device cpu \
  --threads 2 --set model.path=random --set train.seed=1 --set data.train=story/stories.jsonl \
  --set data.validation=story/stories-heldout.jsonl --output pretrain
line quickstart-pretrain pretrain
quietly "$bin/lomo-train" --config "$root/configs/quickstart/finetune.json" --device cpu \
  --threads 2 --set model.path=pretrain/model --set train.seed=1 \
  --set data.train=story/boolq-train.jsonl --set data.validation=story/boolq-heldout.jsonl \
  --output finetune
line quickstart-finetune finetune

#!/usr/bin/env bash
# Prints the tables of docs/PLANNER.md.
#   scripts/plan_tables.sh PROGRAM     needs jq; takes some seconds
# shellcheck disable=SC2016  # the variables in quotes are those of jq
set -euo pipefail

program=$(realpath "${1:?usage: scripts/plan_tables.sh PROGRAM}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

plan() { # CONFIG RANKS TOKENS-A-RANK SEQUENCES-A-RANK MEMORY [MORE...]
  # Exit code 3 says that it does not fit, which is an answer too.
  "$program" plan --config "$1.json" --device cuda --ranks "$2" --tokens "$(($2 * $3))" \
    --sequences "$(($2 * $4))" --memory "$5" --json "${@:6}" || (($? == 3))
}

# row JQ LABEL...: a line of a table, the labels first
row() {
  jq -r "def two: (. * 100 | round) as \$n | \"\(\$n / 100 | floor).\(\$n % 100 | tostring |
      if length < 2 then \"0\" + . else . end)\"; def gib: . / 1073741824 | two;
    \$ARGS.positional + (($1) | map(tostring)) | \"| \" + join(\" | \") + \" |\"" --args "${@:2}"
}

echo "LLaMA-7B, 8 sequences of 512 tokens"
for optimizer in adamw sgd lomo adalomo; do
  for recompute in block none; do
    plan llama7b 1 4096 8 24GiB --set "optimizer.name=$optimizer" --set "train.recompute=$recompute" |
      row '.peak.categories as $c | [$c.weights, $c.gradients, $c.optimizer, $c.activations,
        $c.workspace, .peak.bytes, .reserved_bytes] | map(gib)' "$optimizer" "$recompute"
  done
done

echo "One GPU"
plan llama7b 1 1024 1 24GiB |
  row '.peak.categories as $c | [$c.weights, $c.activations, $c.workspace, .peak.bytes,
    .reserved_bytes] | map(gib)'

echo "Several GPUs"
for model in "llama13b 2" "llama30b 4" "llama65b 8"; do
  read -r config ranks <<< "$model"
  plan "$config" "$ranks" 1024 1 24GiB |
    row '.peak.categories as $c | [$c.weights, $c.activations, $c.communication, $c.workspace,
      .peak.bytes, .reserved_bytes] | map(gib)' "$config" "$ranks"
done

echo "What fits which card"
while read -r config ranks tokens together memory; do
  plan "$config" "$ranks" "$tokens" "$((tokens / 512))" "${memory}GiB" \
    --set "train.recompute=$together" |
    row '[(.reserved_bytes | gib), (.fit.memory_bytes / 1073741824),
      (if .fit.fits then "yes" else "no" end)]' "$config" "$ranks" "$tokens" "$together"
done << EOF
llama7b 1 4096 1 16
llama13b 2 1024 1 16
llama13b 2 4096 1 16
llama65b 8 4096 1 24
llama65b 8 4096 2 24
llama2-70b 8 2048 1 24
llama2-70b 8 3072 1 24
llama2-70b 8 4096 1 24
llama2-70b 8 4096 2 24
llama3-8b 1 4096 1 24
llama3-70b 8 2048 1 24
llama3-70b 8 4096 1 24
llama3-70b 8 4096 2 24
smollm3-3b 1 4096 1 16
mistral-7b 1 4096 1 24
qwen3-8b 1 4096 1 24
phi4 2 4096 1 24
qwen2.5-32b 4 2048 1 24
qwen2.5-32b 4 4096 1 24
EOF

echo "Expected time"
for device in rtx3090 rtx4090 a100 h100; do
  plan llama7b 1 4096 8 24GiB --profile "$device" |
    row '.time_model[0] | [.device, (.seconds | two), (.tokens_per_second | round),
      (.compute_seconds | two), (.memory_seconds | two), .bound_by]'
done

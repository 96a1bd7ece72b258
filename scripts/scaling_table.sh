#!/usr/bin/env bash
# Writes docs/SCALING.md: what ranks exchange in a step, and when that hides behind computing.
#   scripts/scaling_table.sh PROGRAM [OUTPUT]     needs jq; takes some seconds
set -euo pipefail

program=$(realpath "${1:?usage: scripts/scaling_table.sh PROGRAM [OUTPUT]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${2:-docs/SCALING.md}
models=(llama7b llama13b llama30b llama65b llama2-70b)
tokens=4096 # a rank
memory=24GiB

plan() { # model ranks
  # Exit code 3 says that it does not fit, which is an answer too.
  "$program" plan --config "$1.json" --threads 1 --ranks "$2" --tokens "$((tokens * $2))" \
    --sequences "$((8 * $2))" --memory "$memory" --profile rtx3090 --json || (($? == 3))
}

# For each model and number of ranks one JSON line with what the tables need.
plans=$(for model in "${models[@]}"; do
  for ranks in 1 2 4 8; do
    plan "$model" "$ranks" | jq -c --arg model "$model" '{model: $model, ranks,
      tokens: .batch.counts.tokens, slab: .reserved_bytes, fits: .verdict.fits,
      flops: .step_flops, received: .step_exchange.received_bytes}'
  done
done)

# table HEADER JQ_ROW: a row for each model and number of ranks that JQ_ROW does not leave out
table() {
  echo "$1"
  echo "$1" | sed 's/[^|]\+/---/g'
  jq -r --argjson half 35.5e12 "def r(n): . * n | round / n; def gib: . / 1073741824 | r(10);
    def step(rate): [.flops / \$half, .received / (rate * 1e9)] | max;
    def enough(rate): .received / (rate * 1e9) * \$half * .tokens / .flops | round;
    def speed(rate): .tokens * .ranks / step(rate) | round;
    $2 | map(tostring) | \"| \" + join(\" | \") + \" |\"" <<< "$plans"
}

{
  cat << EOF
# Scaling

Written by \`scripts/scaling_table.sh build/release/bin/lomo-train\`: plans of rank 0 with $tokens tokens
a rank in 8 sequences, every token with a target, bf16, LOMO with exact clipping by a norm pass, blocks
recomputed ([PLANNER.md](PLANNER.md)). **Nothing here is measured**: bytes and operations are exact,
times are a model.

Assumptions of the model:

- each GPU computes at half of an RTX 3090's peak rate for bf16 (71 Tflop/s, \`configs/devices\`);
- between GPUs each one receives, and at the same time sends, at the rate that heads the column, all at
  once. GeForce cards have no peer access: what they exchange goes through the memory of the host, and
  5 to 12 GB/s are more likely there than the 20 GB/s and more of PCIe 4 with peer access;
- exchanges hide behind computing wholly, or computing behind them: a step takes the longer of the two.

## What a step takes

GiB of engine memory reserved on a rank, of which a card of $memory leaves about 23 GiB; GiB that a rank
receives, from the closed form in [ARCHITECTURE.md](ARCHITECTURE.md); and its operations.

EOF
  table "| model | ranks | reserved | fits $memory | received | Tflop |" \
    '[.model, .ranks, (.slab | gib), (if .fits then "yes" else "no" end), (.received | gib), (.flops / 1e12 | r(10))]'
  cat << EOF

What is received depends little on the tokens, since it is weights and their gradients: each block matrix
comes once in forward, once in each replay, once more in each backward unless it still lies in a slot,
and leaves as tiles twice. Without a verdict (\`protect: tile\`, no clipping) a step needs about half.

## From how many tokens on it is bound by computing

Tokens a rank and step, by GB/s between GPUs, where the model fits $memory with $tokens of them.

EOF
  table '| model | ranks | 5 | 8 | 12 | 20 |' \
    'select(.fits and .ranks > 1) | [.model, .ranks, enough(5), enough(8), enough(12), enough(20)]'
  cat << EOF

## Expected tokens a second

Of all ranks together with $tokens tokens a rank. The published LOMO reports 4.93 tokens a second and GPU
for LLaMA-65B on 8 RTX 3090 (arXiv 2306.09782, Table 2).

EOF
  table '| model | ranks | 5 | 8 | 12 | 20 |' \
    'select(.fits) | [.model, .ranks, speed(5), speed(8), speed(12), speed(20)]'
} > "$output"

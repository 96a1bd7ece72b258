#!/usr/bin/env bash
# Writes docs/SCALING.md: what ranks exchange in a step, and when that hides behind computing.
#   scripts/scaling_table.sh PROGRAM [OUTPUT]     needs jq; takes some minutes
set -euo pipefail

program=$(realpath "${1:?usage: scripts/scaling_table.sh PROGRAM [OUTPUT]}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${2:-docs/SCALING.md}
models=(llama7b llama13b llama30b llama65b llama2-70b)
rates=(5 8 12 20)
tokens=4096 # a rank
memory=24GiB
profile=$(mktemp --suffix .json)
trap 'rm -f "$profile"' EXIT
jq '.name = "half an RTX 3090" | .products[] /= 2' configs/devices/rtx3090.json > "$profile"

plan() { # model ranks tokens-a-rank GB/s
  # 70B fits by running two blocks again together. Exit code 3 says that it does not fit, which is
  # an answer too.
  local more=()
  [[ $1 != *70b ]] || more=(--set train.recompute=2)
  "$program" plan --config "$1.json" --device cuda --ranks "$2" --tokens "$(($3 * $2))" \
    --sequences "$((8 * $2))" --memory "$memory" --profile "$profile" --link "$4" --json \
    "${more[@]}" || (($? == 3))
}

# fewest MODEL RANKS GB/s: tokens a rank, in steps of 64, from which computing takes longer than
# exchanging
fewest() {
  local least=0 most=16384 middle
  while ((most - least > 64)); do
    middle=$(((least + most) / 2))
    case $(plan "$1" "$2" "$middle" "$3" | jq -r '.time_model[0].bound_by') in
      "the link") least=$middle ;;
      *) most=$middle ;;
    esac
  done
  echo "$most"
}

row() { echo "| ${1//$'\t'/ | } |"; }
header() { # what stands above the rates
  echo "| model | ranks |$(printf ' %s |' "$@")"
  echo "|---|---|$(printf -- '---|%.0s' "$@")"
}

# A line for each model and number of ranks, and of those that fit the two other tables.
takes='' counts='' speeds=''
for model in "${models[@]}"; do
  for ranks in 1 2 4 8; do
    first=$(plan "$model" "$ranks" "$tokens" "${rates[0]}")
    takes+=$(row "$(jq -r --arg model "$model" 'def r(n): . * n | round / n;
      def gib: . / 1073741824 | r(10);
      [$model, .ranks, (.reserved_bytes | gib), (if .fit.fits then "yes" else "no" end),
       (.step_exchange.received_bytes | gib), (.step_flops / 1e12 | r(10))] | @tsv' <<< "$first")")$'\n'
    [[ $(jq .fit.fits <<< "$first") == true ]] || continue
    count=$model$'\t'$ranks speed=$count
    for rate in "${rates[@]}"; do
      ((ranks == 1)) || count+=$'\t'$(fewest "$model" "$ranks" "$rate")
      speed+=$'\t'$(plan "$model" "$ranks" "$tokens" "$rate" |
        jq '.time_model[0].tokens_per_second | round')
    done
    ((ranks == 1)) || counts+=$(row "$count")$'\n'
    speeds+=$(row "$speed")$'\n'
  done
done

cat > "$output" << EOF
# Scaling

Written by \`scripts/scaling_table.sh build/release/bin/lomo-train\`: plans for GPUs with $tokens tokens
a rank in 8 sequences, every token with a target, bf16, LOMO with exact clipping by a norm pass, blocks
recomputed, of 70B every two together ([PLANNER.md](PLANNER.md)). **Nothing here is measured**: bytes and
operations are exact, times are a model.

Assumptions of the model:

- each GPU computes products at half of an RTX 3090's peak rate for bf16 (71 Tflop/s) and moves its
  memory's bytes at the peak of 936 GB/s (\`configs/devices/rtx3090.json\`);
- between GPUs each one receives, and at the same time sends, at the rate that heads the column, all at
  once. GeForce cards have no peer access: what they exchange goes through the memory of the host, and
  5 to 12 GB/s are more likely there than the 20 GB/s and more of PCIe 4 with peer access.
  [RANKS.md](RANKS.md) says how a machine's own rate is measured, which \`plan --link\` takes;
- exchanges, and updates of tiles, run beside products in the order in which the trainer issues them: one
  starts when what was issued before it is done, and what needs it waits (\`include/lomo/plan/step_time.h\`);
- nothing else takes time: no launches, no host.

## What a step takes

GiB of engine memory reserved on a rank, of which a card of $memory leaves about 23 GiB; GiB that a rank
receives, from the closed form in [ARCHITECTURE.md](ARCHITECTURE.md); and its operations.

$(header reserved "fits $memory" received Tflop)
$takes
What is received depends little on the tokens, since it is weights and their gradients: each block matrix
comes once in forward, once in each recomputation, once more in each backward unless it still lies in a slot,
and leaves as tiles twice. Without a gradient check (\`gradient_check: tile\`, no clipping) a step needs about half.

## From how many tokens on it is bound by computing

Tokens a rank and step, by GB/s between GPUs, from which products take longer than exchanges, where the
model fits $memory with $tokens of them.

$(header "${rates[@]}")
$counts
## Expected tokens a second

Of all ranks together with $tokens tokens a rank, by GB/s between GPUs. The published LOMO reports 4.93
tokens a second and GPU for LLaMA-65B on 8 RTX 3090 (arXiv 2306.09782, Table 2).

$(header "${rates[@]}")
${speeds%$'\n'}
EOF

#!/usr/bin/env bash
# How soon a request to stop is obeyed before the first step: COUNT stops at random moments between
# the start and the first step, of one process and of RANKS ranks under scripts/mpirun.sh. Prints each
# moment and how long it took until every process of the run was gone, and fails when one took longer
# than LIMIT seconds or did not exit with 7 (a signal before the program has begun to listen ends it).
#
# Environment:
#   BIN=build/release/bin   where lomo-train is
#   COUNT=20  RANKS=2  LIMIT=1  SEED=1
#   EXAMPLES=20000          more make the time to the first step longer
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${BIN:-$root/build/release/bin}
count=${COUNT:-20}
limit=${LIMIT:-1}
RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/shape.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
 "intermediate_size": 128, "vocab_size": 64, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
 "rope_theta": 10000.0, "hidden_act": "silu", "torch_dtype": "float32",
 "tie_word_embeddings": false}
JSON
"$bin/lomo-train" init --config "$work/shape.json" --output "$work/model" --log-level error
awk -v n="${EXAMPLES:-20000}" 'BEGIN {
  for (i = 0; i < n; ++i) {
    printf "{\"ids\": [1"
    for (j = 0; j < 5 + i % 7; ++j) printf ", %d", 3 + (i * 5 + j * 3) % 29
    print ", 2], \"loss_from\": 2}"
  }
}' >"$work/ids.jsonl"
cat >"$work/run.json" <<JSON
{"model": {"path": "$work/model"},
 "data": {"task": "ids", "train": "$work/ids.jsonl", "validation_share": 0.05, "max_length": 64},
 "optimizer": {"lr": 0.01}, "train": {"epochs": 5}, "eval": {"max_tokens": 2048}}
JSON

# begin RANKS NAME: starts a run in the background; its process is $job.
begin() {
  local arguments=(--config "$work/run.json" --output "$work/$2" --threads 1)
  # A shell without job control starts what is in the background deaf to Ctrl-C.
  set -m
  if (($1 == 1)); then
    "$bin/lomo-train" "${arguments[@]}" >"$work/$2.log" 2>&1 &
  else
    LOMO_TRAIN=$bin/lomo-train "$root/scripts/mpirun.sh" "$1" "${arguments[@]}" \
      >"$work/$2.log" 2>&1 &
  fi
  job=$!
  set +m
}

# processes ID: it and all it has started, as far as they run.
processes() {
  local child state
  state=$(cut -d ')' -f 2 "/proc/$1/stat" 2>/dev/null) || return 0
  if [[ $state != " Z "* ]]; then echo "$1"; fi
  while read -r -d ' ' child; do processes "$child"; done < <(cat "/proc/$1/task/"*/children 2>/dev/null)
}

seconds() { awk "BEGIN { printf \"%.3f\", ${2/,/.} - ${1/,/.} }"; }

stops() {
  local ranks=$1 begun first moment asked code id i all taken late slowest=0 failed=0
  begun=$EPOCHREALTIME
  begin "$ranks" "whole-$ranks"
  until grep -qs '"event":"step"' "$work/whole-$ranks/metrics.jsonl"; do sleep 0.005; done
  first=$(seconds "$begun" "$EPOCHREALTIME")
  kill -TERM "$job"
  wait "$job" || true
  echo "$ranks rank(s): the first step comes after $first s"
  for ((i = 1; i <= count; ++i)); do
    moment=$(awk "BEGIN { printf \"%.3f\", $first * $RANDOM / 32768 }")
    begin "$ranks" "run-$ranks-$i"
    sleep "$moment"
    all=$(processes "$job")
    asked=$EPOCHREALTIME
    if ((i % 2)); then kill -INT "$job"; else kill -TERM "$job"; fi
    for id in $all; do
      while [[ -e /proc/$id ]] && ! grep -qs '^State:.Z' "/proc/$id/status"; do sleep 0.002; done
    done
    taken=$(seconds "$asked" "$EPOCHREALTIME")
    code=0
    wait "$job" 2>/dev/null || code=$?
    late=
    if grep -qs '"event":"step"' "$work/run-$ranks-$i/metrics.jsonl"; then late=", after a step"; fi
    echo "  after $moment s: gone in $taken s, exit code $code$late"
    # 130 and 143: the signal came before the program, or the script, had begun to listen.
    if [[ ! " 7 130 143 " == *" $code "* ]]; then
      failed=1
      sed 's/^/    /' "$work/run-$ranks-$i.log"
    fi
    if [[ -n $late ]]; then continue; fi
    if awk "BEGIN { exit !($taken > $limit) }"; then failed=1; fi
    slowest=$(awk "BEGIN { print ($taken > $slowest) ? $taken : $slowest }")
  done
  echo "  the slowest took $slowest s"
  return "$failed"
}

result=0
stops 1 || result=1
stops "${RANKS:-2}" || result=1
exit "$result"

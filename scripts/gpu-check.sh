#!/usr/bin/env bash
# What a machine with a GPU is asked once: builds the CUDA engine and its tests with nvcc for the GPU
# that is there, runs the tests on it, times every operation and the step (lomo-bench), trains twenty
# steps in bf16 on the GPU and on the CPU, and writes it all, with the GPU's name, to one file.
#   scripts/gpu-check.sh [REPORT]      default: build/gpu-check/report.txt
# Without a driver or a GPU it builds everything (for sm_80), says in one sentence what is missing,
# and ends with 77. Ends with 1 where something failed; the report says what. Environment:
#   LOMO_TEST_DATA=DIR    adds the tests that need real checkpoints
#   PRESET=ci             another preset of CMakePresets.json (default cuda)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/gpu-check
report=${1:-$build/report.txt}
mkdir -p "$build" "$(dirname "$report")"
PATH=$PATH:${CUDA_BIN:-/usr/local/cuda/bin}
command -v nvcc >/dev/null || {
  echo "gpu-check: nvcc is not on the PATH (the CUDA toolkit is not installed)" >&2
  exit 1
}
missing=""
architecture=$(scripts/detect-gpu.sh 2>"$build/missing.txt") || missing=$(cat "$build/missing.txt")

echo "== Build for sm_${architecture:-80}, log in $build/build.log"
{
  scripts/install-packages.sh build test
  cmake --preset "${PRESET:-cuda}" -B "$build" -DLOMO_BUILD_TESTS=ON -DLOMO_CUDA=ON \
    -DLOMO_CUDA_ARCHITECTURES="${architecture:-80}-real"
  cmake --build "$build" --parallel "$(nproc)" --target lomo-train lomo-bench lomo_cuda \
    test_gpu_kernels test_gpu_engine test_gpu_program
} >"$build/build.log" 2>&1 || {
  tail -n 30 "$build/build.log" >&2
  exit 1
}
if [[ -n $missing ]]; then
  echo "skipped: everything is built, nothing was run: $missing"
  exit 77
fi

failed=()
# part NAME COMMAND...: its output goes to the report.
part() {
  local name=$1
  shift
  echo "== $name"
  printf '\n== %s\n' "$name" >>"$report"
  if "$@" >>"$report" 2>&1; then return; fi
  failed+=("$name")
  echo "   failed"
}

trial=$build/trial
train() { # DEVICE
  rm -rf "${trial:?}/$1"
  "$build/bin/lomo-train" --config "$trial/config.json" --device "$1" --output "$trial/$1" \
    --set train.max_steps=20
}
twenty_steps() {
  rm -rf "$trial"
  mkdir -p "$trial"
  "$build/bin/lomo-train" init --config configs/quickstart/model.json --output "$trial/model"
  awk 'BEGIN {
    for (i = 0; i < 400; ++i) {
      line = "1"
      for (j = 0; j < 40; ++j) line = line ", " 3 + (i * 7 + j * j * 5) % 1021
      print "{\"ids\": [" line ", 2], \"loss_from\": 1}"
    }
  }' >"$trial/ids.jsonl"
  cat >"$trial/config.json" <<CONFIG
{"model": {"path": "$PWD/$trial/model", "dtype": "bf16"},
 "data": {"task": "ids", "train": "$PWD/$trial/ids.jsonl"}, "batch": {"sequences": 16},
 "train": {"epochs": 1, "seed": 1}, "optimizer": {"name": "lomo", "lr": 0.05},
 "clip": {"norm": 1.0}, "save": {"final_model": "none"}}
CONFIG
  train cpu && train cuda || return 1
  losses() { sed -n 's/.*"event":"step".*"loss":\([0-9.eE+-]*\).*/\1/p' "$trial/$1/metrics.jsonl"; }
  echo "loss on the CPU and on the GPU, step by step:"
  paste <(losses cpu) <(losses cuda) | awk '
    { print "  " $1, $2; if (NR == 1) first = $2; last = $2 }
    END { if (NR != 20 || !(last < first)) { print "the loss did not fall in 20 steps"; exit 1 } }'
}
bench() {
  "$build/bin/lomo-bench" --device cuda --config llama7b.json --layers 2 --tokens 4096
}

{
  echo "lomo-train on a GPU, $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "GPU       $(nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader)"
  echo "driver    $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)"
  echo "toolkit   $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/nvcc \1/p')"
  echo "built     $("$build/bin/lomo-train" --version | head -n 1), $(git rev-parse --short HEAD 2>/dev/null || echo "no git")"
} >"$report"
part "Kernels, each against the reference" "$build/tests/gpu/test_gpu_kernels"
part "Operations of the engine against the reference" "$build/tests/gpu/test_gpu_engine"
part "The program, ten steps beside the CPU engine's" "$build/tests/gpu/test_gpu_program"
part "Twenty steps in bf16" twenty_steps
part "lomo-bench: LLaMA-7B, two layers, 4096 tokens" bench
echo "report: $report"
if ((${#failed[@]} > 0)); then
  printf 'failed: %s\n' "${failed[@]}" | tee -a "$report"
  exit 1
fi
echo "all of it passed" | tee -a "$report"

#!/usr/bin/env bash
# scripts/detect-gpu.sh on machines that are not this one: its tools are stand-ins in a folder of
# their own, which is all that it finds.
#   test_detect_gpu.sh SOURCE_DIR
set -euo pipefail

script=$1/scripts/detect-gpu.sh
bash=$(command -v bash)
machine=$(mktemp -d)
trap 'rm -rf "$machine"' EXIT
failed=0

# tool NAME BODY...: puts a program on the machine.
tool() {
  printf '#!%s\n%s\n' "$bash" "$2" >"$machine/$1"
  chmod +x "$machine/$1"
}
# expect CODE TEXT: what the script ends with and says.
expect() {
  local said code=0
  said=$(PATH=$machine CUDA_BIN=/nowhere "$bash" "$script" 2>&1) || code=$?
  if [[ $code == "$1" && $said == *"$2"* ]]; then return; fi
  echo "expected $1 and '$2', got $code and '$said'" >&2
  failed=1
}

expect 1 "nvcc is not on the PATH"
tool nvcc ""
expect 1 "no NVIDIA driver is installed"
tool nvidia-smi "echo 'NVIDIA-SMI has failed' && exit 9"
expect 1 "the NVIDIA driver does not answer"
tool nvidia-smi "echo 'No devices were found'"
expect 1 "names no GPU"
tool nvidia-smi "echo 7.5"
expect 1 "sm_75, the engine needs sm_80"
tool nvidia-smi "echo 8.6; echo 9.0"
expect 0 86
tool nvidia-smi '[[ $* == "--query-gpu=compute_cap --format=csv,noheader" ]] && echo 12.0'
expect 0 120
exit "$failed"

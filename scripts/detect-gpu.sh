#!/usr/bin/env bash
# Prints the architecture of this machine's first GPU as CMake wants it, such as 86, where the CUDA
# engine can be built for it and run on it: nvcc is there (on the PATH or in /usr/local/cuda/bin), a
# driver answers, and the GPU is of sm_80 or newer. Else says on stderr what is missing and ends
# with 1.
set -euo pipefail

missing() {
  echo "no GPU to train on: $1" >&2
  exit 1
}

PATH=$PATH:${CUDA_BIN:-/usr/local/cuda/bin}
command -v nvcc >/dev/null || missing "nvcc is not on the PATH (the CUDA toolkit is not installed)"
command -v nvidia-smi >/dev/null || missing "nvidia-smi is not on the PATH (no NVIDIA driver is installed)"
found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null) ||
  missing "nvidia-smi fails: the NVIDIA driver does not answer"
capability=${found%%$'\n'*}
if [[ ! $capability =~ ^[0-9]+\.[0-9]$ ]]; then missing "nvidia-smi names no GPU"; fi
architecture=${capability/./}
if ((architecture < 80)); then
  missing "the GPU is of architecture sm_$architecture, the engine needs sm_80 or newer"
fi
echo "$architecture"

#!/usr/bin/env bash
# Installs what is missing, builds everything and runs the tests. Arguments go to ctest, for example
# `scripts/test.sh -R fused`. Environment:
#   PRESET=asan-ubsan     another preset of CMakePresets.json (default ci)
#   LOMO_TEST_DATA=DIR    real checkpoints, tokenizers and task files; without it the tests that
#                         need them are counted as skipped
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${PRESET:-ci}
if [[ -n ${LOMO_TEST_DATA:-} ]]; then
  LOMO_TEST_DATA=$(cd "$LOMO_TEST_DATA" && pwd)  # ctest runs elsewhere
  export LOMO_TEST_DATA
fi

scripts/install-packages.sh build test
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"
ctest --preset "$preset" --parallel "$(nproc)" "$@"

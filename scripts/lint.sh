#!/usr/bin/env bash
# Runs clang-tidy (the checks of .clang-tidy) over the sources of src/.
#   scripts/lint.sh BUILD_DIR [FILE...]    BUILD_DIR holds compile_commands.json
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:?usage: scripts/lint.sh BUILD_DIR [FILE...]}
shift
files=("$@")
if ((${#files[@]} == 0)); then
  mapfile -t files < <(git ls-files 'src/*.cpp')
fi
# Clang 14 cannot take structured bindings into an OpenMP region, so the loops are read as plain
# ones. Flags and pragmas that only GCC has are no mistakes; the counts are of what is not shown.
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" \
  clang-tidy -p "$build" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option \
  --extra-arg=-Wno-unknown-pragmas --extra-arg=-Wno-unused-parameter --extra-arg=-fno-openmp \
  2> >(grep -v '^[0-9]* warnings\?.* generated' >&2)
echo "lint: ${#files[@]} files are fine"

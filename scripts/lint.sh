#!/usr/bin/env bash
# Runs clang-tidy (the checks of .clang-tidy) over the sources of src/, as they are compiled: several
# at once where the build does so.
#   scripts/lint.sh BUILD_DIR [FILE...]    BUILD_DIR holds compile_commands.json; the units with FILEs
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:?usage: scripts/lint.sh BUILD_DIR [FILE...]}")
shift
mapfile -t units < <(sed -n 's/^ *"file": "\(.*\)".*/\1/p' "$build/compile_commands.json" | sort -u |
  grep -E "^($build/src/CMakeFiles/[^/]*/Unity/unity_.*_cxx\.cxx|$PWD/src/.*\.cpp)$")
if (($# > 0)); then
  wanted=()
  for file in "$@"; do
    path=$(realpath "$file")
    for unit in "${units[@]}"; do
      if [[ $unit == "$path" ]] || { [[ $unit == *.cxx ]] && grep -qF "\"$path\"" "$unit"; }; then
        wanted+=("$unit")
      fi
    done
  done
  if ((${#wanted[@]} == 0)); then
    echo "lint: none of these is a source of src/ that $build compiles: $*" >&2
    exit 2
  fi
  mapfile -t units < <(printf '%s\n' "${wanted[@]}" | sort -u)
fi
# Clang 14 cannot take structured bindings into an OpenMP region, so the loops are read as plain
# ones. Flags and pragmas that only GCC has are no mistakes; the counts are of what is not shown.
printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$(nproc)" \
  clang-tidy -p "$build" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option \
  --extra-arg=-Wno-unknown-pragmas --extra-arg=-Wno-unused-parameter --extra-arg=-fno-openmp \
  2> >(grep -v '^[0-9]* warnings\?.* generated' >&2)
echo "lint: ${#units[@]} units are fine"

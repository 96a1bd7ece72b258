#!/usr/bin/env bash
# Fails when a tracked file is not formatted, or has trailing white space, a tab, no newline at its
# end, or more than 500 lines of code, when a header lacks its guard, or when code or docs use a name
# of scripts/old-names.txt or a phrase of scripts/old-phrases.txt (extended regular expressions, one
# a line).
# `scripts/check-style.sh --fix` formats the C++ files.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t sources < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
if [[ ${1:-} == --fix ]]; then
  clang-format -i "${sources[@]}"
fi

bad=0
complain() {
  if [[ -n $2 ]]; then
    printf 'style: %s:\n%s\n' "$1" "$2" >&2
    bad=1
  fi
}
if ! clang-format --dry-run --Werror "${sources[@]}"; then
  complain "not formatted" "run scripts/check-style.sh --fix"
fi
complain "white space at the end of a line" "$(git grep -nIE '[[:blank:]]+$' || true)"
complain "tab" "$(git grep -nIP '\t' -- '*.cpp' '*.h' '*.cu' '*.cuh' '*.txt' '*.cmake' '*.json' '*.md' '*.sh' || true)"
complain "no newline at the end" "$(git ls-files -z -- ':!LICENSE' | while IFS= read -r -d '' file; do
  if [[ -s $file ]] && grep -qI . "$file" && [[ -n $(tail -c 1 "$file") ]]; then echo "$file"; fi
done)"
complain "no #pragma once" "$(git grep -L '^#pragma once' -- '*.h' '*.cuh' || true)"
complain "more than 500 lines" "$(wc -l "${sources[@]}" | awk '$2 != "total" && $1 > 500')"
complain "an old name; docs/GLOSSARY.md has the new ones" "$(git grep -nwE -f scripts/old-names.txt -- \
  src include kernels tests scripts ':!scripts/old-names.txt' ':!tests/train/test_config.cpp' || true)"
complain "a phrase that the field has a word for; see docs/GLOSSARY.md" "$(git grep -niE \
  -f scripts/old-phrases.txt -- docs README.md CONTRIBUTING.md ':!docs/GLOSSARY.md' || true)"
if ((bad == 0)); then echo "style: ${#sources[@]} C++ files are fine"; fi
exit "$bad"

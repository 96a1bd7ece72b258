#!/usr/bin/env bash
# Installs the system packages of the groups named as arguments (default: all) from
# third_party/packages.txt. Installs only what is missing, so that a second run needs no network
# and no root. LOMO_SKIP_PACKAGES=1 skips it where the libraries come from elsewhere.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
list=$root/third_party/packages.txt
groups=" ${*:-build test check} "

wanted=()
while read -r name group _; do
  if [[ -z $name || $name == \#* ]]; then continue; fi
  if [[ $groups == *" $group "* ]]; then wanted+=("$name"); fi
done <"$list"

if [[ ${LOMO_SKIP_PACKAGES:-0} == 1 ]]; then
  echo "packages: skipped, as LOMO_SKIP_PACKAGES=1 asks"
  exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  {
    echo "packages: this system has no apt-get. Install what corresponds to these Debian packages"
    echo "packages: and start again with LOMO_SKIP_PACKAGES=1: ${wanted[*]}"
  } >&2
  exit 1
fi

missing=()
for name in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)
  if [[ $status != installed ]]; then missing+=("$name"); fi
done
if ((${#missing[@]} == 0)); then
  echo "packages: all ${#wanted[@]} are installed"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    {
      echo "packages: missing: ${missing[*]}"
      echo "packages: neither root nor sudo here; as root, run: apt-get install ${missing[*]}"
    } >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "packages: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "packages: apt-get $1 failed, see above" >&2
    exit 1
  fi
}
apt update
apt install --yes --no-install-recommends "${missing[@]}"
echo "packages: done"

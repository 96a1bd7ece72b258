#!/usr/bin/env bash
# Trains on N ranks of this machine: one for each GPU, or a trial of several on its processors.
#
#   scripts/mpirun.sh N CONFIG [OPTION...]     begins a run; options are those of lomo-train
#   scripts/mpirun.sh N --resume DIR           resumes one, on any number of ranks
#   scripts/mpirun.sh N comm [OPTION...]       measures what they exchange: lomo-bench comm
#
# Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 to this script let all ranks finish their step and save; before
# the first step they end at once. The exit code is then 7. After any of these one Ctrl-C more stops at
# once (130). mpirun alone would kill the ranks two
# seconds after Ctrl-C, which is too soon for a large checkpoint (docs/SURVIVAL.md). Other exit codes
# are lomo-train's, 137 where a rank was killed, and 6 where another machine does not answer any more;
# the last checkpoint is then named.
# Environment:
#   LOMO_TRAIN=FILE    default: build/release/bin/lomo-train, else the one on PATH
#   HOSTFILE=FILE      ranks on several machines, as mpirun reads it: lines of "HOST slots=8"
#   NETWORK=LIST       networks between them to use, "10.0.0.0/8" or "ib0"
#   MPIRUN_OPTIONS     more options for mpirun
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
die() {
  echo "mpirun.sh: $1" >&2
  exit 2
}

# Requests to stop are heard from here on. Until mpirun is started nothing is lost by ending at once.
exec {words}>&2  # a trap that runs within `{ wait; } 2>/dev/null` would speak to nobody
job='' starting=0 signalled=0 asked=0 ended=0
ask() {
  signalled=1
  if ((asked++ == 0)); then
    if ((!starting)); then exit 7; fi
    echo "mpirun.sh: all ranks stop, after the step they are in; Ctrl-C once more ends them at once" >&"$words"
  fi
  if [[ -n $job ]]; then pass_on; fi
}

# Whether ranks run on this machine.
ranks_here() {
  local list child stat children
  for list in /proc/"$job"/task/*/children; do
    children=()
    read -ra children <"$list" 2>/dev/null || true
    for child in "${children[@]}"; do
      stat=$(cat "/proc/$child/stat" 2>/dev/null) || continue
      if [[ $stat == *"(${program##*/})"* && $stat != *") Z "* ]]; then return 0; fi
    done
  done
  return 1
}

# Whether a step was made, after which there is something to save.
trained() { grep -qs '"event":"step"' "$folder/metrics.jsonl"; }

# mpirun may lose a signal that comes before it has started the ranks: then they get it when they are
# there. And it may wait for ever for one that ended while it said hello: then it is ended too.
pass_on() {
  {
    if ranks_here; then
      kill -USR1 "$job"
    else
      kill -USR1 "$job"
      until ranks_here; do
        kill -0 "$job" || exit
        sleep 0.05
      done
      kill -USR1 "$job"
    fi
    while ranks_here; do sleep 0.05; done
    sleep 0.5
    trained || kill -KILL "$job"
  } >/dev/null 2>&1 &
}

interrupt() {
  if ((asked == 0)); then ask; else signalled=1 ended=1; kill -INT "$job" 2>/dev/null; fi
}
trap ask TERM HUP USR1
trap interrupt INT

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
if (($# < 2)) || [[ ! $1 =~ ^[1-9][0-9]*$ ]]; then
  usage >&2
  exit 2
fi
ranks=$1
shift
command -v mpirun >/dev/null || die "there is no mpirun; scripts/install-packages.sh build installs it"

program=${LOMO_TRAIN:-$root/build/release/bin/lomo-train}
[[ -x $program ]] || program=$(command -v lomo-train) ||
  die "there is no lomo-train: cmake --preset release && cmake --build --preset release"

arguments=("$@")
if [[ $1 == comm ]]; then
  program=$(dirname "$program")/lomo-bench
  [[ -x $program ]] || die "there is no lomo-bench beside lomo-train"
elif [[ $1 != -* ]]; then
  arguments=(--config "$@")
fi

# The folder of the run, to find its checkpoints when it ends badly.
folder=
for ((i = 0; i + 1 < ${#arguments[@]}; ++i)); do
  next=${arguments[i + 1]}
  case ${arguments[i]} in
    --output) folder=$next ;;
    --resume) [[ -n $folder || $next == -* ]] || folder=$next ;;
  esac
done
folder=${folder%/checkpoints/step-*}
if [[ -z $folder && $1 != comm ]]; then
  folder=runs/$(basename "$1" .json)-$(date +%Y%m%d-%H%M%S)
  arguments+=(--output "$folder")
fi

options=(-np "$ranks"
  # Each rank takes its share of the processors; mpirun would pin each of two to a single one.
  --bind-to none --oversubscribe
  # Containers forbid ranks to read each other's memory, and each message would say so.
  --mca btl_vader_single_copy_mechanism none
  # A rank that ends with another code than 0 has made its peace with the others; mpirun would wait a
  # second, whether there is anything left to kill or not.
  --mca odls_base_sigkill_timeout 0
  # So that no rank says how to stop an mpirun that stands alone.
  -x LOMO_CTRL_C_SAVES=1)
if [[ -n ${HOSTFILE:-} ]]; then
  [[ -r $HOSTFILE ]] || die "HOSTFILE=$HOSTFILE cannot be read"
  options+=(--hostfile "$HOSTFILE")
fi
if [[ -n ${NETWORK:-} ]]; then
  options+=(--mca btl_tcp_if_include "$NETWORK" --mca oob_tcp_if_include "$NETWORK")
fi
# shellcheck disable=SC2206
options+=(${MPIRUN_OPTIONS:-})
if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# Whether all machines can be reached and have the program: mpirun says why not, and would keep that to
# itself where it is quiet about how ranks end, which those say better.
if [[ -n ${HOSTFILE:-} ]]; then
  mpirun "${options[@]}" "$program" --help >/dev/null </dev/null ||
    die "$ranks ranks cannot be started on the machines of $HOSTFILE, see above"
fi

# In a process group of its own, so that a Ctrl-C reaches this script only.
starting=1
set -m
mpirun --quiet "${options[@]}" "$program" "${arguments[@]}" </dev/null &
job=$!
set +m
if ((asked)); then pass_on; fi

# A machine that does not answer any more keeps mpirun waiting for it long after the ranks here have
# noticed, said so and ended.
readonly timeout=10
exec {nothing}<> <(:)
give_up() {
  local seen=0 without=0
  while kill -0 "$job" 2>/dev/null; do
    if ranks_here; then
      seen=1 without=0
    elif ((seen && ++without > timeout)); then
      echo "mpirun.sh: the ranks here ended $timeout s ago, and another machine does not answer" >&2
      kill -KILL "$job"
      return 6
    fi
    read -rt 1 -u "$nothing"  # a second; unlike sleep it is no process that outlives this script
  done
}
give_up &
watch=$!

while :; do
  signalled=0
  { wait "$job"; } 2>/dev/null  # without a word of the shell's about how it ended
  code=$?
  ((signalled)) || break
done
kill "$watch" 2>/dev/null
wait "$watch"
if (($? == 6)); then code=6; fi
if ((ended && code != 7 && code != 0)); then code=130; fi
# mpirun, or a rank, that had not begun to listen (SIGUSR1), or mpirun while it was starting ranks that
# were ending (SIGPIPE, SIGKILL): nothing is lost.
if ((asked && code == 128 + 10)); then code=7; fi
if ((asked && (code == 6 || code == 128 + 13 || code == 128 + 9))) && ! trained; then code=7; fi

if [[ $1 == comm ]]; then exit "$code"; fi
case $code in
  0 | 2 | 7) exit "$code" ;;
  137) echo "mpirun.sh: a rank was killed; did the machine run out of memory?" >&2 ;;
esac
last=$(find "$folder/checkpoints" -maxdepth 1 -name 'step-*' 2>/dev/null | sort -V | tail -n 1)
if [[ -n $last ]]; then
  echo "mpirun.sh: the last whole checkpoint is $last. Go on with:" >&2
  printf '  %q %s --resume %q\n' "$0" "$ranks" "$folder" >&2
else
  echo "mpirun.sh: there is no checkpoint of this run yet" >&2
fi
exit "$code"

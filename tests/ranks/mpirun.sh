#!/usr/bin/env bash
# mpirun.sh CODE N PROGRAM [ARGUMENT...]: fails unless PROGRAM on N ranks ends with CODE, whoever
# runs this and however few processors there are.
set -u
code=$1 ranks=$2
shift 2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export LSAN_OPTIONS=detect_leaks=0  # what Open MPI keeps to the end a sanitizer takes for leaks
mpirun --quiet --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none \
  -np "$ranks" "$@"
got=$?
((got == code)) || { echo "ended with $got, not $code" >&2 && exit 1; }

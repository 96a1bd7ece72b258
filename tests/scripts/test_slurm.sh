#!/usr/bin/env bash
# scripts/slurm.sbatch with srun and scontrol that only write down what they were asked for: the command
# of every start is the same, and the job is queued again where lomo-train saved before the time was up,
# and nowhere else.
#   tests/scripts/test_slurm.sh SOURCE_DIR
set -euo pipefail
script=$1/scripts/slurm.sbatch
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

for name in srun scontrol; do
  cat >"$place/$name" <<'STUB'
#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$CALLS"
[[ $(basename "$0") != srun ]] || exit "$CODE"
STUB
  chmod +x "$place/$name"
done

failed=0
check() { # check CODE: the job ends with it
  local code=$1 got=0 wanted="srun --mpi=pmix --kill-on-bad-exit=1 lomo-train --config my.json"
  wanted+=" --output runs/one --resume --set optimizer.lr=0.1"
  if ((code == 7)); then wanted+=$'\n'"scontrol requeue 41"; fi
  : >"$place/calls"
  PATH=$place:$PATH CALLS=$place/calls CODE=$code SLURM_JOB_ID=41 \
    bash "$script" my.json runs/one --set optimizer.lr=0.1 || got=$?
  if [[ $got != "$code" || $(<"$place/calls") != "$wanted" ]]; then
    echo "code $code: ended with $got after:" && cat "$place/calls"
    failed=1
  fi
}
for code in 0 2 5 7 137; do check "$code"; done

# Without "B:" Slurm sends the signal to the ranks and not to the script, which would die of it.
grep -q '^#SBATCH --signal=USR1@' "$script" || { echo "no --signal=USR1@ for the ranks" && failed=1; }
exit "$failed"

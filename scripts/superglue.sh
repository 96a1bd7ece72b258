#!/usr/bin/env bash
# Fine-tunes and evaluates the six SuperGLUE tasks of the LOMO paper, one after another, over a
# list of learning rates, warm-ups and seeds, and prints the table.
#
#   scripts/superglue.sh [OPTION...] MODEL_DIR DATA_DIR
#
# MODEL_DIR is a Hugging Face LLaMA folder; DATA_DIR holds RTE/train.jsonl, RTE/val.jsonl and so on.
#   --tasks "rte boolq ..."   default: rte boolq wsc wic multirc copa
#   --lrs "0.003 0.001"       default: 0.003
#   --warmups "0.1 0.05"      default: 0.1
#   --seeds "42 43"           default: 42
#   --select dev|test         what chooses the best run of a task. dev (default): a tenth of the
#                             train file, held out of training. test: the validation file that the
#                             table reports, which is what the paper did.
#   --output DIR              default: runs/superglue; finished runs in it are not run again
#   --threads N               default: all cores
#   --set KEY=VALUE           passed on to every run, may be repeated
# A task whose files are missing is named and skipped, and the exit status is then 4.
# LOMO_TRAIN names another lomo-train than build/release/bin/lomo-train.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

tasks="rte boolq wsc wic multirc copa"
lrs=0.003
warmups=0.1
seeds=42
select=dev
output=runs/superglue
common=()
positional=()
while (($# > 0)); do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --tasks | --lrs | --warmups | --seeds | --select | --output | --threads | --set)
      if (($# < 2)); then
        echo "superglue: $1 needs a value" >&2
        exit 2
      fi
      case $1 in
        --threads | --set) common+=("$1" "$2") ;;
        *) printf -v "${1#--}" '%s' "$2" ;;
      esac
      shift 2
      ;;
    -*)
      echo "superglue: unknown option $1; see --help" >&2
      exit 2
      ;;
    *)
      positional+=("$1")
      shift
      ;;
  esac
done
if ((${#positional[@]} != 2)); then
  usage >&2
  exit 2
fi
model=${positional[0]}
data=${positional[1]}
if [[ $select != dev && $select != test ]]; then
  echo "superglue: --select is dev or test, not $select" >&2
  exit 2
fi
train=${LOMO_TRAIN:-$root/build/release/bin/lomo-train}
if [[ ! -x $train ]]; then
  echo "superglue: no $train: run cmake --preset release && cmake --build --preset release," >&2
  echo "superglue: or name it with LOMO_TRAIN" >&2
  exit 2
fi

folder_of() {
  case $1 in
    rte) echo RTE ;;
    boolq) echo BoolQ ;;
    wsc) echo WSC ;;
    wic) echo WiC ;;
    multirc) echo MultiRC ;;
    copa) echo COPA ;;
    cb) echo CB ;;
    record) echo ReCoRD ;;
    *)
      echo "superglue: unknown task $1" >&2
      exit 2
      ;;
  esac
}
# The first metric of a run's last evaluation: the one that matters for its task.
score_of() {
  sed -n '/"event":"eval","tag":"end"/s/.*"batch":[0-9]*,"[^"]*":\([0-9.e+-]*\).*/\1/p' \
    "$1/metrics.jsonl" 2>/dev/null | tail -n 1
}

if [[ $select == dev ]]; then chosen_on="a tenth of the train file"; else chosen_on="the reported file"; fi
mkdir -p "$output"
report=$output/table.txt
printf '%-8s %-9s %-8s %-7s %-6s %9s %9s\n' task metric lr warm-up seed selected reported >"$report.new"
missing=0

for task in $tasks; do
  folder=$data/$(folder_of "$task")
  lost=()
  for file in train.jsonl val.jsonl; do
    if [[ ! -f $folder/$file ]]; then lost+=("$folder/$file"); fi
  done
  if ((${#lost[@]} > 0)); then
    echo "superglue: $task skipped, missing: ${lost[*]}" >&2
    missing=1
    continue
  fi

  best=
  best_score=
  for lr in $lrs; do
    for warmup in $warmups; do
      for seed in $seeds; do
        run=$output/$task/$select-lr$lr-warmup$warmup-seed$seed
        if [[ ! -f $run/done ]]; then
          rm -rf "$run"  # what an interrupted run left
          if [[ $select == dev ]]; then
            held_out=(--set data.validation='[]' --set data.validation_share=0.1)
          else
            held_out=(--set data.validation="$folder/val.jsonl")
          fi
          echo "superglue: $task, lr $lr, warm-up $warmup, seed $seed"
          status=0
          "$train" --config "$root/configs/superglue/$task-7b.json" \
            --set model.path="$model" --set model.shape=null --set data.train="$folder/train.jsonl" \
            "${held_out[@]}" --set optimizer.lr="$lr" --set schedule.warmup="$warmup" \
            --set train.seed="$seed" "${common[@]}" --output "$run" || status=$?
          if ((status == 5)); then  # diverged: a result too
            touch "$run/diverged" "$run/done"
          elif ((status != 0)); then
            exit "$status"
          elif [[ -z $(score_of "$run") ]]; then
            echo "superglue: no final evaluation in $run/metrics.jsonl" >&2
            exit 1
          fi
          touch "$run/done"
        fi
        if [[ -f $run/diverged ]]; then
          echo "superglue: $task, lr $lr, warm-up $warmup, seed $seed diverged"
          rm -rf "$run/model" "$run/checkpoints"
          continue
        fi
        score=$(score_of "$run")
        # Only the best run so far keeps its weights; of equals, the one that still has them.
        has_weights=0
        if [[ -d $run/model && ! -d $best/model ]]; then has_weights=1; fi
        if [[ -z $best ]] || awk -v a="$score" -v b="$best_score" -v w=$has_weights \
          'BEGIN { exit !(a + 0 > b + 0 || (a == b && w)) }'; then
          if [[ -n $best ]]; then rm -rf "$best/model"; fi
          best=$run
          best_score=$score
          best_row=("$lr" "$warmup" "$seed")
        else
          rm -rf "$run/model"
        fi
        rm -rf "$run/checkpoints"
      done
    done
  done

  if [[ -z $best ]]; then
    printf '%-8s every run diverged\n' "$task" >>"$report.new"
    continue
  fi
  metric=$(sed -n '/"event":"eval","tag":"end"/s/.*"batch":[0-9]*,"\([^"]*\)":.*/\1/p' \
    "$best/metrics.jsonl" | tail -n 1)
  if [[ $select == test ]]; then
    reported=$best_score
  else
    if [[ ! -f $best/test.txt ]]; then
      "$train" eval --config "$root/configs/superglue/$task-7b.json" \
        --set model.path="$best/model" --set model.shape=null \
        --set data.validation="$folder/val.jsonl" "${common[@]}" --output "$best/test" \
        >"$best/test.txt.new"
      mv "$best/test.txt.new" "$best/test.txt"
    fi
    reported=$(sed -n "s/^$metric \\([0-9.e+-]*\\)\$/\\1/p" "$best/test.txt" | head -n 1)
  fi
  printf '%-8s %-9s %-8s %-7s %-6s %9.2f %9.2f\n' "$task" "$metric" "${best_row[@]}" "$best_score" \
    "$reported" >>"$report.new"
done

mv "$report.new" "$report"
echo
cat "$report"
echo "selected: chosen on $chosen_on; reported: on the official validation file, in percent"
if ((missing)); then
  echo "superglue: some tasks were skipped, see above" >&2
  exit 4
fi

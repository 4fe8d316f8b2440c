#!/usr/bin/env bash
# What a CUDA device must answer: are the kernels right, is a text the same with speculation and without, what does a forward cost. It needs this folder and
# a driver, prints as it goes, ends with a table and a line "N passed, N failed", and writes results.json and check.log.
#     ./check.sh           at most eight minutes: what is left of them bounds each step, those that measure are skipped when seven have passed, and one that takes longer than its share is "late"
#     ./check.sh quick     small cases and no times: for a small part, or for the emulated driver (NATIVESPEC_CUDA_LIBRARY=FILE)
# Where python3 has PyTorch, that takes the same shapes beside ours (peers.py).
set -uo pipefail
cd "$(dirname "$0")"
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$PWD/lib"
export NATIVESPEC_PROFILE_DIR=  # nothing is kept from one run to the next
quick=0 tokens=64 limit=60 most=470 # seconds of all, and a few for what is killed
if [ "${1:-}" = quick ]; then quick=1 tokens=12 limit=600 most=7200; fi  # the emulated driver takes its time
exec > >(tee check.log) 2>&1
tee=$!
: >measured.txt
names=() outcomes=() times=()
passed=0 failed=0

now() { date +%s.%N; }
record() { # name, outcome, begin
  names+=("$1") outcomes+=("$2") times+=("$(awk -v a="$3" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }')")
  if [ "$2" = passed ]; then passed=$((passed + 1)); elif [ "$2" = failed ]; then failed=$((failed + 1)); fi
  echo "-- $1: $2"
}
late=failed # what a step is whose time was over
step() { # name, command
  local name=$1 begin outcome=passed
  shift
  echo "== $name"
  begin=$(now)
  "$@" || case $? in 124 | 137) outcome=$late ;; *) outcome=failed ;; esac
  record "$name" "$outcome" "$begin"
}
within() { # seconds, command
  local left=$((most - SECONDS))
  [ "$left" -gt 0 ] || { echo "no time is left"; return 124; }
  timeout -k 5 "$(($1 < left ? $1 : left))" "${@:2}"
}
optional() { # name, command
  if [ "$SECONDS" -le 420 ]; then late=late step "$@"; else record "$1" skipped "$(now)"; fi
}
measured() { "$@" | tee -a measured.txt; } # for results.json
generate() { within "$limit" bin/NativeSpec.Cli generate --model model --max-tokens "$tokens" --ignore-eos --quiet "$@"; }

# The same prompt by two ways of generating, both given after the common flags; the texts must be equal, and not empty.
same_text() { # flags of both, flags of one, flags of the other
  local one other
  # shellcheck disable=SC2086
  one=$(generate --prompt="$prompt" $1 $2) && other=$(generate --prompt="$prompt" $1 $3) || return 1
  [ -n "$one" ] && [ "$one" = "$other" ] || { printf 'one:   %s\nother: %s\n' "$one" "$other"; return 1; }
}

# The large files lie packed until the first check.
unpacked() {
  local file
  for file in bin/*.gz bin/cuda/*.gz lib/*.gz ptx/*.gz; do
    [ ! -e "$file" ] || gzip --decompress --force "$file" || return 1
  done
}
step "unpack" unpacked

if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.sm,power.limit,ecc.mode.current,memory.total --format=csv
fi
if [ $quick = 1 ]; then
  step "kernels, small cases" within 600 ./cuda_check ptx small
  step "tests of the host's side, a choice" measured within 1200 bin/NativeSpec.CudaCheck CudaFormatTests CudaWalkTests ThousandRounds 'Golden.*"llama-biases","short"' 'Invariance.*BesideOther'
  step "times of a tiny shape, which mean nothing here" within 300 ./cuda_check ptx bench tiny bf16
else
  step "kernels, all cases, plain and dependent launch" measured within 240 ./cuda_check ptx conformance
  step "tests of the host's side" measured within 120 bin/NativeSpec.CudaCheck
fi

prompt='IEnumerable<T>.GetEnumerator()'
for weights in stored q8 q4; do
  step "greedy text, $weights weights, speculation on and off" same_text "--backend cuda --weights $weights --temperature 0" "--speculate off" "--speculate auto"
done
step "drawn text, speculation on and off" same_text "--backend cuda --temperature 0.8 --seed 7" "--speculate off" "--speculate auto"
step "greedy text, with a draft model and Medusa heads" same_text "--backend cuda --temperature 0" "--speculate off" "--draft-model model/draft --medusa model/medusa"
# Rows are rounded to BF16 there and not here, so a long text may leave the other where two tokens are all but equally likely.
tokens=12 step "greedy text, as the processor writes it" same_text "--temperature 0 --speculate off" "--backend cuda" "--backend cpu"

# A fault loses the context, so it has a process of its own, which must end with the driver's words.
ends_with_the_fault() {
  local said
  said=$(within 60 ./cuda_check ptx fault 2>&1) && { echo "the process ended as if nothing had been wrong"; return 1; }
  [[ $said == *'illegal memory access'* ]] || { echo "$said"; return 1; }
}
step "a kernel that touches what it may not" ends_with_the_fault

# Another process holds the device's memory; of the emulated driver, whose memory is each process's own, there is little. Who did not ask for CUDA gets the processor's text and the reason,
# who did the reason.
with_too_little_memory() {
  local flags=(--prompt="$prompt" --temperature 0 --speculate off) wanted got='' line='' process in out status=0
  wanted=$(NATIVESPEC_CUDA_DEVICE=none generate "${flags[@]}") || return 1
  export NATIVESPEC_CUDA_MEMORY=1
  coproc holder { within "$((3 * limit))" ./cuda_check ptx hold; }
  process=${holder_PID:-} in=${holder[0]:-} out=${holder[1]:-} # bash forgets them when the process ends
  while [ -n "$in" ] && read -t "$limit" -r line <&"$in" && [[ $line != *'are taken' ]]; do :; done
  if [[ $line == *'are taken' ]]; then
    got=$(generate "${flags[@]}" --verbose 2>notice.txt) || status=1
    generate "${flags[@]}" --backend cuda 2>refusal.txt && { echo "--backend cuda found memory: $line"; status=1; }
    cat notice.txt refusal.txt
  else
    echo "the memory could not be taken: $line"
    status=1
  fi
  unset NATIVESPEC_CUDA_MEMORY
  [ -z "$out" ] || exec {out}>&- # which ends it
  [ -z "$process" ] || wait "$process" 2>/dev/null
  [ "$status" = 0 ] && [ "$got" = "$wanted" ] && [[ $(<notice.txt) == *'the processor serves'* ]] && [ -s refusal.txt ]
}
step "too little memory" with_too_little_memory

# Of the memory's peak, of the issue slots, and conflicts of banks, of one product of an 1B shape. A driver may keep the counters to its administrator, which is no fault of the kernel's.
counters() {
  local said status=0
  said=$(within 60 ncu --kernel-name 'regex:^matmul' --launch-skip 100 --launch-count 1 \
    --metrics dram__throughput.avg.pct_of_peak_sustained_elapsed,sm__inst_issued.avg.pct_of_peak_sustained_active,l1tex__data_bank_conflicts_pipe_lsu.sum ./cuda_check ptx bench 1b 2>&1) || status=$?
  grep -E 'matmul|dram__|sm__inst|l1tex__|ERR_' <<<"$said"
  [[ $said == *ERR_NVGPUCTRPERM* ]] || { [ "$status" = 0 ] && [[ $said == *dram__throughput* ]]; } || return "$((status ? status : 1))"
}

if [ $quick = 0 ]; then
  optional "rounds and prompts of a small model, by the engine" measured within 60 bin/NativeSpec.Cli bench forward --backend cuda --shape 110m --prefill 512
  for format in bf16 q8 q4; do
    optional "times of an 8B shape, $format" measured within 100 ./cuda_check ptx bench 8b $format
  done
  optional "times of a 1B shape" measured within 60 ./cuda_check ptx bench 1b
  if command -v python3 >/dev/null && python3 -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null; then
    for shape in 8b 1b; do
      optional "PyTorch and cuBLAS, the $shape shape" measured within 60 python3 peers.py $shape
    done
  fi
  if command -v compute-sanitizer >/dev/null; then
    optional "memcheck" within 120 compute-sanitizer --tool memcheck --error-exitcode 1 ./cuda_check ptx small
    optional "racecheck" within 120 compute-sanitizer --tool racecheck --error-exitcode 1 ./cuda_check ptx small
  fi
  if command -v ncu >/dev/null; then
    optional "counters of one product" counters
  fi
fi

echo
{
  printf '{"passed": %d, "failed": %d, "steps": [' "$passed" "$failed"
  for i in "${!names[@]}"; do
    printf '%s{"name": "%s", "outcome": "%s", "seconds": %s}' "$([ "$i" = 0 ] || echo ', ')" "${names[$i]}" "${outcomes[$i]}" "${times[$i]}"
  done
  printf '], "measured": ['
  awk '/ms|us|GB\/s|digest|tests passed|sm_/ && !/^ *$/ { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/[\001-\037]/, " "); printf "%s\"%s\"", n++ ? ", " : "", $0 }' measured.txt
  printf ']}\n'
} >results.json
rm -f measured.txt notice.txt refusal.txt
for i in "${!names[@]}"; do printf '%-55s %-7s %7s s\n' "${names[$i]}" "${outcomes[$i]}" "${times[$i]}"; done
echo "$passed passed, $failed failed"
exec >&- 2>&-
wait "$tee" # so that the log has its last line
[ "$failed" = 0 ]

#!/usr/bin/env bash
# What a CUDA device must answer: are the kernels right, is a text the same with speculation and without, what does a forward cost. It needs this folder and
# a driver, prints as it goes, ends with a table and a line "N passed, N failed", and writes results.json and check.log.
#     ./check.sh           at most eight minutes: what is left of them bounds each step, and those that measure are skipped when seven have passed
#     ./check.sh quick     small cases and no times: for a small part, or for the emulated driver (NATIVESPEC_CUDA_LIBRARY=FILE)
set -uo pipefail
cd "$(dirname "$0")"
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$PWD/lib"
quick=0 tokens=64 limit=60 most=470 # seconds of all, and a few for what is killed
if [ "${1:-}" = quick ]; then quick=1 tokens=24 limit=600 most=7200; fi  # the emulated driver takes its time
exec > >(tee check.log) 2>&1
names=() outcomes=() times=()
passed=0 failed=0

now() { date +%s.%N; }
record() { # name, outcome, begin
  names+=("$1") outcomes+=("$2") times+=("$(awk -v a="$3" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }')")
  if [ "$2" = passed ]; then passed=$((passed + 1)); elif [ "$2" = failed ]; then failed=$((failed + 1)); fi
  echo "-- $1: $2"
}
step() { # name, command
  local name=$1 begin
  shift
  echo "== $name"
  begin=$(now)
  if "$@"; then record "$name" passed "$begin"; else record "$name" failed "$begin"; fi
}
within() { # seconds, command
  local left=$((most - SECONDS))
  [ "$left" -gt 0 ] || { echo "no time is left"; return 124; }
  timeout -k 5 "$(($1 < left ? $1 : left))" "${@:2}"
}
optional() { # name, command
  if [ "$SECONDS" -le 420 ]; then step "$@"; else record "$1" skipped "$(now)"; fi
}
generate() { within "$limit" bin/NativeSpec.Cli generate --model model --max-tokens "$tokens" --ignore-eos --quiet "$@"; }

# The same prompt by two ways of generating, both given after the common flags; the texts must be equal, and not empty.
same_text() { # flags of both, flags of one, flags of the other
  local one other
  # shellcheck disable=SC2086
  one=$(generate --prompt="$prompt" $1 $2) && other=$(generate --prompt="$prompt" $1 $3) || return 1
  [ -n "$one" ] && [ "$one" = "$other" ] || { printf 'one:   %s\nother: %s\n' "$one" "$other"; return 1; }
}

if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.sm,power.limit,ecc.mode.current,memory.total --format=csv
fi
if [ $quick = 1 ]; then
  step "kernels, small cases" within 120 ./cuda_check ptx small
else
  step "kernels, all cases, plain and dependent launch" within 150 ./cuda_check ptx conformance
fi

prompt='IEnumerable<T>.GetEnumerator()'
for weights in stored q8 q4; do
  step "greedy text, $weights weights, speculation on and off" same_text "--backend cuda --weights $weights --temperature 0" "--speculate off" "--speculate auto"
done
step "drawn text, speculation on and off" same_text "--backend cuda --temperature 0.8 --seed 7" "--speculate off" "--speculate auto"
step "greedy text, with a draft model and Medusa heads" same_text "--backend cuda --temperature 0" "--speculate off" "--draft-model model/draft --medusa model/medusa"
step "greedy text, as the processor writes it" same_text "--temperature 0 --speculate off" "--backend cuda" "--backend cpu"

# A fault loses the context, so it has a process of its own, which must end with the driver's words.
ends_with_the_fault() {
  local said
  said=$(within 60 ./cuda_check ptx fault 2>&1) && { echo "the process ended as if nothing had been wrong"; return 1; }
  [[ $said == *'illegal memory access'* ]] || { echo "$said"; return 1; }
}
step "a kernel that touches what it may not" ends_with_the_fault

if [ $quick = 0 ]; then
  optional "rounds and prompts of a small model, by the engine" within 60 bin/NativeSpec.Cli bench forward --backend cuda --shape 110m --prefill 512
  for format in bf16 q8 q4; do
    optional "times of an 8B shape, $format" within 100 ./cuda_check ptx bench $format
  done
  if command -v compute-sanitizer >/dev/null; then
    optional "memcheck" within 120 compute-sanitizer --tool memcheck --error-exitcode 1 ./cuda_check ptx small top_k
  fi
fi

echo
{
  printf '{"passed": %d, "failed": %d, "steps": [' "$passed" "$failed"
  for i in "${!names[@]}"; do
    printf '%s{"name": "%s", "outcome": "%s", "seconds": %s}' "$([ "$i" = 0 ] || echo ', ')" "${names[$i]}" "${outcomes[$i]}" "${times[$i]}"
  done
  printf ']}\n'
} >results.json
for i in "${!names[@]}"; do printf '%-55s %-7s %7s s\n' "${names[$i]}" "${outcomes[$i]}" "${times[$i]}"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

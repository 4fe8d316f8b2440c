#!/usr/bin/env bash
# Builds, tests and measures NativeSpec with nothing but the .NET SDK. The same verbs as build.ps1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

usage() {
    cat <<'TEXT'
usage: ./build.sh [verb] [arguments]
  build              build everything and leave the command at artifacts/nativespec (the default)
  test [--levels]    run all tests; with --levels again without AVX-512 and without any vector instructions
                     other arguments go to dotnet test, such as --filter Name~MatMul
  run [-- ARGS]      build, then run nativespec with ARGS
  bench [ARGS]       build, then run nativespec bench decode with ARGS
  format [--check]   format the source; with --check only say whether it is
  pack               put the packages into artifacts/packages
TEXT
}

build() {
    dotnet build NativeSpec.sln -c Release --verbosity quiet
    publish
}

publish() {
    dotnet publish src/NativeSpec.Cli -c Release --verbosity quiet -o artifacts/bin
    cat > artifacts/nativespec <<'TEXT'
#!/bin/sh
exec dotnet "$(dirname "$(readlink -f "$0")")/bin/NativeSpec.Cli.dll" "$@"
TEXT
    chmod +x artifacts/nativespec
}

# Runs every test project once and adds what its runner counted to $results.
test_once() {
    local name=$1 project
    shift
    for project in tests/*/*.csproj; do
        echo "== $(basename "$project" .csproj), $name"
        # The runner's last lines are "Passed:  12" and the like, in English whatever the machine speaks.
        DOTNET_CLI_UI_LANGUAGE=en dotnet test "$project" -c Release --no-build --nologo \
            --logger "console;verbosity=minimal" "$@" 2>&1 | tee -a "$results" || failed=1
    done
}

# Sums "Failed: 0, Passed: 12, Skipped: 3" over all suites into the one line that others read.
count() {
    awk -v failed="$failed" '
        /(Passed|Failed|Skipped)! +- Failed:/ {
            for (i = 1; i < NF; i++) {
                if ($i == "Failed:") f += $(i + 1)
                if ($i == "Passed:") p += $(i + 1)
                if ($i == "Skipped:") s += $(i + 1)
            }
        }
        END {
            printf "%d passed, %d failed, %d skipped\n", p, f, s
            exit (failed || f > 0 || p == 0)
        }' "$results"
}

run_tests() {
    local levels=0 arguments=()
    while [ $# -gt 0 ]; do
        if [ "$1" = --levels ]; then levels=1; else arguments+=("$1"); fi
        shift
    done
    # "${a[@]+...}": an empty list is an error to the bash of macOS.
    failed=0
    results=$(mktemp)
    trap 'rm -f "$results"' EXIT
    dotnet build NativeSpec.sln -c Release --verbosity quiet
    test_once "all instructions" ${arguments[@]+"${arguments[@]}"}
    if [ "$levels" = 1 ]; then
        DOTNET_EnableAVX512=0 test_once "without AVX-512" ${arguments[@]+"${arguments[@]}"}
        DOTNET_EnableHWIntrinsic=0 test_once "without vector instructions" ${arguments[@]+"${arguments[@]}"}
    fi
    count
}

verb=${1:-build}
[ $# -gt 0 ] && shift
case "$verb" in
    build) build ;;
    test) run_tests "$@" ;;
    run)
        publish
        [ "${1:-}" = -- ] && shift
        artifacts/nativespec "$@" ;;
    bench)
        publish
        [ "${1:-}" = -- ] && shift
        artifacts/nativespec bench decode "$@" ;;
    format)
        if [ "${1:-}" = --check ]; then dotnet format NativeSpec.sln --verify-no-changes; else dotnet format NativeSpec.sln; fi ;;
    pack)
        rm -rf artifacts/packages
        dotnet pack NativeSpec.sln -c Release --verbosity quiet -o artifacts/packages
        ls artifacts/packages ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 2 ;;
esac

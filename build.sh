#!/usr/bin/env bash
# Builds, tests and measures NativeSpec. It takes the .NET SDK, and for the native kernels cmake and a C++20 compiler where they are
# installed; without those the managed kernels serve. The same verbs as build.ps1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

usage() {
    cat <<'TEXT'
usage: ./build.sh [verb] [arguments]
  build              build everything and leave the command at artifacts/nativespec (the default)
  publish            the same, then compile the command ahead of time, where a linker is, to one program that starts in milliseconds;
                     artifacts/nativespec starts it until the next build
  test [--levels] [--sanitizers]
                     run all tests, those of the native kernels first; with --levels those of vectorised code again, with managed
                     kernels alone, without AVX-512 and without any vector instructions, and a choice of those of the CUDA back end
                     under the sanitizers of addresses and undefined behaviour; with --sanitizers all of these (about
                     half an hour; build.sh alone has this option)
                     other arguments go to the test programs, such as --filter Name~MatMul, and leave the native tests out
  run [-- ARGS]      build, then run nativespec with ARGS; without any, nativespec demo: one text written plainly and with speculation
  bench [NAME] [ARGS]
                     build, then run nativespec bench NAME (decode, forward, kernels, load, speculation; by default decode) with ARGS;
                     operations instead runs tests/NativeSpec.Benchmarks
  format [--check]   format the source; with --check only say whether it is
  pack               put the packages into artifacts/packages
  gpu                make artifacts/gpu, a folder that checks and measures the CUDA back end on a machine with nothing but a driver
TEXT
}

# The native kernels go to artifacts/runtimes/<rid>/native, where the C# build finds them.
build_native() {
    if native/test.sh tools; then
        echo "== native kernels (a minute the first time; log in build/native-plain/build.log)"
        native/test.sh build
    else
        echo "no cmake, make or C++ compiler here: the managed kernels serve"
    fi
    # The CUDA kernels as machine code, where NVIDIA's assembler is; without it a driver compiles their PTX.
    if native/cubins.sh tools; then native/cubins.sh; fi
}

build() {
    build_native
    echo "== libraries, command and tests"
    dotnet build NativeSpec.sln -c Release --verbosity minimal
    publish
    echo "the command is artifacts/nativespec"
}

# The identifier of this machine's system and processor, such as linux-x64.
rid() { dotnet --info | awk '$1 == "RID:" { print $2 }'; }

# The command for the runtime that is installed, with the code of its own assemblies compiled already (ReadyToRun): it starts in a third less time. The compiler for
# that is a package, and where it does not restore the runtime compiles everything. What an earlier source was compiled to ahead of time is removed.
publish() {
    echo "== command"
    rm -rf artifacts/bin
    if ! dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal -r "$(rid)" --self-contained false -p:PublishReadyToRun=true -o artifacts/bin; then
        echo "it is not compiled ahead here (if that is because a package does not restore, only the start takes longer)"
        dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal -o artifacts/bin
    fi

    rm -rf artifacts/ahead
    cat > artifacts/nativespec <<'TEXT'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
[ -x "$here/ahead/NativeSpec.Cli" ] && exec "$here/ahead/NativeSpec.Cli" "$@"
exec dotnet "$here/bin/NativeSpec.Cli.dll" "$@"
TEXT
    chmod +x artifacts/nativespec
}

# The command compiled ahead of time to one program, for this machine's processor, where a linker and the compiler's package are. Where they are and it fails, so
# does the script: that is an error of the source, or of the linker's installation.
publish_ahead() {
    command -v clang >/dev/null || command -v gcc >/dev/null || { echo "no linker here: the command stays as build makes it"; return; }
    echo "== command, compiled ahead of time to one program (a minute or two)"
    local options=(-r "$(rid)" -p:PublishAot=true -p:IlcInstructionSet=native)
    dotnet restore src/NativeSpec.Cli --verbosity minimal "${options[@]}" || { echo "the ahead-of-time compiler does not restore here: the command stays as build makes it"; return; }
    dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal "${options[@]}" -o artifacts/ahead || {
        rm -rf artifacts/ahead
        echo "the command could not be compiled ahead of time, for the reason above (.NET's prerequisites of native AOT say what a linker needs); it stays as build makes it" >&2
        exit 1
    }
}

# Runs every test program once, or $only one, and adds what it counted to $results. With arguments it is a choice of tests, of which a program may have none.
test_once() {
    local name=$1 project program zero=(--zero-tests-policy strict)
    shift
    if [ $# -gt 0 ]; then zero=(--ignore-exit-code 8); fi
    for project in tests/${only:-*.Tests}/*.csproj; do
        program=$(basename "$project" .csproj)
        echo "== $program, $name"
        programs=$((programs + 1))
        dotnet "$(dirname "$project")/bin/Release/net10.0/$program.dll" --settings tests/nunit.runsettings \
            --no-ansi --progress off "${zero[@]}" "$@" 2>&1 | tee -a "$results" ||
            { echo "$program ended with exit code ${PIPESTATUS[0]}"; failed=1; }
    done
}

# Builds and runs the native tests, which ctest sums up as "100% tests passed, 0 tests failed out of 5".
test_native() {
    if native/test.sh tools; then
        native/test.sh 2>&1 | tee -a "$results" || failed=1
    else
        build_native
    fi
}

# The suites of the CUDA back end once more, on the emulated driver that native/test.sh has built with the sanitizers of addresses and undefined behaviour. Their runtime has to be
# in the process first; .NET keeps its own handler of bad addresses, which it needs, and what the process has not given back at its end is no leak of the driver's.
test_sanitized() {
    local library=$PWD/build/native-address/cuda-emulator/libcuda.so.1 runtime
    [ -e "$library" ] || { echo "skipped: the emulated driver is built on Linux with an x86-64 processor and a C++ compiler, so the C# suites do not run under sanitizers"; return 0; }
    runtime=$(ldd "$library" | awk '$1 ~ /^lib(clang_rt\.)?asan/ { print $3 }')
    [ -n "$runtime" ] || { echo "skipped: this compiler's sanitizer cannot be loaded into a program that was built without it, so the C# suites do not run under it"; return 0; }
    only=NativeSpec.Tests NATIVESPEC_TEST_EMULATOR=$library LD_PRELOAD=$runtime \
        ASAN_OPTIONS=handle_segv=0:use_sigaltstack=0:detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1 \
        test_once "the CUDA back end under sanitizers" --filter "$1"
}

# Sums the test programs' summaries, whose lines are "  succeeded: 12" and the like, and ctest's into the one line that others read. A
# program without a summary ended before its tests did, whatever its exit code.
count() {
    awk -v failed="$failed" -v programs="$programs" '
        /^Test run summary: / { summary = 1; summaries++ }
        summary && /^  failed: / { f += $2 }
        summary && /^  succeeded: / { p += $2 }
        summary && /^  skipped: / { s += $2 }
        summary && /^  duration: / { summary = 0 }
        /^TearDown failed for test fixture / { f++ } # of a whole fixture, which the summary leaves out
        /% tests passed, [0-9]+ tests failed out of [0-9]+/ {
            f += $4
            p += $NF - $4
        }
        /^skipped: / { s++ }
        END {
            if (summaries != programs) print programs - summaries " of " programs " test programs ended without a summary"
            printf "%d passed, %d failed, %d skipped\n", p, f, s
            exit (failed || summaries != programs || f > 0 || p == 0)
        }' "$results"
}

run_tests() {
    local levels=0 sanitizers=0 arguments=()
    while [ $# -gt 0 ]; do
        case "$1" in
            --levels) levels=1 ;;
            --sanitizers) sanitizers=1 ;;
            *) arguments+=("$1") ;;
        esac
        shift
    done
    # "${a[@]+...}": an empty list is an error to the bash of macOS.
    failed=0 programs=0
    results=$(mktemp)
    trap 'rm -f "$results"' EXIT
    if [ "${#arguments[@]}" = 0 ] || [ "$sanitizers" = 1 ]; then test_native; else build_native; fi
    echo "== libraries, command and tests"
    dotnet build NativeSpec.sln -c Release --verbosity minimal
    test_once "all instructions" ${arguments[@]+"${arguments[@]}"}
    # What fails on purpose, call by call, is not repeated: the sanitizers watch where everything is computed.
    if [ "$sanitizers" = 1 ]; then test_sanitized "(FullyQualifiedName~cuda|FullyQualifiedName~Cuda)&FullyQualifiedName!~Fault"; fi
    if [ "$levels" = 1 ]; then
        # A choice, because everything takes half an hour (--sanitizers): the operations, invariance, logits, and texts with a walk on the device.
        if [ "${#arguments[@]}" = 0 ] && [ "$sanitizers" = 0 ]; then
            test_sanitized "(FullyQualifiedName~cuda&FullyQualifiedName!~CompleteAsync&FullyQualifiedName!~Prefill_&FullyQualifiedName!~AfterAPrompt)|FullyQualifiedName~AStopWithinThePath"
        fi
        # The native library asks the processor, not .NET, and has been tested on all of its levels: these passes do without it. They are
        # for the code that has a variant for each kind of vector; what only calls it would take the same path again, and so would kernels
        # of lower levels than the best that is left.
        export NATIVESPEC_NATIVE_LIBRARY=none NATIVESPEC_TEST_LEVELS=best
        local vectorised="Tests.Backends. Tests.Golden. Tests.Model. Tests.Sampling. Training.Tests. RealCheckpointTests" filter
        filter="FullyQualifiedName~${vectorised// /|FullyQualifiedName~}"
        if [ "${#arguments[@]}" = 0 ]; then arguments=(--filter "$filter"); fi
        DOTNET_EnableAVX512=0 test_once "managed without AVX-512" "${arguments[@]}"
        DOTNET_EnableHWIntrinsic=0 test_once "managed without vector instructions" "${arguments[@]}"
    fi
    count
}

verb=${1:-build}
[ $# -gt 0 ] && shift
case "$verb" in
    build) build ;;
    publish)
        build
        publish_ahead
        [ ! -x artifacts/ahead/NativeSpec.Cli ] || echo "artifacts/nativespec starts artifacts/ahead/NativeSpec.Cli" ;;
    test) run_tests "$@" ;;
    run)
        build_native
        publish
        [ "${1:-}" = -- ] && shift
        [ $# -gt 0 ] || set -- demo
        artifacts/nativespec "$@" ;;
    bench)
        build_native
        [ "${1:-}" = -- ] && shift
        name=decode
        case "${1:-}" in '' | -*) ;; *) name=$1; shift ;; esac
        if [ "$name" = operations ]; then
            dotnet run -c Release --project tests/NativeSpec.Benchmarks -- "$@"
        else
            publish
            artifacts/nativespec bench "$name" "$@"
        fi ;;
    format)
        if [ "${1:-}" = --check ]; then dotnet format NativeSpec.sln --verify-no-changes; else dotnet format NativeSpec.sln; fi ;;
    pack)
        build_native
        rm -rf artifacts/packages
        dotnet pack NativeSpec.sln -c Release --verbosity quiet -o artifacts/packages
        ls artifacts/packages ;;
    gpu) native/gpu.sh ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 2 ;;
esac

#!/usr/bin/env pwsh
# Builds, tests and measures NativeSpec. It takes the .NET SDK, and for the native kernels cmake and a C++20 compiler where they are
# installed; without those the managed kernels serve. The same verbs as build.sh.
[CmdletBinding(PositionalBinding = $false)]
param(
    [Parameter(Position = 0)] [string] $Verb = 'build',
    [Parameter(ValueFromRemainingArguments = $true)] [string[]] $Rest = @()
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot
$env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
$env:DOTNET_NOLOGO = '1'

function Invoke-DotNet {
    & dotnet @args
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

$OnWindows = $IsWindows -or $env:OS -eq 'Windows_NT'

# The native kernels go to artifacts/runtimes/<rid>/native, where the C# build finds them. With -Test their tests run too.
function Build-Native([switch] $Test) {
    if (-not $OnWindows) {
        & bash native/test.sh tools
        if ($LASTEXITCODE -ne 0) { Write-Host 'no cmake, make or C++ compiler here: the managed kernels serve'; return }
        Write-Host '== native kernels (a minute the first time; log in build/native-plain/build.log)'
        & bash native/test.sh $(if ($Test) { 'test' } else { 'build' }) 2>&1 | ForEach-Object { Measure-Line $_ }
        if ($LASTEXITCODE -ne 0) { if ($Test) { $script:broken = $true } else { exit $LASTEXITCODE } }
        # The CUDA kernels as machine code, where NVIDIA's assembler is; without it a driver compiles their PTX.
        & bash native/cubins.sh tools
        if ($LASTEXITCODE -eq 0) { & bash native/cubins.sh; if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE } }
        return
    }
    if (-not (Get-Command cmake -ErrorAction Ignore)) { Write-Host 'no cmake here: the managed kernels serve'; return }
    New-Item -ItemType Directory -Force build/native-plain | Out-Null
    & cmake -S . -B build/native-plain -DCMAKE_BUILD_TYPE=Release *> build/native-plain/configure.log
    if ($LASTEXITCODE -ne 0) { Write-Host 'cmake finds no C++ compiler here (build/native-plain/configure.log): the managed kernels serve'; return }
    & cmake --build build/native-plain --config Release --parallel
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    $rid = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' }
    New-Item -ItemType Directory -Force "artifacts/runtimes/$rid/native" | Out-Null
    Get-ChildItem build/native-plain -Recurse -Filter nativespec.dll | Copy-Item -Destination "artifacts/runtimes/$rid/native"
    if ($Test) {
        & ctest --test-dir build/native-plain -C Release --output-on-failure --no-tests=error 2>&1 | ForEach-Object { Measure-Line $_ }
        if ($LASTEXITCODE -ne 0) { $script:broken = $true }
    }
}

# Shows a line of ctest and adds its sum, "100% tests passed, 0 tests failed out of 5", to $counts.
function Measure-Line($Line) {
    Write-Host $Line
    if ("$Line" -match '% tests passed, (\d+) tests failed out of (\d+)') {
        $script:counts.Failed += [int] $Matches[1]
        $script:counts.Passed += [int] $Matches[2] - [int] $Matches[1]
    }
    elseif ("$Line" -like 'skipped: *') { $script:counts.Skipped += 1 }
}

# The identifier of this machine's system and processor, such as win-x64.
function Get-Rid { (& dotnet --info | Select-String '^\s*RID:\s*(\S+)').Matches[0].Groups[1].Value }

# The command for the runtime that is installed, with the code of its own assemblies compiled already (ReadyToRun): it starts in a third less time. The compiler for
# that is a package, and where it does not restore the runtime compiles everything. What an earlier source was compiled to ahead of time is removed.
function Publish-Command {
    Write-Host '== command'
    Remove-Item artifacts/bin -Recurse -Force -ErrorAction Ignore
    & dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal -r (Get-Rid) --self-contained false -p:PublishReadyToRun=true -o artifacts/bin
    if ($LASTEXITCODE -ne 0) {
        Write-Host 'it is not compiled ahead here (if that is because a package does not restore, only the start takes longer)'
        Invoke-DotNet publish src/NativeSpec.Cli -c Release --verbosity minimal -o artifacts/bin
    }
    Remove-Item artifacts/ahead -Recurse -Force -ErrorAction Ignore
    if ($OnWindows) {
        Set-Content artifacts/nativespec.cmd '@if exist "%~dp0ahead\NativeSpec.Cli.exe" ("%~dp0ahead\NativeSpec.Cli.exe" %*) else (dotnet "%~dp0bin\NativeSpec.Cli.dll" %*)'
    }
    else {
        $launcher = @'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
[ -x "$here/ahead/NativeSpec.Cli" ] && exec "$here/ahead/NativeSpec.Cli" "$@"
exec dotnet "$here/bin/NativeSpec.Cli.dll" "$@"
'@
        Set-Content artifacts/nativespec $launcher.Replace("`r", '')
        & chmod +x artifacts/nativespec
    }
}

# Whether a linker is here: on Windows that of Visual Studio or its build tools.
function Test-Linker {
    if (-not $OnWindows) { return [bool] (Get-Command clang, gcc -ErrorAction Ignore) }
    $finder = Join-Path ([Environment]::GetFolderPath('ProgramFilesX86')) 'Microsoft Visual Studio\Installer\vswhere.exe'
    (Test-Path $finder) -and [bool] (& $finder -latest -products * -requires Microsoft.VisualStudio.Component.VC.Tools.* -requiresAny -property installationPath)
}

# The command compiled ahead of time to one program, for this machine's processor, where a linker and the compiler's package are. Where they are and it fails, so
# does the script: that is an error of the source, or of the linker's installation.
function Publish-Ahead {
    if (-not (Test-Linker)) { Write-Host 'no linker here: the command stays as build makes it'; return }
    Write-Host '== command, compiled ahead of time to one program (a minute or two)'
    $options = '-r', (Get-Rid), '-p:PublishAot=true', '-p:IlcInstructionSet=native'
    & dotnet restore src/NativeSpec.Cli --verbosity minimal @options
    if ($LASTEXITCODE -ne 0) { Write-Host 'the ahead-of-time compiler does not restore here: the command stays as build makes it'; return }
    & dotnet publish src/NativeSpec.Cli -c Release --verbosity minimal @options -o artifacts/ahead
    if ($LASTEXITCODE -eq 0) { return }
    Remove-Item artifacts/ahead -Recurse -Force -ErrorAction Ignore
    Write-Host "the command could not be compiled ahead of time, for the reason above (.NET's prerequisites of native AOT say what a linker needs); it stays as build makes it"
    exit 1
}

function Invoke-NativeSpec([string[]] $Arguments) {
    if ($Arguments.Count -gt 0 -and $Arguments[0] -eq '--') { $Arguments = @($Arguments | Select-Object -Skip 1) }
    & dotnet artifacts/bin/NativeSpec.Cli.dll @Arguments
    exit $LASTEXITCODE
}

# Runs every test program once and adds what it counted to $counts. With arguments it is a choice of tests, of which a program may have none.
function Invoke-TestsOnce([string] $Name, [string[]] $Arguments) {
    $zero = if ($Arguments.Count -gt 0) { '--ignore-exit-code', '8' } else { '--zero-tests-policy', 'strict' }
    foreach ($project in Get-ChildItem tests/*.Tests/*.csproj) {
        Write-Host "== $($project.BaseName), $Name"
        $program = Join-Path $project.DirectoryName "bin/Release/net10.0/$($project.BaseName).dll"
        $lines = & dotnet $program --settings tests/nunit.runsettings --no-ansi --progress off @zero @Arguments 2>&1 | ForEach-Object { Write-Host $_; "$_" }
        if ($LASTEXITCODE -ne 0) {
            Write-Host "$($project.BaseName) ended with exit code $LASTEXITCODE"
            $script:broken = $true
        }
        $summary = [regex]::Matches($lines -join "`n", '(?m)^Test run summary: .*\n  total: \d+\n  failed: (\d+)\n  succeeded: (\d+)\n  skipped: (\d+)$')
        # The summary leaves out the tear-down of whole fixtures.
        $script:counts.Failed += @($lines | Where-Object { $_ -like 'TearDown failed for test fixture *' }).Count
        if ($summary.Count -ne 1) {
            Write-Host "$($project.BaseName) ended without a summary"
            $script:broken = $true
            continue
        }
        $script:counts.Failed += [int] $summary[0].Groups[1].Value
        $script:counts.Passed += [int] $summary[0].Groups[2].Value
        $script:counts.Skipped += [int] $summary[0].Groups[3].Value
    }
}

function Invoke-Tests([string[]] $Arguments) {
    $levels = $Arguments -contains '--levels'
    $Arguments = @($Arguments | Where-Object { $_ -ne '--levels' })
    $script:counts = @{ Passed = 0; Failed = 0; Skipped = 0 }
    $script:broken = $false
    Build-Native -Test:($Arguments.Count -eq 0)
    Write-Host '== libraries, command and tests'
    Invoke-DotNet build NativeSpec.sln -c Release --verbosity minimal
    Invoke-TestsOnce 'all instructions' $Arguments
    if ($levels) {
        # The native library asks the processor, not .NET, and has been tested on all of its levels: these passes do without it. They are
        # for the code that has a variant for each kind of vector; what only calls it would take the same path again,
        # and so would kernels of lower levels than the best that is left.
        if ($Arguments.Count -eq 0) {
            $vectorised = 'Tests.Backends.', 'Tests.Golden.', 'Tests.Model.', 'Tests.Sampling.', 'Training.Tests.', 'RealCheckpointTests'
            $Arguments = @('--filter', (@($vectorised | ForEach-Object { "FullyQualifiedName~$_" }) -join '|'))
        }
        $env:NATIVESPEC_NATIVE_LIBRARY = 'none'
        $env:NATIVESPEC_TEST_LEVELS = 'best'
        $env:DOTNET_EnableAVX512 = '0'
        Invoke-TestsOnce 'managed without AVX-512' $Arguments
        $env:DOTNET_EnableAVX512 = $null
        $env:DOTNET_EnableHWIntrinsic = '0'
        Invoke-TestsOnce 'managed without vector instructions' $Arguments
        $env:DOTNET_EnableHWIntrinsic = $null
        $env:NATIVESPEC_NATIVE_LIBRARY = $null
        $env:NATIVESPEC_TEST_LEVELS = $null
    }
    Write-Host "$($counts.Passed) passed, $($counts.Failed) failed, $($counts.Skipped) skipped"
    if ($broken -or $counts.Failed -gt 0 -or $counts.Passed -eq 0) { exit 1 }
}

switch ($Verb) {
    { $_ -in 'build', 'publish' } {
        Build-Native
        Write-Host '== libraries, command and tests'
        Invoke-DotNet build NativeSpec.sln -c Release --verbosity minimal
        Publish-Command
        if ($Verb -eq 'publish') { Publish-Ahead }
        Write-Host 'the command is artifacts/nativespec'
    }
    'test' { Invoke-Tests $Rest }
    'run' {
        Build-Native
        Publish-Command
        Invoke-NativeSpec $(if ($Rest.Count -gt 0) { $Rest } else { 'demo' })
    }
    'bench' {
        Build-Native
        if ($Rest.Count -gt 0 -and $Rest[0] -eq '--') { $Rest = @($Rest | Select-Object -Skip 1) }
        $name = 'decode'
        if ($Rest.Count -gt 0 -and -not $Rest[0].StartsWith('-')) {
            $name = $Rest[0]
            $Rest = @($Rest | Select-Object -Skip 1)
        }
        if ($name -eq 'operations') {
            Invoke-DotNet run -c Release --project tests/NativeSpec.Benchmarks -- @Rest
        }
        else {
            Publish-Command
            Invoke-NativeSpec (@('bench', $name) + $Rest)
        }
    }
    'format' {
        if ($Rest -contains '--check') { Invoke-DotNet format NativeSpec.sln --verify-no-changes }
        else { Invoke-DotNet format NativeSpec.sln }
    }
    'pack' {
        Build-Native
        Remove-Item artifacts/packages -Recurse -Force -ErrorAction Ignore
        Invoke-DotNet pack NativeSpec.sln -c Release --verbosity quiet -o artifacts/packages
        Get-ChildItem artifacts/packages -Name
    }
    'gpu' {
        if (-not $IsLinux) { throw 'artifacts/gpu is made and runs on Linux: call ./build.sh gpu there, or in WSL' }
        & native/gpu.sh
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }
    default {
        Write-Host @'
usage: ./build.ps1 [verb] [arguments]
  build              build everything and leave the command at artifacts/nativespec (the default)
  publish            the same, then compile the command ahead of time, where a linker is, to one program that starts in milliseconds;
                     artifacts/nativespec starts it until the next build
  test [--levels]    run all tests, those of the native kernels first; with --levels those of vectorised code again, with managed
                     kernels alone, without AVX-512 and without any vector instructions
                     other arguments go to the test programs, such as --filter Name~MatMul, and leave the native tests out
  run [-- ARGS]      build, then run nativespec with ARGS; without any, nativespec demo: one text written plainly and with speculation
  bench [NAME] [ARGS]
                     build, then run nativespec bench NAME (decode, forward, kernels, load, speculation; by default decode) with ARGS;
                     operations instead runs tests/NativeSpec.Benchmarks
  format [--check]   format the source; with --check only say whether it is
  pack               put the packages into artifacts/packages
  gpu                on Linux, make artifacts/gpu, a folder that checks and measures the CUDA back end on a machine with nothing but a driver
'@
        if ($Verb -ne 'help') { exit 2 }
    }
}

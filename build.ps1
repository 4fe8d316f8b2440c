#!/usr/bin/env pwsh
# Builds, tests and measures NativeSpec with nothing but the .NET SDK. The same verbs as build.sh.
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

function Publish-Command {
    Invoke-DotNet publish src/NativeSpec.Cli -c Release --verbosity quiet -o artifacts/bin
    if ($IsWindows -or $env:OS -eq 'Windows_NT') {
        Set-Content artifacts/nativespec.cmd '@dotnet "%~dp0bin\NativeSpec.Cli.dll" %*'
    }
    else {
        Set-Content artifacts/nativespec "#!/bin/sh`nexec dotnet `"`$(dirname `"`$(readlink -f `"`$0`")`")/bin/NativeSpec.Cli.dll`" `"`$@`""
        & chmod +x artifacts/nativespec
    }
}

function Invoke-NativeSpec([string[]] $Arguments) {
    if ($Arguments.Count -gt 0 -and $Arguments[0] -eq '--') { $Arguments = @($Arguments | Select-Object -Skip 1) }
    & dotnet artifacts/bin/NativeSpec.Cli.dll @Arguments
    exit $LASTEXITCODE
}

# Runs every test project once and adds what its runner counted to $counts.
function Invoke-TestsOnce([string] $Name, [string[]] $Arguments) {
    foreach ($project in Get-ChildItem tests/*/*.csproj) {
        Write-Host "== $($project.BaseName), $Name"
        & dotnet test $project.FullName -c Release --no-build --nologo --logger 'console;verbosity=minimal' @Arguments 2>&1 | ForEach-Object {
            Write-Host $_
            if ("$_" -match '(Passed|Failed|Skipped)! +- Failed: +(\d+), Passed: +(\d+), Skipped: +(\d+)') {
                $script:counts.Failed += [int] $Matches[2]
                $script:counts.Passed += [int] $Matches[3]
                $script:counts.Skipped += [int] $Matches[4]
            }
        }
        if ($LASTEXITCODE -ne 0) { $script:broken = $true }
    }
}

function Invoke-Tests([string[]] $Arguments) {
    $levels = $Arguments -contains '--levels'
    $Arguments = @($Arguments | Where-Object { $_ -ne '--levels' })
    $script:counts = @{ Passed = 0; Failed = 0; Skipped = 0 }
    $script:broken = $false
    $env:DOTNET_CLI_UI_LANGUAGE = 'en' # the runner's counts are read from its text
    Invoke-DotNet build NativeSpec.sln -c Release --verbosity quiet
    Invoke-TestsOnce 'all instructions' $Arguments
    if ($levels) {
        $env:DOTNET_EnableAVX512 = '0'
        Invoke-TestsOnce 'without AVX-512' $Arguments
        $env:DOTNET_EnableAVX512 = $null
        $env:DOTNET_EnableHWIntrinsic = '0'
        Invoke-TestsOnce 'without vector instructions' $Arguments
        $env:DOTNET_EnableHWIntrinsic = $null
    }
    Write-Host "$($counts.Passed) passed, $($counts.Failed) failed, $($counts.Skipped) skipped"
    if ($broken -or $counts.Failed -gt 0 -or $counts.Passed -eq 0) { exit 1 }
}

switch ($Verb) {
    'build' {
        Invoke-DotNet build NativeSpec.sln -c Release --verbosity quiet
        Publish-Command
    }
    'test' { Invoke-Tests $Rest }
    'run' {
        Publish-Command
        Invoke-NativeSpec $Rest
    }
    'bench' {
        Publish-Command
        if ($Rest.Count -gt 0 -and $Rest[0] -eq '--') { $Rest = @($Rest | Select-Object -Skip 1) }
        Invoke-NativeSpec (@('bench', 'decode') + $Rest)
    }
    'format' {
        if ($Rest -contains '--check') { Invoke-DotNet format NativeSpec.sln --verify-no-changes }
        else { Invoke-DotNet format NativeSpec.sln }
    }
    'pack' {
        Remove-Item artifacts/packages -Recurse -Force -ErrorAction Ignore
        Invoke-DotNet pack NativeSpec.sln -c Release --verbosity quiet -o artifacts/packages
        Get-ChildItem artifacts/packages -Name
    }
    default {
        Write-Host @'
usage: ./build.ps1 [verb] [arguments]
  build              build everything and leave the command at artifacts/nativespec (the default)
  test [--levels]    run all tests; with --levels again without AVX-512 and without any vector instructions
                     other arguments go to dotnet test, such as --filter Name~MatMul
  run [-- ARGS]      build, then run nativespec with ARGS
  bench [ARGS]       build, then run nativespec bench decode with ARGS
  format [--check]   format the source; with --check only say whether it is
  pack               put the packages into artifacts/packages
'@
        if ($Verb -ne 'help') { exit 2 }
    }
}

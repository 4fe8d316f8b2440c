using System.Diagnostics;
using NativeSpec.Tests;

namespace NativeSpec.Server.Tests.Clients;

/// <summary>The small programs in shared/clients, which drive a server with Node's clients, where Node and their packages are.</summary>
public sealed class ClientScriptTests
{
    // What needs a grammar: an answer of a form, and a call that must come.
    private const string NeedsGrammar = "json-object,json-schema,json-schema-sampled-stream,json-schema-stream,json-schema-by-tool,tools-required,tools-named,tools-named-stream,tools-loop,responses-schema,responses-tools";

    private TestServer? _server;
    private string _folder = "";

    [OneTimeSetUp]
    public async Task Start()
    {
        var clients = SharedFiles.Require("clients");
        if ((await RunAsync("node", "", "--version")).Code != 0)
        {
            Assert.Ignore("there is no Node here");
        }

        _folder = Directory.CreateTempSubdirectory("nativespec-clients-").FullName;
        foreach (var file in Directory.EnumerateFiles(clients))
        {
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        }

        var packages = Environment.GetEnvironmentVariable("NATIVESPEC_NODE_MODULES"); // installed before, for those who test often
        var installed = packages is null
            ? await RunAsync(OperatingSystem.IsWindows() ? "npm.cmd" : "npm", _folder, "ci --no-audit --no-fund --silent")
            : (Code: Directory.CreateSymbolicLink(Path.Combine(_folder, "node_modules"), packages).Exists ? 0 : 1, Text: packages);
        if (installed.Code != 0)
        {
            Assert.Ignore($"the clients' packages do not install here: {installed.Text}");
        }

        _server = await TestServer.StartBoxAsync();
    }

    [OneTimeTearDown]
    public async Task Stop()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        if (_folder.Length > 0)
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [TestCase("openai-client.mjs", "")]
    [TestCase("ai-sdk-client.mjs", "")]
    [TestCase("langchain-client.mjs", ",tools-result")] // there it begins with a call that must come
    public async Task AClient_IsContent(string script, string alsoSkipped)
    {
        var (code, text) = await RunAsync("node", _folder, script, ("NATIVESPEC_URL", _server!.BaseUrl.ToString()), ("NATIVESPEC_SKIP", NeedsGrammar + alsoSkipped));
        TestContext.Out.WriteLine(text);
        Assert.That(code, Is.Zero, text);
        Assert.That(text, Does.Match("[1-9][0-9] passed, 0 failed"));
    }

    private static async Task<(int Code, string Text)> RunAsync(string program, string folder, string arguments, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }

        try
        {
            using var process = Process.Start(start)!;
            var (text, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return (process.ExitCode, await text + await errors);
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            return (-1, error.Message);
        }
    }
}

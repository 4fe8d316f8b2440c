using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Loading;

namespace NativeSpec.Tests.Engine;

public sealed class InferenceEngineTests
{
    private static readonly GenerationOptions Sampled = new()
    {
        MaxTokens = 40,
        Temperature = 1,
        Seed = 5,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    private TestFolder _folder = null!;
    private InferenceEngine _engine = null!;

    [SetUp]
    public void Load()
    {
        _folder = new TestFolder();
        _engine = Open(_folder);
    }

    [TearDown]
    public void Unload()
    {
        _engine.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task GenerateAsync_Pieces_MakeUpTheResult()
    {
        List<GenerationPiece> pieces = [];
        await foreach (var piece in _engine.GenerateAsync("the hello in", Sampled with { TopLogProbs = 2 }))
        {
            pieces.Add(piece);
        }

        var result = pieces[^1].Result!;
        Assert.That(pieces[..^1].Select(piece => piece.Result), Has.All.Null);
        Assert.That(string.Concat(pieces.Select(piece => piece.Text)), Is.EqualTo(result.Text));
        Assert.That(pieces.SelectMany(piece => piece.Ids), Is.EqualTo(result.Ids));
        Assert.That(pieces.SelectMany(piece => piece.LogProbs), Is.EqualTo(result.LogProbs));
        Assert.That(result.LogProbs, Has.Count.EqualTo(40));
        Assert.That(result.Text, Is.EqualTo(_engine.Tokenizer.Decode([.. result.Ids], atTextStart: false)));
        Assert.That((result.Ids.Count, result.FinishReason, result.Seed, result.Timings.Rounds), Is.EqualTo((40, FinishReason.Length, 5UL, 39)));
    }

    /// <summary>Hugging Face's generate keeps at least one token whatever top_p says.</summary>
    [Test]
    public async Task CompleteAsync_CheckpointThatRecommendsTopPOfZero_TakesTheMostLikelyTokens()
    {
        using var folder = new TestFolder();
        File.WriteAllText(Path.Combine(folder.Path, "generation_config.json"), """{"do_sample":true,"temperature":1.5,"top_p":0.0}""");
        using var engine = Open(folder);
        var greedy = await engine.CompleteAsync("hello", new() { MaxTokens = 20, Temperature = 0, RepetitionPenalty = 1 });

        var recommended = await engine.CompleteAsync("hello", new() { MaxTokens = 20 });
        var asked = await engine.CompleteAsync("hello", new() { MaxTokens = 20, Temperature = 2, TopP = 0 });

        Assert.That(recommended.Ids, Is.EqualTo(greedy.Ids));
        Assert.That(asked.Ids, Is.EqualTo(greedy.Ids));
        Assert.That(asked.SamplerVersion, Is.EqualTo(2));
    }

    [Test]
    public async Task CompleteAsync_TheSameSeed_GivesTheSameText_AndAnotherOneAnother()
    {
        var first = await _engine.CompleteAsync("hello", Sampled);
        var again = await _engine.CompleteAsync("hello", Sampled);
        var other = await _engine.CompleteAsync("hello", Sampled with { Seed = 6 });
        Assert.That(again.Ids, Is.EqualTo(first.Ids));
        Assert.That(other.Ids, Is.Not.EqualTo(first.Ids));
    }

    [Test]
    public async Task CompleteAsync_WithoutASeed_ReportsOneThatGivesTheTextAgain()
    {
        var first = await _engine.CompleteAsync("hello", Sampled with { Seed = null });
        var again = await _engine.CompleteAsync("hello", Sampled with { Seed = first.Seed });
        Assert.That(again.Ids, Is.EqualTo(first.Ids));
    }

    /// <summary>Callers that come and go while others write: every text is what it is alone.</summary>
    [Test]
    public async Task CompleteAsync_ManyAtOnce_EachWritesWhatItWritesAlone()
    {
        var random = new Random(3);
        var requests = Enumerable.Range(0, 40).Select(i => (
            Prompt: (int[])[.. Enumerable.Range(0, 1 + random.Next(90)).Select(_ => random.Next(256))],
            Options: Sampled with { Seed = (ulong)i, MaxTokens = 1 + random.Next(30), RepetitionPenalty = i % 2 == 0 ? 1.2f : null })).ToArray();
        List<IReadOnlyList<int>> alone = [];
        foreach (var (prompt, options) in requests)
        {
            alone.Add((await _engine.CompleteAsync(prompt, options)).Ids);
        }

        var together = await Task.WhenAll(requests.Select(async (request, i) =>
        {
            await Task.Delay(i * 3 % 40);
            return (await _engine.CompleteAsync(request.Prompt, request.Options)).Ids;
        }));

        Assert.That(together, Is.EqualTo(alone));
    }

    [Test]
    public async Task CompleteAsync_MoreThanTheCacheHolds_AllFinish()
    {
        _engine.Dispose();
        _engine = Open(_folder, new EngineOptions { MaxContext = 100, KvTokens = 128 });
        var results = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => _engine.CompleteAsync("hello", Sampled with { Seed = (ulong)i })));
        Assert.That(results.Select(result => result.Ids.Count), Has.All.EqualTo(40));
    }

    [Test]
    public async Task CompleteAsync_EndOfText_EndsAtTheToken()
    {
        var free = await _engine.CompleteAsync("hello", Sampled);
        var eos = free.Ids[17];
        using var folder = new TestFolder(eos: eos);
        using var engine = Open(folder);

        var result = await engine.CompleteAsync("hello", Sampled);
        var ignoring = await engine.CompleteAsync("hello", Sampled with { IgnoreEndOfText = true });

        int[] expected = [.. free.Ids.TakeWhile(id => id != eos), eos];
        Assert.That(result.Ids, Is.EqualTo(expected));
        Assert.That(result.FinishReason, Is.EqualTo(FinishReason.Stop));
        Assert.That(result.Text, Is.EqualTo(engine.Tokenizer.Decode(expected.AsSpan()[..^1], atTextStart: false)));
        Assert.That(ignoring.Ids, Is.EqualTo(free.Ids));
    }

    [TestCase(TestFolder.TokenizersEndOfText)]
    [TestCase(5)]
    [TestCase(6)]
    public async Task CompleteAsync_AnEndOfText_MayBeNamedByAnyOfTheThreeFiles(int end)
    {
        using var folder = new TestFolder(eos: 5);
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "generation_config.json"), """{"eos_token_id":[6,100000]}""");
        using var engine = Open(folder);

        var result = await engine.CompleteAsync("hello", Sampled with { Temperature = 0, LogitBias = new Dictionary<int, float> { [end] = 100 } });

        Assert.That((result.FinishReason, result.Ids), Is.EqualTo((FinishReason.Stop, new[] { end })));
    }

    [Test]
    public async Task CompleteAsync_AStopId_EndsAtTheToken()
    {
        var free = await _engine.CompleteAsync("hello", Sampled);
        var result = await _engine.CompleteAsync("hello", Sampled with { StopIds = [free.Ids[5]] });
        Assert.That(result.Ids, Is.EqualTo(free.Ids.Take(free.Ids.ToList().IndexOf(free.Ids[5]) + 1)));
    }

    [Test]
    public async Task CompleteAsync_AStopStringAcrossTokens_EndsTheTextBeforeIt()
    {
        using var folder = new TestFolder(seed: 12);
        using var engine = Open(folder);
        var ascii = Enumerable.Range(0, 300).Where(id => id is < 97 or > 122).ToDictionary(id => id, _ => -100f); // letters only
        var options = Sampled with { LogitBias = ascii };
        var free = await engine.CompleteAsync("hello", options);
        var stop = free.Text.Substring(9, 4);

        var result = await engine.CompleteAsync("hello", options with { StopStrings = ["never this", stop] });

        Assert.That(result.Text, Is.EqualTo(free.Text[..free.Text.IndexOf(stop, StringComparison.Ordinal)]));
        Assert.That((result.StopString, result.FinishReason), Is.EqualTo((stop, FinishReason.Stop)));
    }

    [Test]
    public async Task CompleteAsync_UntilTheContextIsFull_WritesExactlyThatMany()
    {
        using var folder = new TestFolder(maxPositions: 70);
        using var engine = Open(folder);
        var result = await engine.CompleteAsync(new int[30], Sampled with { MaxTokens = null });
        Assert.That((result.Ids.Count, result.FinishReason), Is.EqualTo((40, FinishReason.Length)));
        var one = await engine.CompleteAsync(new int[69], Sampled with { MaxTokens = int.MaxValue });
        Assert.That(one.Ids, Has.Count.EqualTo(1));
    }

    [TestCase(70)]
    [TestCase(500)]
    public void GenerateAsync_APromptThatFillsTheContext_IsRefusedWithTheNumbers(int length)
    {
        using var folder = new TestFolder(maxPositions: 70);
        using var engine = Open(folder);
        Assert.That(() => engine.GenerateAsync(new int[length]), Throws.InstanceOf<ContextLengthException>().With.Message.Contains($"{length} tokens").And.Message.Contains("70"));
    }

    [Test]
    public void GenerateAsync_BadRequests_AreRefusedAtTheCall()
    {
        Assert.That(() => _engine.GenerateAsync(Array.Empty<int>()), Throws.ArgumentException.With.Message.Contains("no tokens"));
        Assert.That(() => _engine.GenerateAsync([1, 300]), Throws.ArgumentException.With.Message.Contains("300"));
        Assert.That(() => _engine.GenerateAsync([-1]), Throws.ArgumentException);
        Assert.That(() => _engine.GenerateAsync([1], new() { MaxTokens = 0 }), Throws.ArgumentException.With.Message.Contains("MaxTokens"));
        Assert.That(() => _engine.GenerateAsync([1], new() { Temperature = float.NaN }), Throws.ArgumentException.With.Message.Contains("Temperature"));
        Assert.That(() => _engine.GenerateAsync([1], new() { StopIds = [300] }), Throws.ArgumentException.With.Message.Contains("StopIds"));
        Assert.That(() => _engine.GenerateAsync((string)null!), Throws.ArgumentNullException);
    }

    [Test]
    public async Task GenerateAsync_AFailingRequest_HarmsNoNeighbour()
    {
        var alone = await _engine.CompleteAsync("hello", Sampled);
        var neighbours = Enumerable.Range(0, 5).Select(_ => _engine.CompleteAsync("hello", Sampled)).ToArray();
        Assert.ThrowsAsync<NativeSpec.Sampling.NonFiniteLogitsException>(() => _engine.CompleteAsync([104, TestFolder.PoisonedToken], Sampled));
        Assert.That((await Task.WhenAll(neighbours)).Select(result => result.Ids), Has.All.EqualTo(alone.Ids));
    }

    [Test]
    public void GenerateAsync_CancelledInThePrompt_Throws()
    {
        using var cancellation = new CancellationTokenSource();
        var task = _engine.CompleteAsync(new int[500], Sampled with { MaxTokens = 10 }, cancellation.Token);
        cancellation.Cancel();
        Assert.That(async () => await task, Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void GenerateAsync_CancelledBefore_Throws()
        => Assert.That(async () => await _engine.CompleteAsync("hello", Sampled, new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());

    [Test]
    public async Task GenerateAsync_CancelledInTheMiddle_ThrowsAndItsNeighbourGoesOn()
    {
        var alone = await _engine.CompleteAsync("hello", Sampled with { MaxTokens = 200 });
        var neighbour = _engine.CompleteAsync("hello", Sampled with { MaxTokens = 200 });
        using var cancellation = new CancellationTokenSource();
        var seen = 0;
        Assert.That(
            async () =>
            {
                await foreach (var piece in _engine.GenerateAsync("in the", Sampled with { MaxTokens = 400 }, cancellation.Token))
                {
                    if (++seen == 3)
                    {
                        await cancellation.CancelAsync();
                    }
                }
            },
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That((await neighbour).Ids, Is.EqualTo(alone.Ids));
    }

    [Test]
    public async Task GenerateAsync_LeftByItsCaller_GivesItsRoomBack()
    {
        _engine.Dispose();
        _engine = Open(_folder, new EngineOptions { MaxContext = 128, KvTokens = 128 });
        for (var i = 0; i < 20; i++)
        {
            await foreach (var piece in _engine.GenerateAsync("hello", Sampled with { MaxTokens = null }))
            {
                break;
            }
        }

        Assert.That((await _engine.CompleteAsync("hello", Sampled)).Ids, Has.Count.EqualTo(40));
    }

    [Test]
    public async Task Dispose_WhileTextsAreWritten_EndsThemWithAnError()
    {
        var running = Enumerable.Range(0, 6).Select(_ => _engine.CompleteAsync("hello", Sampled with { MaxTokens = 400 })).ToArray();
        await Task.Delay(20);
        _engine.Dispose();
        _engine.Dispose();
        foreach (var task in running)
        {
            try
            {
                await task;
            }
            catch (ObjectDisposedException)
            {
                continue;
            }

            Assert.That(task.Result.Ids, Has.Count.EqualTo(400), "a text that was already finished is whole");
        }

        Assert.That(() => _engine.GenerateAsync("hello"), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task CompleteAsync_PaddedVocabulary_WritesNoTextForIdsThatTheTokenizerDoesNotKnow()
    {
        Tokenization.TestTokenizers.WriteByteLevel(_folder.Path, 280);
        using var engine = Open(_folder);
        var result = await engine.CompleteAsync([1], Sampled with { LogitBias = new Dictionary<int, float> { [290] = 100 } });
        Assert.That(result.Ids, Has.All.EqualTo(290));
        Assert.That(result.Text, Is.Empty);
    }

    [Test]
    public void Load_NoFolder_SaysWhichAndWhatWasExpected()
        => Assert.That(() => InferenceEngine.Load("/no/such/folder"), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("/no/such/folder").And.Message.Contains("config.json"));

    [TestCase(0)]
    [TestCase(-3)]
    [TestCase(5000)]
    public void Load_AnOptionOutOfRange_IsNamed(int sequences)
        => Assert.That(() => Open(_folder, new EngineOptions { MaxSequences = sequences }), Throws.ArgumentException.With.Message.Contains("MaxSequences"));

    [TestCase(-1)]
    [TestCase(65_537)]
    public void Load_AQueueOutOfRange_IsNamed(int waiting)
        => Assert.That(() => Open(_folder, new EngineOptions { MaxWaiting = waiting }), Throws.ArgumentException.With.Message.Contains("MaxWaiting"));

    [Test]
    public void Load_AContextBeyondTheModel_IsRefusedWithTheNumbers()
        => Assert.That(() => Open(_folder, new EngineOptions { MaxContext = 513 }), Throws.ArgumentException.With.Message.Contains("513").And.Message.Contains("512"));

    private static InferenceEngine Open(TestFolder folder, EngineOptions? options = null)
        => InferenceEngine.Load(folder.Path, (options ?? new EngineOptions()) with { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }) });
}

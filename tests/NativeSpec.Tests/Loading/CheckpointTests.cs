using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Loading.Safetensors;

namespace NativeSpec.Tests.Loading;

public sealed class CheckpointTests
{
    private const string Index = "model.safetensors.index.json";
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_SingleFile_IsTakenFromTheFolderOrByItsPath()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], [LoadingTestFiles.Tensor("a", 1)]);
        SafetensorsWriter.Write(_folder["other.safetensors"], [LoadingTestFiles.Tensor("b", 1)]);

        using var folder = Checkpoint.Open(_folder.Path);
        using var file = Checkpoint.Open(_folder["other.safetensors"]);

        Assert.That(folder.Tensors.Keys, Is.EqualTo(["a"]));
        Assert.That(file.Tensors.Keys, Is.EqualTo(["b"]));
    }

    [Test]
    public void Data_OfADisposedCheckpoint_IsRefusedByTheTensorsName()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], [LoadingTestFiles.Tensor("a", 1)]);
        var checkpoint = Checkpoint.Open(_folder.Path);
        var view = checkpoint.Tensors["a"];
        Assert.That(view.Bytes.Length, Is.EqualTo(view.ByteLength));

        checkpoint.Dispose();

        Assert.That(() => view.Data, Throws.InstanceOf<ObjectDisposedException>().With.Message.Contains("'a'"));
        Assert.That(() => view.Bytes.Length, Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void Open_Shards_AreSeenAsOne()
    {
        WriteShards(("a", "2.safetensors"), ("b", "1.safetensors"), ("c", "2.safetensors"));

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(checkpoint.Tensors.Keys, Is.EquivalentTo(["a", "b", "c"]));
        Assert.That(checkpoint.Files.Select(f => Path.GetFileName(f.Path)), Is.EqualTo(["1.safetensors", "2.safetensors"]));
        Assert.That(checkpoint.FileOf("c"), Is.EqualTo(_folder["2.safetensors"]));
    }

    [Test]
    [Platform(Exclude = "Win")]
    public void Open_ShardsThatAreLinks_AreFollowed()
    {
        WriteShards(("a", "1.safetensors"));
        File.Move(_folder["1.safetensors"], _folder["blob"]);
        File.CreateSymbolicLink(_folder["1.safetensors"], "blob");

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(checkpoint.Tensors.Keys, Is.EqualTo(["a"]));
    }

    [Test]
    public void Open_MissingShard_IsRefused()
    {
        WriteShards(("a", "1.safetensors"), ("b", "2.safetensors"));
        File.Delete(_folder["2.safetensors"]);

        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder[Index], "'2.safetensors'", "not beside it");
    }

    [TestCase("/etc/passwd.safetensors")]
    [TestCase("../1.safetensors")]
    [TestCase("sub/1.safetensors")]
    [TestCase("sub\\1.safetensors")]
    [TestCase("C:1.safetensors")]
    [TestCase("..")]
    [TestCase("")]
    [TestCase(".safetensors")]
    [TestCase("1.bin")]
    [TestCase("1\0.safetensors")]
    public void Open_ShardNameThatIsNotAPlainName_IsRefused(string shard)
    {
        WriteIndex(("a", shard));

        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder[Index], "weight_map.a", "plain name");
    }

    [TestCase("1.safetensors", 1f)]
    [TestCase("2.safetensors", 2f)]
    public void Open_TensorInTwoShards_IndexSaysWhichCounts(string shard, float value)
    {
        SafetensorsWriter.Write(_folder["1.safetensors"], [SafetensorsTensor.FromFloats("a", [1], new[] { 1f }), LoadingTestFiles.Tensor("b", 1)]);
        SafetensorsWriter.Write(_folder["2.safetensors"], [SafetensorsTensor.FromFloats("a", [1], new[] { 2f }), LoadingTestFiles.Tensor("c", 1)]);
        WriteIndex(("a", shard), ("b", "1.safetensors"), ("c", "2.safetensors"));

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(BitConverter.ToSingle(checkpoint.Tensors["a"].Bytes), Is.EqualTo(value));
        Assert.That(checkpoint.FileOf("a"), Is.EqualTo(_folder[shard]));
        Assert.That(checkpoint.Tensors, Has.Count.EqualTo(3));
        Assert.That(checkpoint.Notes, Is.Empty);
    }

    [Test]
    public void Open_TensorInTwoShardsThatTheIndexDoesNotPlace_IsRefused()
    {
        WriteShards(("a", "1.safetensors"), ("b", "2.safetensors"), ("c", "3.safetensors"));
        SafetensorsWriter.Write(_folder["2.safetensors"], [LoadingTestFiles.Tensor("a", 1), LoadingTestFiles.Tensor("b", 1)]);

        WriteIndex(("b", "2.safetensors"), ("x", "1.safetensors"));
        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder[Index], "'a'", _folder["1.safetensors"], _folder["2.safetensors"]);
        WriteIndex(("a", "3.safetensors"), ("b", "2.safetensors"), ("x", "1.safetensors"));
        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder[Index], "'a'", _folder["1.safetensors"], _folder["2.safetensors"]);
    }

    [Test]
    public void Open_IndexThatNamesTheOneFileAmongOthers_LaysThemOverIt()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], [SafetensorsTensor.FromFloats("a", [1], new[] { 1f }), LoadingTestFiles.Tensor("b", 1)]);
        SafetensorsWriter.Write(_folder["overlay.safetensors"], [SafetensorsTensor.FromFloats("a", [1], new[] { 2f })]);
        WriteIndex(("a", "overlay.safetensors"), ("b", "model.safetensors"));

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(BitConverter.ToSingle(checkpoint.Tensors["a"].Bytes), Is.EqualTo(2));
        Assert.That(checkpoint.FileOf("b"), Is.EqualTo(_folder["model.safetensors"]));
    }

    [TestCase("""{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}""")]
    [TestCase("""{"weight_map":{"a":"model.safetensors","z":"model.safetensors"}}""")]
    [TestCase("broken")]
    public void Open_IndexLeftBesideTheOneFile_IsLeftAside(string index)
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], [LoadingTestFiles.Tensor("a", 1)]);
        _folder.Write(Index, index);

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(checkpoint.Tensors.Keys, Is.EqualTo(["a"]));
    }

    [Test]
    public void Open_StaleEntriesOfTheIndex_AreNoted()
    {
        WriteShards(("a", "1.safetensors"), ("b", "2.safetensors"));
        WriteIndex(("a", "2.safetensors"), ("b", "2.safetensors"), ("c", "2.safetensors"), ("d", "1.safetensors"));

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(checkpoint.Tensors.Keys, Is.EquivalentTo(["a", "b"]));
        Assert.That(checkpoint.FileOf("a"), Is.EqualTo(_folder["1.safetensors"]));
        Assert.That(checkpoint.Notes, Has.Count.EqualTo(1).And.One.Contains("3 tensors").And.One.Contains(_folder[Index]));
    }

    [Test]
    public void Open_TensorThatTheIndexDoesNotName_IsThere()
    {
        WriteShards(("a", "1.safetensors"), ("b", "1.safetensors"));
        WriteIndex(("a", "1.safetensors"));

        using var checkpoint = Checkpoint.Open(_folder.Path);

        Assert.That(checkpoint.Tensors, Contains.Key("b"));
    }

    [Test]
    public void Open_PathOfAnIndex_IsItsShards()
    {
        WriteShards(("a", "1.safetensors"), ("b", "2.safetensors"));
        File.Move(_folder[Index], _folder["model.fp16.safetensors.index.json"]);
        SafetensorsWriter.Write(_folder["model.safetensors"], [LoadingTestFiles.Tensor("other", 1)]);

        using var checkpoint = Checkpoint.Open(_folder["model.fp16.safetensors.index.json"]);

        Assert.That(checkpoint.Tensors.Keys, Is.EquivalentTo(["a", "b"]));
    }

    [TestCase("""{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}""", "not valid JSON", "a", TestName = "Open_IndexNamesTensorTwice_IsRefused")]
    [TestCase("""{"weight_map":{"a":7}}""", "weight_map.a", "found 7", TestName = "Open_IndexShardNotAString_IsRefused")]
    [TestCase("""{"weight_map":[]}""", "weight_map", "expected an object", TestName = "Open_IndexMapNotAnObject_IsRefused")]
    [TestCase("""{"metadata":{}}""", "weight_map", "is missing", TestName = "Open_IndexWithoutMap_IsRefused")]
    [TestCase("""{"weight_map":{}}""", "weight_map", "names no tensor", TestName = "Open_IndexWithoutTensors_IsRefused")]
    [TestCase("""[]""", "must be a JSON object", "an array", TestName = "Open_IndexNotAnObject_IsRefused")]
    [TestCase("""{"weight_map":{"a":"\ud800.safetensors"}}""", "UTF-16", "ud800", TestName = "Open_IndexWithLoneSurrogate_IsRefused")]
    [TestCase("""{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}""", "more than 1 shards", "MaxShards", TestName = "Open_MoreShardsThanTheLimit_IsRefused")]
    public void Open_BadIndex_IsRefused(string index, string fact, string other)
    {
        _folder.Write(Index, index);

        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path, LoadLimits.Default with { MaxShards = 1 }), _folder[Index], fact, other);
    }

    [Test]
    public void Open_IndexAboveTheLimit_IsRefusedBeforeItIsRead()
    {
        WriteIndex(("a", "1.safetensors"));

        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path, LoadLimits.Default with { MaxConfigBytes = 10 }), _folder[Index], "at most 10", "MaxConfigBytes");
    }

    [TestCase("pytorch_model.bin", "convert")]
    [TestCase("model.Q4_K_M.gguf", "convert")]
    [TestCase("consolidated.00.pth", "convert")]
    [TestCase("other.safetensors", "rename it")]
    [TestCase("readme.md", "has neither model.safetensors nor model.safetensors.index.json")]
    public void Open_FolderWithoutCheckpoint_SaysWhatToDo(string name, string advice)
    {
        _folder.Write(name, "x");

        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder.Path, advice, Path.GetExtension(name) == ".md" ? "" : name);
    }

    [Test]
    public void Open_MissingPath_IsRefused() => LoadingTestFiles.Refused(() => Checkpoint.Open(_folder["none"]), _folder["none"], "does not exist");

    [Test]
    public void Open_RefusedShards_LeaveNoFileOpen()
    {
        WriteShards(("a", "1.safetensors"), ("b", "2.safetensors"));
        _folder.Write("2.safetensors", "no safetensors");
        LoadingTestFiles.Refused(() => Checkpoint.Open(_folder.Path), _folder["2.safetensors"]);

        Assert.That(() => new FileStream(_folder["1.safetensors"], FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose(), Throws.Nothing);
    }

    [Test]
    public void Dispose_Tensors_AreGone()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], [LoadingTestFiles.Tensor("a", 1)]);
        var checkpoint = Checkpoint.Open(_folder.Path);

        checkpoint.Dispose();
        checkpoint.Dispose();

        Assert.That(() => checkpoint.Tensors, Throws.InstanceOf<ObjectDisposedException>());
    }

    private void WriteShards(params (string Tensor, string Shard)[] map)
    {
        foreach (var shard in map.GroupBy(pair => pair.Shard))
        {
            SafetensorsWriter.Write(_folder[shard.Key], shard.Select(pair => LoadingTestFiles.Tensor(pair.Tensor, 1)));
        }

        WriteIndex(map);
    }

    private void WriteIndex(params (string Tensor, string Shard)[] map) =>
        _folder.Write(Index, $$"""{"metadata":{"total_size":4},"weight_map":{{JsonSerializer.Serialize(map.ToDictionary(pair => pair.Tensor, pair => pair.Shard))}}}""");
}

using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Engine.Profiles;

/// <summary>The profiles of a folder, one file for each machine and model.</summary>
internal static class ProfileFolder
{
    /// <summary>All profiles of this version, the newest first; what else lies there is passed over.</summary>
    public static IReadOnlyList<(string File, ProfileContent Content)> All(string directory)
    {
        List<(string File, ProfileContent Content)> profiles = [];
        foreach (var file in Directory.Exists(directory) ? Directory.EnumerateFiles(directory, "*.json") : [])
        {
            try
            {
                profiles.Add((file, ProfileJson.Read(file)));
            }
            catch (ModelFormatException)
            {
                // Of another version, or no profile: an engine would not take it either.
            }
        }

        return [.. profiles.OrderByDescending(profile => profile.Content.Saved)];
    }

    /// <summary>The file that an engine of this model keeps here, whether it is there or not. Starts the backend, which is a part of the key.</summary>
    /// <exception cref="ModelFormatException">The folder is not a model this engine runs.</exception>
    public static string FileOf(string directory, string model, EngineOptions options)
    {
        using var checkpoint = LlamaCheckpoint.Open(model, options.Limits);
        using var backend = EngineBackend.Create(options, checkpoint.Tensors);
        return Path.Combine(Path.GetFullPath(directory), ProfileKey.FileName(ProfileKey.Of(checkpoint, backend)));
    }

    /// <summary>Takes a profile from another place: an engine of its machine and model finds it from now on.</summary>
    /// <returns>The file, and what it says.</returns>
    /// <exception cref="ModelFormatException">It is no profile of this version.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static (string File, ProfileContent Content) Import(string directory, string file)
    {
        var content = ProfileJson.Read(file);
        var target = Path.Combine(Path.GetFullPath(directory), ProfileKey.FileName(content.Key));
        AtomicFile.Write(target, stream => stream.Write(ProfileJson.Render(content)));
        return (target, content);
    }
}

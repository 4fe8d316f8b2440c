using System.Collections;
using System.Text.Json;

namespace NativeSpec.Server.Requests;

/// <summary>A list of a request. It is read where it stands: a list of millions takes no more room than its text.</summary>
/// <param name="Json">The list.</param>
/// <param name="Path">Its path in the request.</param>
internal readonly record struct RequestList(JsonElement Json, string Path) : IEnumerable<RequestItem>
{
    /// <summary>How many elements it has.</summary>
    public int Count => Json.GetArrayLength();

    /// <inheritdoc/>
    public IEnumerator<RequestItem> GetEnumerator()
    {
        var index = 0;
        foreach (var value in Json.EnumerateArray())
        {
            yield return new RequestItem(value, Path, index++);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>An element of a list.</summary>
/// <param name="Value">The element.</param>
/// <param name="List">The list's path.</param>
/// <param name="Index">Its place.</param>
internal readonly record struct RequestItem(JsonElement Value, string List, int Index)
{
    /// <summary>Its path, which is made when it is asked for: only errors and objects need it.</summary>
    public string Path => $"{List}[{Index}]";
}

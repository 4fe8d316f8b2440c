using System.Text;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Training.Tests.Tokenizers;

/// <summary>BPE as the paper says it: count all pairs of all words, join the most frequent one everywhere, begin anew.</summary>
internal static class NaiveBpe
{
    /// <summary>The merges, as pairs of ids; id 0 is the control token, 1 to 256 are the bytes.</summary>
    public static List<(int Left, int Right)> Merges(IEnumerable<string> documents, int vocabularySize)
    {
        var splitter = SplitPatterns.Find(SplitPatterns.Gpt2)!;
        List<List<int>> words = [];
        foreach (var text in documents)
        {
            for (var start = 0; start < text.Length;)
            {
                var end = splitter.End(text, start);
                words.Add([.. Encoding.UTF8.GetBytes(text[start..end]).Select(b => b + 1)]);
                start = end;
            }
        }

        List<string> tokens = ["<|endoftext|>", .. Enumerable.Range(0, 256).Select(b => $"{b:X2}")];
        List<(int, int)> merges = [];
        while (tokens.Count < vocabularySize)
        {
            var (left, right) = words.SelectMany(word => word.Zip(word.Skip(1))).GroupBy(pair => pair)
                .OrderByDescending(group => group.Count()).ThenBy(group => group.Key.First).ThenBy(group => group.Key.Second).First().Key;
            merges.Add((left, right));
            var bytes = tokens[left] + tokens[right];
            var merged = tokens.IndexOf(bytes) is >= 0 and var known ? known : tokens.Count;
            if (merged == tokens.Count)
            {
                tokens.Add(bytes);
            }

            foreach (var word in words)
            {
                for (var i = 0; i + 1 < word.Count; i++)
                {
                    if (word[i] == left && word[i + 1] == right)
                    {
                        word[i] = merged;
                        word.RemoveAt(i + 1);
                    }
                }
            }
        }

        return merges;
    }
}

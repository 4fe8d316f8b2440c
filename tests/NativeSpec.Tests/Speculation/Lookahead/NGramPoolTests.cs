using NativeSpec.Speculation.Lookahead;

namespace NativeSpec.Tests.Speculation.Lookahead;

internal sealed class NGramPoolTests
{
    [Test]
    public void Add_MoreThanFit_DropsTheOldest()
    {
        var pool = Pool(perKey: 2, (1, [10, 11]), (1, [20, 21]), (1, [30, 31]));

        Assert.That(Of(pool, 1), Is.EqualTo(new[] { "30 31", "20 21" }));
        Assert.That(pool.Count, Is.EqualTo(2));
    }

    [Test]
    public void Add_OneThatIsThere_MakesItTheMostRecent()
    {
        var first = Pool(perKey: 3, (1, [10, 11]), (1, [20, 21]), (1, [30, 31]), (1, [10, 11]));
        var middle = Pool(perKey: 3, (1, [10, 11]), (1, [20, 21]), (1, [30, 31]), (1, [20, 21]));
        var last = Pool(perKey: 3, (1, [10, 11]), (1, [20, 21]), (1, [20, 21]));

        Assert.That(Of(first, 1), Is.EqualTo(new[] { "10 11", "30 31", "20 21" }));
        Assert.That(Of(middle, 1), Is.EqualTo(new[] { "20 21", "30 31", "10 11" }));
        Assert.That(Of(last, 1), Is.EqualTo(new[] { "20 21", "10 11" }));
    }

    [Test]
    public void Add_OnePerKey_KeepsTheLast()
    {
        var pool = Pool(perKey: 1, (1, [10, 11]), (2, [5, 6]), (1, [20, 21]));

        Assert.That((Of(pool, 1)[0], Of(pool, 2)[0], pool.Count), Is.EqualTo(("20 21", "5 6", 2)));
    }

    [Test]
    public void First_UnknownKey_IsNone() => Assert.That(Pool(perKey: 1).First(4), Is.EqualTo(-1));

    [Test]
    public void Add_ManyAtRandom_EqualsAListPerKey()
    {
        var random = new Random(1);
        var pool = new NGramPool(length: 2, perKey: 4);
        var lists = new Dictionary<int, List<string>>();
        for (var i = 0; i < 5000; i++)
        {
            var (key, tokens) = (random.Next(40), new[] { random.Next(3), random.Next(3) });
            pool.Add(key, tokens);
            var list = lists.TryGetValue(key, out var known) ? known : lists[key] = [];
            list.Remove(string.Join(' ', tokens));
            list.Insert(0, string.Join(' ', tokens));
            lists[key] = [.. list.Take(4)];
        }

        Assert.That(lists.Keys.Select(key => Of(pool, key)), Is.EqualTo(lists.Values));
    }

    private static NGramPool Pool(int perKey, params (int Key, int[] Tokens)[] ngrams)
    {
        var pool = new NGramPool(length: 2, perKey);
        Array.ForEach(ngrams, ngram => pool.Add(ngram.Key, ngram.Tokens));
        return pool;
    }

    private static List<string> Of(NGramPool pool, int key)
    {
        var list = new List<string>();
        for (var ngram = pool.First(key); ngram >= 0; ngram = pool.Next(ngram))
        {
            list.Add(string.Join(' ', pool.Tokens(ngram).ToArray()));
        }

        return list;
    }
}

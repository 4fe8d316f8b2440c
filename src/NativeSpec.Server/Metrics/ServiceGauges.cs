using System.Text;

namespace NativeSpec.Server.Metrics;

/// <summary>What schedulers and dashboards of model servers ask for, from what the engine's instruments say: the gauges that Kubernetes' Gateway API Inference Extension routes by,
/// and the prefix cache's counters under the stems that vLLM made known.</summary>
internal static class ServiceGauges
{
    private const int PageTokens = 64;
    private const string Model = "gen_ai.request.model";

    public static void Write(StringBuilder text, IReadOnlyList<MetricFamily> families)
    {
        Gauge("nativespec_num_requests_running", "Requests that are being computed", "gauge", model => Sum("nativespec.requests", model, "active"));
        Gauge("nativespec_num_requests_waiting", "Requests that wait for their turn", "gauge", model => Sum("nativespec.requests", model, "waiting"));
        Gauge("nativespec_kv_cache_usage_perc", "Share of the pages of keys and values that requests hold, 0 to 1", "gauge", model => Sum("nativespec.kv.pages", model, "used") / Math.Max(Pages(model), 1));
        Gauge("nativespec_kv_cache_num_blocks", "Pages of keys and values", "gauge", Pages);
        Gauge("nativespec_kv_cache_block_size", "Tokens of a page", "gauge", _ => PageTokens);
        Gauge("nativespec_prefix_cache_queries_total", "Tokens of prompts, each of which may be in the prefix cache", "counter", model => Sum("nativespec.prompt.tokens", model, "computed", "cached"));
        Gauge("nativespec_prefix_cache_hits_total", "Tokens of prompts that were in the prefix cache", "counter", model => Sum("nativespec.prompt.tokens", model, "cached"));

        double Pages(object? model) => Sum("nativespec.kv.pages", model, "used", "free", "cached");

        double Sum(string instrument, object? model, params string[] words)
            => families.Where(family => family.Instrument == instrument).SelectMany(family => family.Series)
                .Where(series => Equals(series.Tags.FirstOrDefault(tag => tag.Key == Model).Value, model) && series.Tags.Any(tag => tag.Value is string word && words.Contains(word)))
                .Sum(series => series.Value);

        void Gauge(string name, string help, string type, Func<object?, double> value)
        {
            PrometheusText.Head(text, name, help, type);
            foreach (var model in families.Where(family => family.Instrument == "nativespec.requests").SelectMany(family => family.Series)
                .Select(series => series.Tags.FirstOrDefault(tag => tag.Key == Model).Value).Distinct())
            {
                PrometheusText.Line(text, name, [new("model_name", model)], value(model));
            }
        }
    }
}

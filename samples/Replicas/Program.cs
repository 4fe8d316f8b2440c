// A proxy in front of several servers that sends conversations which begin alike to the same one, where their first turns are in the prefix cache already.
using NativeSpec.Samples.Replicas;
using NativeSpec.Tokenization;
using Yarp.ReverseProxy.LoadBalancing;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddSingleton(services => Tokenizer.Load(builder.Configuration["Model"] ?? throw new InvalidOperationException("say by --Model DIR which model the servers have: its tokenizer counts tokens")));
builder.Services.AddSingleton<ILoadBalancingPolicy, PrefixAffinePolicy>();
builder.Services.AddReverseProxy().LoadFromConfig(builder.Configuration.GetSection("ReverseProxy"));

var app = builder.Build();
_ = app.Services.GetRequiredService<Tokenizer>(); // a wrong folder is told now
app.MapReverseProxy(proxy =>
{
    proxy.Use((context, next) => ConversationStart.ReadAsync(context, app.Services.GetRequiredService<Tokenizer>(), next));
    proxy.UseLoadBalancing();
    proxy.UsePassiveHealthChecks();
});
app.Run();

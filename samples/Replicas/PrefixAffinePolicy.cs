using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Yarp.ReverseProxy.LoadBalancing;
using Yarp.ReverseProxy.Model;

namespace NativeSpec.Samples.Replicas;

/// <summary>Rendezvous hashing with bounded load: each conversation ranks the servers by a hash of its beginning and the server's name, and goes to the first that
/// has no more than its share of the running requests.</summary>
/// <remarks>Every proxy ranks alike, without talking to another. A server that goes away moves its own conversations alone, each to its next choice; one that comes takes an equal part
/// from all. The bound (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2018) keeps a beginning that everybody has from overloading one server.</remarks>
internal sealed class PrefixAffinePolicy : ILoadBalancingPolicy
{
    /// <summary>How many times the mean a server may have.</summary>
    public const double MostOverMean = 1.25;

    /// <inheritdoc/>
    public string Name => "PrefixAffine";

    /// <inheritdoc/>
    public DestinationState? PickDestination(HttpContext context, ClusterState cluster, IReadOnlyList<DestinationState> availableDestinations)
    {
        if (availableDestinations.Count == 0)
        {
            return null;
        }

        if (context.Features.Get<ConversationStart>() is not { } start)
        {
            return availableDestinations.MinBy(server => server.ConcurrentRequestCount);
        }

        var bound = Math.Ceiling(MostOverMean * (availableDestinations.Sum(server => server.ConcurrentRequestCount) + 1) / availableDestinations.Count);
        // The bound is above the mean, so some server is under it; counts move meanwhile, hence the last resort.
        return availableDestinations.OrderByDescending(server => Rank(start.Hash, server.DestinationId)).FirstOrDefault(server => server.ConcurrentRequestCount < bound)
            ?? availableDestinations.MinBy(server => server.ConcurrentRequestCount);
    }

    /// <summary>How much a conversation prefers a server.</summary>
    public static ulong Rank(ulong conversation, string server)
    {
        var name = Encoding.UTF8.GetBytes(server);
        var bytes = new byte[sizeof(ulong) + name.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, conversation);
        name.CopyTo(bytes, sizeof(ulong));
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(bytes));
    }
}

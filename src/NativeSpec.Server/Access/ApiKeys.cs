using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Access;

/// <summary>Who may ask, and how callers are told apart.</summary>
internal sealed class ApiKeys(IEnumerable<string> keys)
{
    private readonly byte[][] _hashes = [.. keys.Select(Hash)];

    /// <summary>Whether a key is asked for at all.</summary>
    public bool AreAsked => _hashes.Length > 0;

    /// <summary>Who the caller is: the key's number, or the address where none is asked for.</summary>
    /// <exception cref="ApiException">There is no key, or another one; or the request comes from a web page.</exception>
    public string Caller(HttpContext context)
    {
        if (!AreAsked)
        {
            RefusePages(context);
            return context.Connection.RemoteIpAddress?.ToString() ?? "local";
        }

        const string Scheme = "Bearer ";
        var header = context.Request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            throw ApiException.Unauthorized("there is no API key: send the header Authorization: Bearer KEY");
        }

        var number = Find(header[Scheme.Length..].Trim());
        return number >= 0 ? $"key {number}" : throw ApiException.Unauthorized("the API key is not one of this server's");
    }

    /// <summary>Refuses a request to this machine alone that asks for another name than this machine's: a web page may have its own name resolved to 127.0.0.1 (DNS rebinding),
    /// and is then of the same origin as the server. No page gets a key that way, so that is looked at where none is asked for.</summary>
    /// <exception cref="ApiException">It does.</exception>
    public void RefusePages(HttpContext context)
    {
        var host = context.Request.Host.Host;
        if (!AreAsked && context.Connection.LocalIpAddress is { } here && IPAddress.IsLoopback(here.IsIPv4MappedToIPv6 ? here.MapToIPv4() : here)
            && host.Length > 0 && !host.Equals("localhost", StringComparison.OrdinalIgnoreCase) && !IPAddress.TryParse(host, out _))
        {
            throw ApiException.Forbidden("host_not_allowed", "the header Host names neither localhost nor an address: without an API key this server answers on this machine under no other name, because a web page could use it through one; ask by address, or give the server a key");
        }
    }

    /// <summary>Compares with every key, and each whole: how long it takes tells nothing of them. Hashes have one length, whatever keys have.</summary>
    private int Find(string key)
    {
        var (hash, found) = (Hash(key), -1);
        for (var i = 0; i < _hashes.Length; i++)
        {
            found = CryptographicOperations.FixedTimeEquals(hash, _hashes[i]) ? i : found;
        }

        return found;
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}

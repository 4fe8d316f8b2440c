namespace NativeSpec;

/// <summary>Tests leave nothing in the user's cache and find nothing there; those of profiles name a folder of their own.</summary>
[SetUpFixture]
public sealed class NoProfiles
{
    [OneTimeSetUp]
    public void KeepNone() => Environment.SetEnvironmentVariable("NATIVESPEC_PROFILE_DIR", "");
}

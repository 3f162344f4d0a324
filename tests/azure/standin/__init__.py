"""A stand-in for Azure on the wire: the real SDKs talk to it through a proxy, and notice nothing."""

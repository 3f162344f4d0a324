"""The services of Azure that the stand-in speaks for, one module each."""

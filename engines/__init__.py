"""What this machine can make: voices, encoders and test media. No network, no web framework."""

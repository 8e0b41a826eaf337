"""Who may ask whom: the OpenAI-compatible face, routing, configuration."""

"""OpenAI's media API (https://platform.openai.com/docs/api-reference), as OpenAI, Azure and many servers speak it."""

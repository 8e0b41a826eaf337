"""Wire shapes that two vendors or more speak: what is sent, and what an answer means. No network in here."""

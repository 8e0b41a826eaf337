"""The durable task: a row before it is submitted, polled by one worker, never paid twice and never lost."""

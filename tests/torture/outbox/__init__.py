"""The outbox under attack, as processes: a receiver and a writer that keep logs of their own; workers, Redis and a
database that are killed, frozen, wiped and restarted, and the promises that hold over what the logs say."""

"""What a person at a terminal uses beside a running controller: tap, replay, queue, hash-password."""

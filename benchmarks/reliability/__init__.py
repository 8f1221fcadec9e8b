"""Put the calls under faults, storms and silence, and hold what comes out against the server's own log."""

"""Flow Service: connections, flows, runs, and their lists."""

"""The machinery under the servers: it knows sockets, hubs, threads and processes, no server."""

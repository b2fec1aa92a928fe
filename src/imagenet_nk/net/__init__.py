"""HTTP: transport, downloads, limits of hosts, address guard, retry policy, robots.txt.

Other packages import:

- congestion: CongestionWindow
- connectivity: ConnectivityMonitor, ConnectivityProber, ProbeTarget, REPEATS
- curl_transport: CurlTransport, Transport
- download: OutOfReachError, Validators, download, is_remote, reason
- guarded_session: session
- host_table: HOST_FAULTS, HostTable, unasked
- http: Request, Response
- retry_policy
- robots: Robots, hop, opted_out
- url_guard
"""
